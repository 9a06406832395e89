// Transactions that cannot be: refused as a whole, with the operation's reason and its place.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/bad_input_fixture.h"

namespace kvorum::testing {
namespace {

using ::testing::HasSubstr;

constexpr auto kInvalidArgument = grpc::StatusCode::INVALID_ARGUMENT;
constexpr auto kNotFound = grpc::StatusCode::NOT_FOUND;
constexpr auto kAborted = grpc::StatusCode::ABORTED;
constexpr auto kAlreadyExists = grpc::StatusCode::ALREADY_EXISTS;

constexpr char kCommit[] = "kvorum.v1.MetadataService/Commit";
constexpr char kPut[] = "operations { put_entry { key: 'new' value: 'v' } } ";

TEST_F(BadInputTest, RefusesTransactionsThatAreNone) {
  const std::string put = kPut;
  ExpectRefused({
      {kCommit, "", kInvalidArgument, "INVALID_REQUEST"},
      {kCommit, "operations {}", kInvalidArgument, "INVALID_REQUEST"},
      {kCommit, put + "operations {}", kInvalidArgument, "INVALID_REQUEST"},
      {kCommit, Repeat(put, 1'001), kInvalidArgument, "POLICY_VIOLATION"},
      {kCommit, Repeat("operations { drain_broker { broker_id: 1 } } ", 11), kInvalidArgument,
       "POLICY_VIOLATION"},
      {kCommit, put + Repeat("preconditions { entry { key: 'none' } } ", 1'001), kInvalidArgument,
       "POLICY_VIOLATION"},
      {kCommit, put + "preconditions {}", kInvalidArgument, "INVALID_REQUEST"},
      {kCommit, put + "preconditions { entry { key: 'k' version: -1 } }", kInvalidArgument,
       "INVALID_REQUEST"},
      {kCommit, put + "preconditions { entry { key: 'k' version: 0 } }", kAborted,
       "INVALID_UPDATE_VERSION"},
      {kCommit, put + "preconditions { topic { name: 't' } }", kAborted, "INVALID_UPDATE_VERSION"},
      {kCommit, put + "preconditions { topic { name: 't' topic_id: 'x' } }", kInvalidArgument,
       "INVALID_REQUEST"},
      {kCommit, put + "preconditions { config { resource { type: 1 name: 't' } name: 'x' } }",
       kInvalidArgument, "INVALID_REQUEST"},
      {kCommit,
       put + "preconditions { config { resource { type: 1 name: 't' } name: 'retention.ms' "
             "value: '1' } }",
       kAborted, "INVALID_UPDATE_VERSION"},
      {kCommit, put + "preconditions { broker { broker_id: 1 broker_epoch: -1 } }", kAborted,
       "INVALID_UPDATE_VERSION"},
      {kCommit, put + "preconditions { broker { broker_id: -1 } }", kInvalidArgument,
       "INVALID_REQUEST"},
      {kCommit, "operations { put_entry { key: 'k' cluster_id: 'c' } }", kInvalidArgument,
       "INVALID_REQUEST"},
      {kCommit, "operations { put_entry { key: 'k' options { validate_only: true } } }",
       kInvalidArgument, "INVALID_REQUEST"},
      {kCommit, "operations { create_topics { topics { name: 'u' } explain: true } }",
       kInvalidArgument, "INVALID_REQUEST"},
  });
}

// Whatever an operation is refused for by the RPC of its own, it is refused for here, and all that
// stands before it goes with it.
TEST_F(BadInputTest, RefusesTransactionsOfWhichOneOperationIsBad) {
  const std::string put = kPut;
  ExpectRefused({
      {kCommit, put + "operations { put_entry { key: '' } }", kInvalidArgument, "INVALID_KEY"},
      {kCommit, put + "operations { put_entry { key: 'new' expected_version: 0 } }", kAborted,
       "INVALID_UPDATE_VERSION"},
      {kCommit, put + "operations { delete_entry { key: 'missing' } }", kNotFound, "UNKNOWN_KEY"},
      {kCommit, put + "operations { create_topics { topics { name: 't' } } }", kAlreadyExists,
       "TOPIC_ALREADY_EXISTS"},
      {kCommit, put + "operations { create_topics { topics { name: 'u' } topics { name: '.' } } }",
       kInvalidArgument, "INVALID_TOPIC_EXCEPTION"},
      {kCommit, put + "operations { delete_topics { topics { name: 'missing' } } }", kNotFound,
       "UNKNOWN_TOPIC_OR_PARTITION"},
      {kCommit,
       put + "operations { create_partitions { topics { name: 't' new_partition_count: 1 } } }",
       kInvalidArgument, "INVALID_PARTITIONS"},
      {kCommit,
       put + "operations { alter_configs { resources { resource { type: 1 name: 't' } operations "
             "{ name: 'nonsense' operation: 1 value: '1' } } } }",
       kInvalidArgument, "INVALID_CONFIG"},
      {kCommit, put + "operations { alter_client_quotas { entities {} } }", kInvalidArgument,
       "INVALID_REQUEST"},
      {kCommit, put + "operations { create_acls { acls {} } }", kInvalidArgument,
       "INVALID_REQUEST"},
      {kCommit, put + "operations { delete_acls { filters {} } }", kInvalidArgument,
       "INVALID_REQUEST"},
      {kCommit,
       put + "operations { alter_user_scram_credentials { deletions { user: 'u' mechanism: 1 } } }",
       kNotFound, "RESOURCE_NOT_FOUND"},
      {kCommit,
       put + "operations { update_features { updates { name: 'nonsense' level: 1 "
             "upgrade_type: 1 } } }",
       kAborted, "INVALID_UPDATE_VERSION"},
      {kCommit,
       put + "operations { elect_leaders { election_type: 1 topics { topic { name: 'x' } } } }",
       kNotFound, "UNKNOWN_TOPIC_OR_PARTITION"},
      {kCommit,
       put + "operations { alter_partition_reassignments { partitions { topic { name: 't' } "
             "cancel: true } } }",
       grpc::StatusCode::FAILED_PRECONDITION, "NO_REASSIGNMENT_IN_PROGRESS"},
      {kCommit, put + "operations { drain_broker { broker_id: 9 } }", kNotFound,
       "BROKER_ID_NOT_REGISTERED"},
      {kCommit, put + "operations { undrain_broker { broker_id: -1 } }", kInvalidArgument,
       "INVALID_REQUEST"},
      {kCommit, put + "operations { unregister_broker { broker_id: 9 } }", kNotFound,
       "BROKER_ID_NOT_REGISTERED"},
      {kCommit,
       put + "operations { create_topics { topics { name: 'u' partition_count: 6000 } } } "
             "operations { create_topics { topics { name: 'v' partition_count: 6000 } } }",
       kInvalidArgument, "POLICY_VIOLATION"},
  });
  const RawAnswer answer =
      Send(kCommit, RequestFromText(kCommit, put + "operations { put_entry { key: '' } }"));
  EXPECT_THAT(answer.error().message, HasSubstr("operation 1 (put_entry)"));
}

}  // namespace
}  // namespace kvorum::testing
