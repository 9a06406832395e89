#include "storage/meta_properties.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "server/base/errors.h"
#include "server/base/random.h"
#include "storage/meta_properties_codec.h"
#include "tests/storage/storage_test_util.h"

namespace kvorum {
namespace {

using ::testing::HasSubstr;
using testing::ReadFile;
using testing::TempDir;
using testing::WriteFile;

MetaProperties Example() {
  Random random(1);
  MetaProperties properties;
  properties.cluster_id = "kvorum-test";
  properties.generation = 3;
  properties.node_id = NodeId(2);
  properties.directory_id = Uuid::FromRandom(random);
  InitialVoter first;
  first.key = {.node_id = NodeId(1), .directory_id = Uuid::FromRandom(random)};
  first.host = "::1";
  first.port = 9093;
  InitialVoter second = first;
  second.key = {.node_id = NodeId(2), .directory_id = properties.directory_id};
  second.host = "controller-2.example.org";
  properties.initial_voters = {first, second};
  return properties;
}

TEST(MetaPropertiesTest, ReadsWhatItWrote) {
  TempDir dir;
  ASSERT_TRUE(WriteMetaProperties(dir.path(), Example()).ok());
  const auto properties = ReadMetaProperties(dir.path());
  ASSERT_TRUE(properties.ok()) << properties.status();
  EXPECT_EQ(*properties, Example());
  EXPECT_FALSE(std::filesystem::exists(MetaPropertiesPath(dir.path()) + ".tmp"));
}

TEST(MetaPropertiesTest, AnUnformattedDirectorySaysHowToFormatIt) {
  TempDir dir;
  for (const std::string& path : {dir.path(), dir.path() + "/missing"}) {
    const auto properties = ReadMetaProperties(path);
    EXPECT_TRUE(absl::IsNotFound(properties.status()));
    EXPECT_THAT(properties.status().ToString(), HasSubstr("kvorumd format --data-dir=" + path));
  }
}

TEST(MetaPropertiesTest, NeverOverwritesAnIdentity) {
  TempDir dir;
  ASSERT_TRUE(WriteMetaProperties(dir.path(), Example()).ok());
  MetaProperties other = Example();
  other.cluster_id = "other";
  EXPECT_TRUE(absl::IsAlreadyExists(WriteMetaProperties(dir.path(), other)));
  EXPECT_EQ(ReadMetaProperties(dir.path())->cluster_id, "kvorum-test");
}

TEST(MetaPropertiesTest, RefusesEveryFlippedByteAndEveryShorterFile) {
  const std::string text = *EncodeMetaProperties(Example());
  for (size_t i = 0; i < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x01);
    EXPECT_FALSE(DecodeMetaProperties(damaged).ok()) << i;
    EXPECT_FALSE(DecodeMetaProperties(text.substr(0, i)).ok()) << i;
  }
}

TEST(MetaPropertiesTest, ADamagedFileIsDataLoss) {
  TempDir dir;
  ASSERT_TRUE(WriteMetaProperties(dir.path(), Example()).ok());
  std::string text = ReadFile(MetaPropertiesPath(dir.path()));
  text.replace(text.find("node.id=2"), 9, "node.id=3");
  WriteFile(MetaPropertiesPath(dir.path()), text);
  const auto properties = ReadMetaProperties(dir.path());
  EXPECT_TRUE(absl::IsDataLoss(properties.status()));
  EXPECT_THAT(properties.status().ToString(), HasSubstr("checksum does not match"));
}

TEST(MetaPropertiesTest, ANewerFormatIsNamedAsSuch) {
  TempDir dir;
  std::string text = *EncodeMetaProperties(Example());
  text.replace(text.find("version=1"), 9, "version=2");
  WriteFile(MetaPropertiesPath(dir.path()), text);
  const auto properties = ReadMetaProperties(dir.path());
  EXPECT_TRUE(absl::IsFailedPrecondition(properties.status()));
  EXPECT_THAT(properties.status().ToString(), HasSubstr("newer release"));
}

TEST(MetaPropertiesTest, RefusesAHugeFile) {
  TempDir dir;
  WriteFile(MetaPropertiesPath(dir.path()), std::string(kMaxMetaPropertiesBytes + 1, '#'));
  EXPECT_TRUE(absl::IsDataLoss(ReadMetaProperties(dir.path()).status()));
}

TEST(MetaPropertiesTest, RefusesValuesTheFileCannotHold) {
  const auto refused = [](auto change) {
    MetaProperties properties = Example();
    change(properties);
    return absl::IsInvalidArgument(EncodeMetaProperties(properties).status());
  };
  EXPECT_TRUE(refused([](MetaProperties& p) { p.cluster_id = ""; }));
  EXPECT_TRUE(refused([](MetaProperties& p) { p.cluster_id = "two\nlines"; }));
  EXPECT_TRUE(refused([](MetaProperties& p) { p.cluster_id = std::string(129, 'c'); }));
  EXPECT_TRUE(refused([](MetaProperties& p) { p.node_id = NodeId(-1); }));
  EXPECT_TRUE(refused([](MetaProperties& p) { p.directory_id = Uuid(); }));
  EXPECT_TRUE(refused([](MetaProperties& p) { p.initial_voters[0].host = ""; }));
  EXPECT_TRUE(refused([](MetaProperties& p) { p.initial_voters[0].port = 0; }));
  EXPECT_TRUE(refused([](MetaProperties& p) {
    p.initial_voters.resize(kMaxInitialVoters + 1, p.initial_voters[0]);
  }));
}

TEST(MetaPropertiesTest, ChecksClusterAndNode) {
  EXPECT_TRUE(CheckMetaProperties(Example(), {}).ok());
  EXPECT_TRUE(
      CheckMetaProperties(Example(), {.cluster_id = "kvorum-test", .node_id = NodeId(2)}).ok());
  const absl::Status cluster =
      CheckMetaProperties(Example(), {.cluster_id = "other", .node_id = std::nullopt});
  EXPECT_EQ(GetErrorReason(cluster), ErrorReason::kInconsistentClusterId);
  const absl::Status node =
      CheckMetaProperties(Example(), {.cluster_id = std::nullopt, .node_id = NodeId(1)});
  EXPECT_TRUE(absl::IsFailedPrecondition(node));
}

TEST(DataDirectoryTest, IsCreatedForItsOwnerOnly) {
  TempDir dir;
  const std::string path = dir.path() + "/a/b";
  ASSERT_TRUE(CreateDataDirectory(path).ok());
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  EXPECT_TRUE(CreateDataDirectory(path).ok());  // again is fine
}

}  // namespace
}  // namespace kvorum
