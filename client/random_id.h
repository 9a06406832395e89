#pragma once

#include <string>

namespace kvorum::client {

// 16 bytes of a random UUID (RFC 4122 version 4): incarnations and request ids. Any thread.
std::string RandomUuidBytes();

}  // namespace kvorum::client
