#include "client/cli/scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <string_view>

namespace kvorum::client::cli {
namespace {

constexpr size_t kSaltBytes = 16;

const EVP_MD* HashOf(v1::ScramMechanism mechanism) {
  return mechanism == v1::SCRAM_MECHANISM_SHA_512 ? EVP_sha512() : EVP_sha256();
}

unsigned char* Bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }
const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string Hmac(const EVP_MD* hash, const std::string& key, std::string_view text) {
  std::string result(static_cast<size_t>(EVP_MD_size(hash)), '\0');
  unsigned int size = 0;
  HMAC(hash, key.data(), static_cast<int>(key.size()), Bytes(text), text.size(), Bytes(result),
       &size);
  return result;
}

}  // namespace

ScramKeys DeriveScramKeys(v1::ScramMechanism mechanism, const std::string& password,
                          const std::string& salt, int32_t iterations) {
  const EVP_MD* hash = HashOf(mechanism);
  const auto key_bytes = static_cast<size_t>(EVP_MD_size(hash));
  std::string salted(key_bytes, '\0');
  PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), Bytes(salt),
                    static_cast<int>(salt.size()), iterations, hash, static_cast<int>(key_bytes),
                    Bytes(salted));
  const std::string client_key = Hmac(hash, salted, "Client Key");
  ScramKeys keys;
  keys.stored_key.resize(key_bytes);
  EVP_Digest(client_key.data(), client_key.size(), Bytes(keys.stored_key), nullptr, hash, nullptr);
  keys.server_key = Hmac(hash, salted, "Server Key");
  return keys;
}

std::string DrawSalt() {
  std::string salt(kSaltBytes, '\0');
  return RAND_bytes(Bytes(salt), static_cast<int>(salt.size())) == 1 ? salt : std::string();
}

}  // namespace kvorum::client::cli
