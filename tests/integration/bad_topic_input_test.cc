// Topics, partitions and in-sync replicas that cannot be: faults of the request, and of its items.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/integration/bad_input_fixture.h"

namespace kvorum::testing {
namespace {

constexpr auto kInvalidArgument = grpc::StatusCode::INVALID_ARGUMENT;
constexpr auto kFailedPrecondition = grpc::StatusCode::FAILED_PRECONDITION;
constexpr auto kNotFound = grpc::StatusCode::NOT_FOUND;
constexpr auto kAborted = grpc::StatusCode::ABORTED;
constexpr auto kAlreadyExists = grpc::StatusCode::ALREADY_EXISTS;

constexpr char kCreateTopics[] = "kvorum.v1.TopicService/CreateTopics";
constexpr char kDeleteTopics[] = "kvorum.v1.TopicService/DeleteTopics";
constexpr char kCreatePartitions[] = "kvorum.v1.TopicService/CreatePartitions";
constexpr char kAlterPartition[] = "kvorum.v1.TopicService/AlterPartition";
constexpr char kListTopics[] = "kvorum.v1.TopicService/ListTopics";
constexpr char kGetTopic[] = "kvorum.v1.TopicService/GetTopic";

TEST_F(BadInputTest, RefusesBadTopicRequests) {
  const std::string name = "topics { name: 'x' } ";
  ExpectRefused({
      {kCreateTopics, "", kInvalidArgument, "INVALID_REQUEST"},
      {kCreateTopics, Repeat(name, 1001), kInvalidArgument, "POLICY_VIOLATION"},
      {kCreateTopics, "topics { name: 'x' partition_count: 1000000000 }", kInvalidArgument,
       "POLICY_VIOLATION"},
      {kCreateTopics, "topics { name: 'x' partition_count: 2147483647 }", kInvalidArgument,
       "POLICY_VIOLATION"},
      // 10,000 partitions and the topic itself: one record more than a batch holds.
      {kCreateTopics, "topics { name: 'x' partition_count: 10000 }", kInvalidArgument,
       "POLICY_VIOLATION"},
      {kDeleteTopics, "", kInvalidArgument, "INVALID_REQUEST"},
      {kDeleteTopics, Repeat(name, 1001), kInvalidArgument, "POLICY_VIOLATION"},
      {kCreatePartitions, "", kInvalidArgument, "INVALID_REQUEST"},
      {kCreatePartitions, Repeat(name, 1001), kInvalidArgument, "POLICY_VIOLATION"},
      {kCreatePartitions, "topics { name: 't' new_partition_count: 2147483647 }", kInvalidArgument,
       "POLICY_VIOLATION"},
      {kGetTopic, "", kInvalidArgument, "INVALID_REQUEST"},
      {kGetTopic, "topic { name: 'missing' }", kNotFound, "UNKNOWN_TOPIC_OR_PARTITION"},
      {kGetTopic, "topic { topic_id: 'nonsense' }", kInvalidArgument, "INVALID_REQUEST"},
      {kGetTopic, "topic { topic_id: '00000000-0000-4000-8000-000000000001' }", kNotFound,
       "UNKNOWN_TOPIC_ID"},
      {kListTopics, fmt::format("name_prefix: '{}'", std::string(250, 'x')), kInvalidArgument,
       "INVALID_REQUEST"},
  });
}

TEST_F(BadInputTest, RefusesBadTopicsOneByOne) {
  std::vector<BadItem> cases = {
      {kCreateTopics, "topics { name: 't' }", kAlreadyExists, "TOPIC_ALREADY_EXISTS"},
      {kCreateTopics, "topics { name: 'x' partition_count: -2 }", kInvalidArgument,
       "INVALID_PARTITIONS"},
      {kCreateTopics, "topics { name: 'x' partition_count: -2147483648 }", kInvalidArgument,
       "INVALID_PARTITIONS"},
      {kCreateTopics, "topics { name: 'x' replication_factor: -2 }", kInvalidArgument,
       "INVALID_REPLICATION_FACTOR"},
      {kCreateTopics, "topics { name: 'x' replication_factor: 2 }", kInvalidArgument,
       "INVALID_REPLICATION_FACTOR"},
      {kCreateTopics, "topics { name: 'x' replication_factor: 2147483647 }", kInvalidArgument,
       "INVALID_REPLICATION_FACTOR"},
      {kCreateTopics, "topics { name: 'x' partition_count: 1 assignments { replicas: 1 } }",
       kInvalidArgument, "INVALID_REQUEST"},
      {kCreateTopics, "topics { name: 'x' } topics { name: 'x' }", kInvalidArgument,
       "INVALID_REQUEST"},
      {kCreateTopics, "topics { name: 'x' } topics { name: '..' } all_or_nothing: true",
       kInvalidArgument, "INVALID_REQUEST"},
      {kDeleteTopics, "topics { name: 'missing' }", kNotFound, "UNKNOWN_TOPIC_OR_PARTITION"},
      {kDeleteTopics, "topics { topic_id: 'nonsense' }", kInvalidArgument, "INVALID_REQUEST"},
      {kDeleteTopics, "topics { }", kInvalidArgument, "INVALID_REQUEST"},
      {kCreatePartitions, "topics { name: 'missing' new_partition_count: 2 }", kNotFound,
       "UNKNOWN_TOPIC_OR_PARTITION"},
      {kCreatePartitions, "topics { name: 't' new_partition_count: 3 }", kInvalidArgument,
       "INVALID_PARTITIONS"},
      {kCreatePartitions, "topics { name: 't' new_partition_count: -1 }", kInvalidArgument,
       "INVALID_PARTITIONS"},
      {kCreatePartitions, "topics { name: 't' new_partition_count: -2147483648 }", kInvalidArgument,
       "INVALID_PARTITIONS"},
      {kCreatePartitions,
       "topics { name: 't' new_partition_count: 5 assignments { "
       "partition_index: 3 replicas: 1 } }",
       kInvalidArgument, "INVALID_REPLICA_ASSIGNMENT"},
  };
  for (const std::string& name :
       {std::string(), std::string(250, 'x'), std::string("."), std::string(".."),
        std::string("a/b"), std::string("a\\000b"), std::string("a\\nb"), std::string("%n"),
        std::string("\\342\\200\\256abc"), std::string("\\360\\237\\230\\200"), std::string(" ")}) {
    cases.push_back({kCreateTopics, fmt::format("topics {{ name: '{}' }}", name), kInvalidArgument,
                     "INVALID_TOPIC_EXCEPTION"});
  }
  for (const char* assignments :
       {"assignments { }", "assignments { replicas: [1, 1] }", "assignments { replicas: 2 }",
        "assignments { replicas: -1 }", "assignments { partition_index: 1 replicas: 1 }",
        "assignments { partition_index: -1 replicas: 1 }",
        "assignments { replicas: 1 } assignments { replicas: 1 }"}) {
    cases.push_back({kCreateTopics, fmt::format("topics {{ name: 'x' {} }}", assignments),
                     kInvalidArgument, "INVALID_REPLICA_ASSIGNMENT"});
  }
  ExpectItemRefused(cases);
}

TEST_F(BadInputTest, RefusesBadAlterPartitionRequests) {
  const std::string good_item = fmt::format(
      "topic_id: '{}' leader_epoch: 0 partition_epoch: 0 new_isr {{ broker_id: 1 }} ", topic_id());
  ExpectRefused({
      {kAlterPartition, "broker_id: -1", kInvalidArgument, "INVALID_REQUEST"},
      {kAlterPartition, Sender(), kInvalidArgument, "INVALID_REQUEST"},
      {kAlterPartition, Sender() + Repeat("partitions { } ", 10'001), kInvalidArgument,
       "INVALID_REQUEST"},
      {kAlterPartition, fmt::format("broker_id: 99 partitions {{ {} }}", good_item), kNotFound,
       "BROKER_ID_NOT_REGISTERED"},
      {kAlterPartition,
       fmt::format("broker_id: 1 broker_epoch: 999999 partitions {{ {} }}", good_item),
       kFailedPrecondition, "STALE_BROKER_EPOCH"},
  });
  std::vector<BadItem> cases;
  const auto add = [&](const std::string& item, grpc::StatusCode code, const std::string& reason) {
    cases.push_back(
        {kAlterPartition, Sender() + fmt::format("partitions {{ {} }}", item), code, reason});
  };
  const std::string topic = fmt::format("topic_id: '{}' ", topic_id());
  add("", kInvalidArgument, "INVALID_REQUEST");
  add("topic_id: '00000000-0000-4000-8000-000000000001'", kNotFound, "UNKNOWN_TOPIC_ID");
  add(topic + "partition_index: 3", kNotFound, "UNKNOWN_TOPIC_OR_PARTITION");
  add(topic + "partition_index: -1", kNotFound, "UNKNOWN_TOPIC_OR_PARTITION");
  add(topic + "leader_epoch: 5", grpc::StatusCode::UNAVAILABLE, "NOT_CONTROLLER");
  add(topic + "leader_epoch: 2147483647", grpc::StatusCode::UNAVAILABLE, "NOT_CONTROLLER");
  add(topic + "leader_epoch: -1", kFailedPrecondition, "FENCED_LEADER_EPOCH");
  add(topic + "partition_epoch: 5", grpc::StatusCode::UNAVAILABLE, "NOT_CONTROLLER");
  add(topic + "partition_epoch: -1", kAborted, "INVALID_UPDATE_VERSION");
  add(topic, kInvalidArgument, "INVALID_REQUEST");  // no in-sync replicas at all
  add(topic + "new_isr { broker_id: 1 } new_isr { broker_id: 1 }", kInvalidArgument,
      "INVALID_REQUEST");
  add(topic + "new_isr { broker_id: 1 } new_isr { broker_id: 2 }", kInvalidArgument,
      "INVALID_REQUEST");
  add(topic + "new_isr { broker_id: 1 } leader_recovery_state: 9", kInvalidArgument,
      "INVALID_REQUEST");
  add(topic + "new_isr { broker_id: 1 } leader_recovery_state: 1", kInvalidArgument,
      "INVALID_REQUEST");
  add(topic + "new_isr { broker_id: 1 broker_epoch: 12345678 }", kFailedPrecondition,
      "INELIGIBLE_REPLICA");
  ExpectItemRefused(cases);
}

}  // namespace
}  // namespace kvorum::testing
