// The quorum changes while it works: controllers come, go and are replaced under write load.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

class MembershipTest : public ::testing::Test {
 protected:
  void Begin(int controllers) {
    ClusterOptions options;
    options.controllers = controllers;
    cluster_ = std::make_unique<Cluster>(options);
    cluster_->StartAll();
    const int leader = cluster_->WaitForLeader();
    ASSERT_GE(leader, 0);
    generation_ = cluster_->Describe(leader)->header().committed().generation();
  }

  // kvorumctl quorum …, against all endpoints.
  CommandResult Quorum(std::vector<std::string> args) {
    std::vector<std::string> argv = {Cluster::BinaryPath("kvorumctl"),
                                     "--endpoints",
                                     cluster_->endpoints(),
                                     "--timeout",
                                     "20s",
                                     "quorum"};
    argv.insert(argv.end(), args.begin(), args.end());
    return RunCommand(argv);
  }
  void Add(int index) {
    const CommandResult added =
        Quorum({"add-voter", "--node-id", std::to_string(index + 1), "--controller-endpoint",
                cluster_->controller_endpoint(index)});
    ASSERT_EQ(added.exit_code, 0) << added.output << cluster_->ReadLog(index);
  }
  void Remove(int index) {
    const CommandResult removed =
        Quorum({"remove-voter", "--node-id", std::to_string(index + 1), "--yes"});
    ASSERT_EQ(removed.exit_code, 0) << removed.output;
  }
  // The committed voters by the leader's word.
  std::vector<int> Voters() {
    std::vector<int> ids;
    const int leader = cluster_->WaitForLeader();
    const auto seen = leader < 0 ? std::nullopt : cluster_->Describe(leader);
    if (seen.has_value()) {
      for (const v1::QuorumVoter& voter : seen->committed_voters()) {
        ids.push_back(voter.node_id());
      }
    }
    return ids;
  }

  std::unique_ptr<Cluster> cluster_;
  uint64_t generation_ = 0;
};

TEST_F(MembershipTest, GrowsFromThreeToFiveAndShrinksAgainUnderLoadWithoutAFailedWrite) {
  ASSERT_NO_FATAL_FAILURE(Begin(3));
  WriteLoad load(*cluster_, 4, "grow/");
  for (int joined = 0; joined < 2; ++joined) {
    ASSERT_TRUE(load.AwaitMore(50));
    const int index = cluster_->AddJoiner(generation_);
    cluster_->Start(index);
    ASSERT_NO_FATAL_FAILURE(Add(index));
  }
  EXPECT_EQ(Voters(), (std::vector<int>{1, 2, 3, 4, 5}));
  ASSERT_TRUE(load.AwaitMore(50));
  for (const int index : {4, 3}) {
    ASSERT_NO_FATAL_FAILURE(Remove(index));
    ASSERT_TRUE(load.AwaitMore(50));
  }
  EXPECT_EQ(Voters(), (std::vector<int>{1, 2, 3}));
  load.Stop();
  EXPECT_TRUE(load.unknown().empty()) << "nobody who led had to go";
  ExpectHolds(ListAll(*cluster_->MakeClient()), load, "grow/");
  EXPECT_TRUE(AwaitConvergence(*cluster_).has_value()) << "the removed ones go on as observers";
}

TEST_F(MembershipTest, TheLeaderIsRemovedAndNothingAcknowledgedIsLost) {
  ASSERT_NO_FATAL_FAILURE(Begin(3));
  WriteLoad load(*cluster_, 4, "leader/");
  ASSERT_TRUE(load.AwaitMore(50));
  const int removed = cluster_->WaitForLeader();
  ASSERT_NO_FATAL_FAILURE(Remove(removed));
  ASSERT_TRUE(load.AwaitMore(50));
  EXPECT_NE(cluster_->WaitForLeader(), removed);
  load.Stop();
  ExpectHolds(ListAll(*cluster_->MakeClient()), load, "leader/");
  EXPECT_TRUE(Eventually([&] {
    const auto seen = cluster_->Describe(removed);
    return seen.has_value() && seen->role() == "observer";
  }));
  EXPECT_EQ(Voters().size(), 2u);
}

// A wiped disk is another replica: the old one is removed, the new one added.
TEST_F(MembershipTest, AWipedControllerIsReplaced) {
  ASSERT_NO_FATAL_FAILURE(Begin(3));
  WriteLoad load(*cluster_, 2, "wiped/");
  ASSERT_TRUE(load.AwaitMore(50));
  const int leader = cluster_->WaitForLeader();
  const int wiped = (leader + 1) % 3;
  const int other = (leader + 2) % 3;
  cluster_->Kill(wiped);
  cluster_->ReplaceDisk(wiped, generation_);
  cluster_->Start(wiped);
  const CommandResult early =
      Quorum({"add-voter", "--node-id", std::to_string(wiped + 1), "--controller-endpoint",
              cluster_->controller_endpoint(wiped)});
  EXPECT_EQ(early.exit_code, 4) << early.output;
  EXPECT_NE(early.output.find("DUPLICATE_VOTER"), std::string::npos) << early.output;
  ASSERT_NO_FATAL_FAILURE(Remove(wiped));
  ASSERT_NO_FATAL_FAILURE(Add(wiped));
  // The new replica counts: the quorum works with it and without another.
  cluster_->Kill(other);
  ASSERT_TRUE(load.AwaitMore(50));
  load.Stop();
  ExpectHolds(ListAll(*cluster_->MakeClient()), load, "wiped/");
}

TEST_F(MembershipTest, LeadershipIsTransferredOnCommand) {
  ASSERT_NO_FATAL_FAILURE(Begin(3));
  WriteLoad load(*cluster_, 4, "transfer/");
  ASSERT_TRUE(load.AwaitMore(50));
  const int leader = cluster_->WaitForLeader();
  const int target = (leader + 1) % 3;
  const std::string id = std::to_string(target + 1);
  const CommandResult tried = Quorum({"transfer-leadership", "--node-id", id, "--dry-run"});
  EXPECT_EQ(tried.exit_code, 0) << tried.output;
  EXPECT_EQ(cluster_->WaitForLeader(), leader);
  const CommandResult moved = Quorum({"transfer-leadership", "--node-id", id});
  EXPECT_EQ(moved.exit_code, 0) << moved.output;
  ASSERT_TRUE(load.AwaitMore(50));
  EXPECT_EQ(cluster_->WaitForLeader(), target);
  load.Stop();
  ExpectHolds(ListAll(*cluster_->MakeClient()), load, "transfer/");
}

TEST_F(MembershipTest, AControllerThatMovedTellsTheQuorumByItself) {
  ASSERT_NO_FATAL_FAILURE(Begin(3));
  const int moved = (cluster_->WaitForLeader() + 1) % 3;
  cluster_->Stop(moved);
  cluster_->MoveControllerListener(moved);
  cluster_->Start(moved);
  const std::string wanted = cluster_->controller_endpoint(moved);
  EXPECT_TRUE(Eventually([&] {
    const int leader = cluster_->WaitForLeader();
    const auto seen = leader < 0 ? std::nullopt : cluster_->Describe(leader);
    return seen.has_value() &&
           std::any_of(seen->committed_voters().begin(), seen->committed_voters().end(),
                       [&](const v1::QuorumVoter& voter) {
                         const v1::Endpoint& endpoint = voter.controller_endpoint();
                         return voter.node_id() == moved + 1 &&
                                fmt::format("{}:{}", endpoint.host(), endpoint.port()) == wanted;
                       });
  }));
}

TEST_F(MembershipTest, DryRunsShowWhatWouldBeAndChangeNothing) {
  ASSERT_NO_FATAL_FAILURE(Begin(3));
  const CommandResult removal = Quorum({"remove-voter", "--node-id", "3", "--dry-run"});
  EXPECT_EQ(removal.exit_code, 0) << removal.output;
  EXPECT_NE(removal.output.find("2 voters, 2 needed, 0 may be lost"), std::string::npos)
      << removal.output;
  const CommandResult unsure = Quorum({"remove-voter", "--node-id", "3"});
  EXPECT_EQ(unsure.exit_code, 2) << "not without --yes: " << unsure.output;
  const int index = cluster_->AddJoiner(generation_);
  cluster_->Start(index);
  const CommandResult addition = Quorum({"add-voter", "--node-id", "4", "--controller-endpoint",
                                         cluster_->controller_endpoint(index), "--dry-run"});
  EXPECT_EQ(addition.exit_code, 0) << addition.output;
  EXPECT_NE(addition.output.find("4 voters, 3 needed, 1 may be lost"), std::string::npos)
      << addition.output;
  EXPECT_EQ(Voters(), (std::vector<int>{1, 2, 3}));
}

}  // namespace
}  // namespace kvorum::testing
