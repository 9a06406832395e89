#include "client/cli/scram.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace kvorum::client::cli {
namespace {

std::string Hex(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  }
  return text;
}

// The exchange of RFC 7677 "3. SCRAM-SHA-256-HTTP", whose salt and count these are.
TEST(ScramTest, DerivesTheKeysOfRfc7677) {
  const std::string salt = "\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
  const ScramKeys keys = DeriveScramKeys(v1::SCRAM_MECHANISM_SHA_256, "pencil", salt, 4096);
  EXPECT_EQ(Hex(keys.stored_key),
            "586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6");
  EXPECT_EQ(Hex(keys.server_key),
            "c1f3cbc1c13a9d35a14c0990eed97629ea225863e566a4314ab99f3f00e5d9d5");
}

TEST(ScramTest, KeysAreAsLongAsTheHash) {
  const ScramKeys keys = DeriveScramKeys(v1::SCRAM_MECHANISM_SHA_512, "pencil", "saltsalt", 4096);
  EXPECT_EQ(keys.stored_key.size(), 64U);
  EXPECT_EQ(keys.server_key.size(), 64U);
  EXPECT_NE(keys.stored_key, keys.server_key);
}

TEST(ScramTest, SaltsDiffer) {
  EXPECT_EQ(DrawSalt().size(), 16U);
  EXPECT_NE(DrawSalt(), DrawSalt());
}

}  // namespace
}  // namespace kvorum::client::cli
