#include "client/random_id.h"

#include <random>

namespace kvorum::client {
namespace {

constexpr size_t kUuidBytes = 16;

}  // namespace

std::string RandomUuidBytes() {
  std::random_device device;
  std::string id(kUuidBytes, '\0');
  for (char& byte : id) {
    byte = static_cast<char>(device() & 0xff);
  }
  // The marks of version 4 (RFC 4122 §4.4), since the bytes are shown as a UUID.
  id[6] = static_cast<char>((id[6] & 0x0f) | 0x40);
  id[8] = static_cast<char>((id[8] & 0x3f) | 0x80);
  return id;
}

}  // namespace kvorum::client
