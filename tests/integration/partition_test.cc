// Draining, elections, reassignments and lists of partitions, through kvorumctl and the client.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/integration/demo_broker_process.h"
#include "tests/integration/fake_broker.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PartitionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_.StartAll();
    client_ = cluster_.MakeClient();
    for (int32_t id = 1; id <= 4; ++id) {
      brokers_.emplace_back(*client_, id, fmt::format("rack-{}", id % 2));
      ASSERT_TRUE(brokers_.back().Register());
      ASSERT_TRUE(brokers_.back().BecomeUnfenced());
    }
    Expect(0, "created topic t",
           {"topic", "create", "t", "--assignment", "0:1,2,3", "--assignment", "1:2,3,1"});
  }

  void Expect(int exit_code, const std::string& text, std::vector<std::string> args) const {
    const std::string shown = fmt::format("kvorumctl {}", fmt::join(args, " "));
    args.insert(args.begin(),
                {Cluster::BinaryPath("kvorumctl"), "--endpoints", cluster_.endpoints()});
    const CommandResult result = RunCommand(args);
    EXPECT_EQ(result.exit_code, exit_code) << shown << "\n" << result.output;
    EXPECT_THAT(result.output, HasSubstr(text)) << shown;
  }

  v1::PartitionInfo Now(int index) const {
    v1::GetTopicRequest request;
    request.mutable_topic()->set_name("t");
    const auto answer = client_->GetTopic(request);
    EXPECT_TRUE(answer.ok());
    return answer.ok() ? answer->partitions(index) : v1::PartitionInfo();
  }

  // The leader of partition `index` reports its in-sync replicas.
  v1::ItemStatus ReportIsr(int index, const std::vector<int32_t>& isr) const {
    const v1::PartitionInfo now = Now(index);
    const FakeBroker& leader = brokers_.at(static_cast<size_t>(now.leader() - 1));
    v1::GetTopicRequest get;
    get.mutable_topic()->set_name("t");
    v1::AlterPartitionRequest request;
    request.set_broker_id(leader.id());
    request.set_broker_epoch(leader.epoch());
    v1::AlterPartitionRequest::Item& item = *request.add_partitions();
    item.set_topic_id(client_->GetTopic(get)->topic().topic_id());
    item.set_partition_index(index);
    item.set_leader_epoch(now.leader_epoch());
    item.set_partition_epoch(now.partition_epoch());
    for (const int32_t id : isr) {
      v1::IsrMember& member = *item.add_new_isr();
      member.set_broker_id(id);
      member.set_broker_epoch(-1);
    }
    const auto answer = client_->AlterPartition(request);
    EXPECT_TRUE(answer.ok());
    return answer.ok() ? answer->results(0).status() : v1::ItemStatus();
  }

  // Its brokers do not heartbeat on their own.
  Cluster cluster_{ClusterOptions{.run_flags = {"--broker-session-timeout-ms", "600000"}}};
  std::unique_ptr<client::ControllerClient> client_;
  std::vector<FakeBroker> brokers_;
};

TEST_F(PartitionTest, ADrainedBrokerLeadsNothingUntilItIsTakenBack) {
  Expect(0, "drained broker 1: 1 leaderships moved, 0 remain", {"broker", "drain", "1"});
  Expect(0, "drained broker 1: 0 leaderships moved, 0 remain", {"broker", "drain", "1"});
  EXPECT_EQ(Now(0).leader(), 2);
  EXPECT_THAT(Now(0).isr(), ElementsAre(1, 2, 3));
  Expect(0, "broker 1 drained", {"broker", "get", "1"});
  Expect(0, "drained", {"broker", "list"});
  Expect(1, "INVALID_REPLICA_ASSIGNMENT", {"topic", "create", "u", "--assignment", "0:1,2"});
  Expect(0, "drained: gets no new replicas",
         {"topic", "create", "u", "--validate-only", "--explain", "--partitions", "4"});
  Expect(4, "PREFERRED_LEADER_NOT_AVAILABLE", {"partition", "elect", "--topic", "t"});
  Expect(0, "undrained broker 1", {"broker", "undrain", "1"});
  Expect(0, "topic t partition 0: broker 1 leads with epoch 2",
         {"partition", "elect", "--topic", "t"});
  Expect(0, "no partition of topic t needs an election", {"partition", "elect", "--topic", "t"});
  Expect(3, "BROKER_ID_NOT_REGISTERED", {"broker", "drain", "99"});
  Expect(3, "BROKER_ID_NOT_REGISTERED", {"broker", "get", "99"});
}

TEST_F(PartitionTest, ReplicasMoveAndTheMoveEndsByItself) {
  Expect(0, "topic t partition 0: replicas 4,2,1*,3 adding 4 removing 1,3",
         {"partition", "reassign", "t:0=4,2"});
  Expect(0, "0/1", {"partition", "reassignments"});
  Expect(0, "reassigning", {"partition", "list", "--topic", "t"});
  EXPECT_EQ(ReportIsr(0, {1, 2, 3, 4}).reason(), "NEW_LEADER_ELECTED");
  EXPECT_THAT(Now(0).replicas(), ElementsAre(4, 2));
  EXPECT_EQ(Now(0).leader(), 4) << "the first of the new replicas";
  Expect(4, "NO_REASSIGNMENT_IN_PROGRESS", {"partition", "reassign", "--cancel", "t:0"});
  Expect(0, "adding 1", {"partition", "reassign", "t:0=4,2,1"});
  Expect(0, "replicas 4", {"partition", "reassign", "--cancel", "t:0"});
  EXPECT_THAT(Now(0).adding_replicas(), ElementsAre());
  Expect(1, "INVALID_REPLICA_ASSIGNMENT", {"partition", "reassign", "t:0=4,99"});
  Expect(2, "", {"partition", "reassign", "t:0"});
  Expect(2, "", {"partition", "reassign", "t=1"});
}

TEST_F(PartitionTest, ListsFindWhatIsWrong) {
  const auto list = [this](const std::string& flag) {
    v1::DescribePartitionsRequest request;
    request.set_offline(flag == "offline");
    request.set_under_replicated(flag == "under-replicated");
    request.set_at_min_isr(flag == "at-min-isr");
    const auto answer = client_->DescribePartitions(request);
    EXPECT_TRUE(answer.ok());
    return answer.ok() ? answer->partitions_size() : -1;
  };
  EXPECT_EQ(list("under-replicated"), 0);
  ASSERT_EQ(ReportIsr(1, {2, 3}).code(), 0);
  EXPECT_EQ(list("under-replicated"), 1);
  EXPECT_EQ(list("at-min-isr"), 0);
  ASSERT_EQ(ReportIsr(1, {2}).code(), 0);
  EXPECT_EQ(list("at-min-isr"), 1);
  EXPECT_EQ(list("offline"), 0);
  v1::UnregisterBrokerRequest unregister;
  unregister.set_broker_id(2);
  ASSERT_TRUE(client_->UnregisterBroker(unregister).ok());
  EXPECT_EQ(list("offline"), 1);
  Expect(0, "offline,under-replicated", {"partition", "list", "--offline"});
  Expect(2, "--yes", {"partition", "elect", "--topic", "t", "--unclean"});
  Expect(0, "topic t partition 1: broker 3 leads",
         {"partition", "elect", "--topic", "t", "--partition", "1", "--unclean", "--yes"});
  EXPECT_EQ(Now(1).leader_recovery_state(), v1::LEADER_RECOVERY_STATE_RECOVERING);
  Expect(0, "recovering", {"partition", "list", "--broker", "3"});
}

}  // namespace
}  // namespace kvorum::testing
