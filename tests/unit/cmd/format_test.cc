#include "server/cmd/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

namespace kvorum {
namespace {

using ::testing::HasSubstr;

constexpr char kFirst[] = "8925d228-4b37-41b8-82ee-f18e72c957ed";
constexpr char kSecond[] = "71ca32b5-587d-4d1f-bc8f-aa6b4e085ee5";

std::string TwoVoters() { return std::string("2@c2:7401:") + kSecond + ",1@[::1]:7401:" + kFirst; }

class FormatTest : public ::testing::Test {
 protected:
  FormatTest() {
    std::string pattern = ::testing::TempDir() + "/kvorum-format-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  ~FormatTest() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
};

TEST(InitialVotersTest, AreSortedByNodeId) {
  const auto voters = ParseInitialVoters(TwoVoters());
  ASSERT_TRUE(voters.ok()) << voters.status();
  ASSERT_EQ(voters->size(), 2u);
  EXPECT_EQ((*voters)[0].key, (ReplicaKey{NodeId(1), *Uuid::Parse(kFirst)}));
  EXPECT_EQ((*voters)[0].host, "::1");
  EXPECT_EQ((*voters)[1].host, "c2");
  EXPECT_EQ((*voters)[1].port, 7401);
}

TEST(InitialVotersTest, MalformedListsAreRefused) {
  const std::string id = kFirst;
  const std::vector<std::string> malformed = {
      "",
      ",",
      "1@c1:7401",
      "c1:7401:" + id,
      "1@c1:" + id,
      "-1@c1:7401:" + id,
      "x@c1:7401:" + id,
      "1@:7401:" + id,
      "1@c1:0:" + id,
      "1@0.0.0.0:7401:" + id,
      "1@c1:7401:not-a-uuid",
      "1@c1:7401:00000000-0000-0000-0000-000000000000",
      "1@c1:7401:" + id + ",",
      "1@c1:7401:" + id + ",1@c2:7401:" + kSecond,
      "1@c1:7401:" + id + ",2@c2:7401:" + id,
  };
  for (const std::string& text : malformed) {
    EXPECT_FALSE(ParseInitialVoters(text).ok()) << text;
  }
}

TEST(GenerationTest, IsTheSameForAllNodesAndDiffersBetweenClusters) {
  const auto voters = *ParseInitialVoters(TwoVoters());
  const auto reversed =
      *ParseInitialVoters(std::string("1@[::1]:7401:") + kFirst + ",2@c2:7401:" + kSecond);
  EXPECT_EQ(GenerationOf("a", voters), GenerationOf("a", reversed));
  EXPECT_NE(GenerationOf("a", voters), GenerationOf("b", voters));
  EXPECT_NE(GenerationOf("a", voters), GenerationOf("a", {voters[0]}));
}

TEST_F(FormatTest, WritesTheIdentityOfTheNode) {
  const auto voters = *ParseInitialVoters(TwoVoters());
  const std::string data_dir = directory_ + "/new/node2";
  const auto formatted =
      Format({.data_dir = data_dir, .cluster_id = "c-1", .node_id = 2, .initial_voters = voters});
  ASSERT_TRUE(formatted.ok()) << formatted.status();
  const auto read = ReadMetaProperties(data_dir);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, *formatted);
  EXPECT_EQ(read->directory_id, *Uuid::Parse(kSecond));
  EXPECT_EQ(read->generation, GenerationOf("c-1", voters));
}

TEST_F(FormatTest, RefusesAFormattedDirectory) {
  const FormatRequest request{.data_dir = directory_,
                              .cluster_id = "c-1",
                              .node_id = 1,
                              .initial_voters = *ParseInitialVoters(TwoVoters())};
  ASSERT_TRUE(Format(request).ok());
  const auto again = Format(request);
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(again.status().message()), HasSubstr("already formatted for node 1"));
}

TEST_F(FormatTest, RefusesANodeThatIsNotInTheList) {
  const auto result = Format({.data_dir = directory_,
                              .cluster_id = "c-1",
                              .node_id = 3,
                              .initial_voters = *ParseInitialVoters(TwoVoters())});
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("no node 3"));
}

TEST_F(FormatTest, RefusesBadClusterIds) {
  for (const std::string& id : {std::string(), std::string(65, 'x'), std::string("a b"),
                                std::string("a/b"), std::string("\xc3\xa9")}) {
    EXPECT_FALSE(Format({.data_dir = directory_,
                         .cluster_id = id,
                         .node_id = 1,
                         .initial_voters = *ParseInitialVoters(TwoVoters())})
                     .ok())
        << id;
  }
}

TEST_F(FormatTest, PreparesANodeThatJoins) {
  const auto formatted = Format({.data_dir = directory_,
                                 .cluster_id = "c-1",
                                 .node_id = 4,
                                 .initial_voters = {},
                                 .generation = 77});
  ASSERT_TRUE(formatted.ok()) << formatted.status();
  EXPECT_EQ(*ReadMetaProperties(directory_), *formatted);
  EXPECT_EQ(formatted->generation, 77u);
  EXPECT_FALSE(formatted->directory_id.is_zero()) << "one was drawn";
  EXPECT_TRUE(formatted->initial_voters.empty());
}

TEST_F(FormatTest, GivesANodeThatJoinsTheDirectoryIdItIsTold) {
  FormatRequest request{.data_dir = directory_,
                        .cluster_id = "c-1",
                        .node_id = 4,
                        .initial_voters = {},
                        .generation = 77,
                        .directory_id = "no uuid"};
  EXPECT_FALSE(Format(request).ok());
  request.directory_id = kFirst;
  request.generation = std::nullopt;
  EXPECT_FALSE(Format(request).ok()) << "of which quorum?";
  request.generation = 77;
  request.node_id = -1;
  EXPECT_FALSE(Format(request).ok());
  request.node_id = 4;
  const auto formatted = Format(request);
  ASSERT_TRUE(formatted.ok()) << formatted.status();
  EXPECT_EQ(formatted->directory_id, *Uuid::Parse(kFirst));
}

TEST(RandomIdTest, DrawsVersionFourUuidsThatDiffer) {
  const std::string id = RandomId();
  EXPECT_TRUE(Uuid::Parse(id).has_value()) << id;
  EXPECT_EQ(id[14], '4');
  EXPECT_THAT(std::string("89ab"), HasSubstr(std::string(1, id[19])));
  EXPECT_NE(id, RandomId());
}

}  // namespace
}  // namespace kvorum
