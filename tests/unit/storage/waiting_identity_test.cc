#include "storage/waiting_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/storage/storage_test_util.h"

namespace kvorum {
namespace {

using ::testing::HasSubstr;
using testing::ReadFile;
using testing::TempDir;
using testing::WriteFile;

const Uuid kFirst = *Uuid::Parse("8925d228-4b37-41b8-82ee-f18e72c957ed");
const Uuid kSecond = *Uuid::Parse("71ca32b5-587d-4d1f-bc8f-aa6b4e085ee5");

class WaitingIdentityTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<WaitingIdentity>> Take(NodeId node_id, const Uuid& fresh) {
    return WaitingIdentity::Take(directory_, node_id, fresh);
  }

  std::string Refusal(NodeId node_id) {
    const auto taken = Take(node_id, kSecond);
    EXPECT_FALSE(taken.ok());
    return std::string(taken.status().message());
  }

  TempDir dir_;
  const std::string directory_ = dir_.path() + "/data";
};

TEST_F(WaitingIdentityTest, IsWrittenOnceAndReadAgain) {
  {
    const auto taken = Take(NodeId(3), kFirst);
    ASSERT_TRUE(taken.ok()) << taken.status();
    EXPECT_EQ((*taken)->replica(), (ReplicaKey{NodeId(3), kFirst}));
  }
  const auto again = Take(NodeId(3), kSecond);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->replica().directory_id, kFirst);
}

TEST_F(WaitingIdentityTest, IsOfOneProcessAndOneNode) {
  auto taken = Take(NodeId(3), kFirst);
  ASSERT_TRUE(taken.ok());
  EXPECT_THAT(Refusal(NodeId(3)), HasSubstr("another process"));
  taken->reset();
  EXPECT_THAT(Refusal(NodeId(4)), HasSubstr("node 3 waits"));
}

TEST_F(WaitingIdentityTest, TakesANewDiskAndNothingElse) {
  std::filesystem::create_directories(directory_ + "/lost+found");
  ASSERT_TRUE(Take(NodeId(1), kFirst).ok());
  std::filesystem::remove_all(directory_);
  std::filesystem::create_directories(directory_);
  WriteFile(directory_ + "/guard.0", "promises");
  EXPECT_THAT(Refusal(NodeId(1)), HasSubstr("guard.0"));
}

TEST_F(WaitingIdentityTest, NoticesEveryChangedByte) {
  ASSERT_TRUE(Take(NodeId(1), kFirst).ok());
  const std::string path = WaitingIdentityPath(directory_);
  const std::string good = ReadFile(path);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    WriteFile(path, bad);
    EXPECT_FALSE(Take(NodeId(1), kSecond).ok()) << i;
  }
  WriteFile(path, good);
  EXPECT_TRUE(Take(NodeId(1), kSecond).ok());
}

TEST_F(WaitingIdentityTest, GoesWhenTheDirectoryIsFormatted) {
  auto taken = Take(NodeId(1), kFirst);
  ASSERT_TRUE(taken.ok());
  (*taken)->Remove();
  EXPECT_FALSE(std::filesystem::exists(WaitingIdentityPath(directory_)));
}

}  // namespace
}  // namespace kvorum
