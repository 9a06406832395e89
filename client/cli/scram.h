#pragma once

#include <cstdint>
#include <string>

#include "kvorum/v1/record.pb.h"

namespace kvorum::client::cli {

// What a server stores of a password (RFC 5802 "3. SCRAM Algorithm Overview").
struct ScramKeys {
  std::string stored_key;
  std::string server_key;
};

// REQUIRES: a known mechanism, iterations > 0. The password as its UTF-8 bytes, as Kafka does.
ScramKeys DeriveScramKeys(v1::ScramMechanism mechanism, const std::string& password,
                          const std::string& salt, int32_t iterations);

// 16 bytes from the system's generator; empty: it has none to give.
std::string DrawSalt();

}  // namespace kvorum::client::cli
