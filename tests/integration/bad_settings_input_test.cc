// Configs, quotas, access control, credentials, features, producer ids and entries that cannot be.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/integration/bad_input_fixture.h"

namespace kvorum::testing {
namespace {

constexpr auto kInvalidArgument = grpc::StatusCode::INVALID_ARGUMENT;
constexpr auto kFailedPrecondition = grpc::StatusCode::FAILED_PRECONDITION;
constexpr auto kNotFound = grpc::StatusCode::NOT_FOUND;
constexpr auto kAborted = grpc::StatusCode::ABORTED;

constexpr char kAlterConfigs[] = "kvorum.v1.ConfigService/AlterConfigs";
constexpr char kDescribeConfigs[] = "kvorum.v1.ConfigService/DescribeConfigs";
constexpr char kAlterQuotas[] = "kvorum.v1.QuotaService/AlterClientQuotas";
constexpr char kDescribeQuotas[] = "kvorum.v1.QuotaService/DescribeClientQuotas";
constexpr char kCreateAcls[] = "kvorum.v1.AclService/CreateAcls";
constexpr char kDeleteAcls[] = "kvorum.v1.AclService/DeleteAcls";
constexpr char kDescribeAcls[] = "kvorum.v1.AclService/DescribeAcls";
constexpr char kAlterCredentials[] = "kvorum.v1.CredentialService/AlterUserScramCredentials";
constexpr char kDescribeCredentials[] = "kvorum.v1.CredentialService/DescribeUserScramCredentials";
constexpr char kUpdateFeatures[] = "kvorum.v1.FeatureService/UpdateFeatures";
constexpr char kAllocate[] = "kvorum.v1.ProducerIdService/AllocateProducerIds";
constexpr char kPut[] = "kvorum.v1.EntryService/Put";
constexpr char kDelete[] = "kvorum.v1.EntryService/Delete";
constexpr char kGet[] = "kvorum.v1.EntryService/Get";
constexpr char kListEntries[] = "kvorum.v1.EntryService/List";

// `text` with the field of "name: value" set to that; each field ends with a blank.
std::string ReplaceField(std::string text, const std::string& field) {
  const size_t begin = text.find(field.substr(0, field.find(':') + 1));
  return text.replace(begin, text.find(' ', text.find(' ', begin) + 1) - begin, field);
}

TEST_F(BadInputTest, RefusesBadConfigs) {
  const std::string resource =
      "resources { resource { type: CONFIG_RESOURCE_TYPE_TOPIC name: 't' } ";
  const std::string operation = "operations { name: 'retention.ms' operation: 1 value: '1' } ";
  ExpectRefused({
      {kAlterConfigs, "", kInvalidArgument, "INVALID_REQUEST"},
      {kAlterConfigs, Repeat(resource + "} ", 1'001), kInvalidArgument, "POLICY_VIOLATION"},
      {kAlterConfigs, resource + Repeat(operation, 10'001) + "}", kInvalidArgument,
       "POLICY_VIOLATION"},
      {kDescribeConfigs, "", kInvalidArgument, "INVALID_REQUEST"},
      {kDescribeConfigs, Repeat(resource + "} ", 1'001), kInvalidArgument, "POLICY_VIOLATION"},
      {kDescribeConfigs, resource + "} broker_id: -1", kInvalidArgument, "INVALID_REQUEST"},
  });
  std::vector<BadItem> cases;
  const auto set = [](const std::string& name, const std::string& value) {
    return fmt::format("operations {{ name: '{}' operation: CONFIG_OPERATION_SET value: '{}' }} }}",
                       name, value);
  };
  for (const auto& [name, value] :
       {std::pair("nonsense", "1"), std::pair("", "1"), std::pair("retention.ms", "x"),
        std::pair("retention.ms", "-2"), std::pair("cleanup.policy", "burn"),
        std::pair("retention.ms", "1\\000"), std::pair("preallocate", "TRUE")}) {
    cases.push_back(
        {kAlterConfigs, resource + set(name, value), kInvalidArgument, "INVALID_CONFIG"});
  }
  cases.push_back(
      {kAlterConfigs,
       resource + set("leader.replication.throttled.replicas", std::string(32'768, 'v')),
       kInvalidArgument, "INVALID_CONFIG"});
  cases.push_back({kAlterConfigs, resource + "}", kInvalidArgument, "INVALID_REQUEST"});
  cases.push_back(
      {kAlterConfigs, resource + operation + operation + "}", kInvalidArgument, "INVALID_REQUEST"});
  cases.push_back({kAlterConfigs, "resources { }", kInvalidArgument, "INVALID_REQUEST"});
  cases.push_back({kAlterConfigs, "resources { resource { type: 99 name: 't' } }", kInvalidArgument,
                   "INVALID_REQUEST"});
  cases.push_back({kAlterConfigs, resource + "operations { name: 'retention.ms' operation: 9 } }",
                   kInvalidArgument, "INVALID_REQUEST"});
  cases.push_back({kAlterConfigs, "resources { resource { type: 1 name: 'missing' } }", kNotFound,
                   "UNKNOWN_TOPIC_OR_PARTITION"});
  cases.push_back({kAlterConfigs, "resources { resource { type: 2 name: '99' } }", kNotFound,
                   "BROKER_ID_NOT_REGISTERED"});
  cases.push_back({kAlterConfigs, "resources { resource { type: 2 name: 'x' } }", kInvalidArgument,
                   "INVALID_REQUEST"});
  cases.push_back({kDescribeConfigs, "resources { resource { type: 1 name: 'missing' } }",
                   kNotFound, "UNKNOWN_TOPIC_OR_PARTITION"});
  cases.push_back(
      {kDescribeConfigs, resource + "names: 'nonsense' }", kInvalidArgument, "INVALID_CONFIG"});
  cases.push_back({"kvorum.v1.TopicService/CreateTopics",
                   "topics { name: 'x' configs { name: 'retention.ms' value: 'x' } }",
                   kInvalidArgument, "INVALID_CONFIG"});
  ExpectItemRefused(cases);
}

TEST_F(BadInputTest, RefusesBadQuotas) {
  ExpectRefused({
      {kAlterQuotas, "", kInvalidArgument, "INVALID_REQUEST"},
      {kAlterQuotas, Repeat("entities { } ", 1'001), kInvalidArgument, "POLICY_VIOLATION"},
      {kDescribeQuotas, "filters { type: 1 }", kInvalidArgument, "INVALID_REQUEST"},
      {kDescribeQuotas, "filters { type: 9 any: true }", kInvalidArgument, "INVALID_REQUEST"},
      {kDescribeQuotas, Repeat("filters { type: 1 any: true } ", 2), kInvalidArgument,
       "INVALID_REQUEST"},
      {kDescribeQuotas, Repeat("filters { type: 1 any: true } ", 100), kInvalidArgument,
       "INVALID_REQUEST"},
  });
  std::vector<BadItem> cases;
  const std::string good = "entity { type: QUOTA_ENTITY_TYPE_USER name: 'u' } ";
  for (const std::string& item :
       {std::string(), good, std::string("entity { } "),
        std::string("entity { type: 77 name: 'u' } "),
        std::string(
            "entity { type: 1 name: '' } operations { key: 'request_percentage' value: 1 }"),
        good + good + "operations { key: 'request_percentage' value: 1 }",
        good + "entity { type: 3 } operations { key: 'request_percentage' value: 1 }",
        good + "operations { key: 'nonsense' value: 1 }",
        good + "operations { key: 'request_percentage' value: 0 }",
        good + "operations { key: 'request_percentage' value: -1 }",
        good + "operations { key: 'request_percentage' value: nan }",
        good + "operations { key: 'request_percentage' value: inf }",
        good + "operations { key: 'producer_byte_rate' value: 0.5 }",
        good + "operations { key: 'connection_creation_rate' value: 1 }"}) {
    cases.push_back({kAlterQuotas, fmt::format("entities {{ {} }}", item), kInvalidArgument,
                     "INVALID_REQUEST"});
  }
  ExpectItemRefused(cases);
}

TEST_F(BadInputTest, RefusesBadAcls) {
  const std::string good =
      "resource_type: 2 resource_name: 'x' pattern_type: 3 principal: 'User:a' host: '*' "
      "operation: 3 permission: 3 ";
  ExpectRefused({
      {kCreateAcls, "", kInvalidArgument, "INVALID_REQUEST"},
      {kCreateAcls, Repeat("acls { } ", 1'001), kInvalidArgument, "POLICY_VIOLATION"},
      {kDeleteAcls, "", kInvalidArgument, "INVALID_REQUEST"},
      {kDeleteAcls, Repeat("filters { } ", 26), kInvalidArgument, "POLICY_VIOLATION"},
      {kDescribeAcls, "filter { }", kInvalidArgument, "INVALID_REQUEST"},
      {kDescribeAcls, "filter { resource_type: 1 pattern_type: 1 operation: 1 permission: 9 }",
       kInvalidArgument, "INVALID_REQUEST"},
  });
  std::vector<BadItem> cases;
  for (const char* last :
       {"resource_type: 0", "resource_type: 1", "resource_type: 99", "resource_name: ''",
        "pattern_type: 1", "pattern_type: 2", "pattern_type: -5", "principal: 'a'",
        "principal: ':'", "principal: ''", "host: ''", "host: 'a\\nb'", "operation: 0",
        "operation: 1", "operation: 100", "permission: 1", "permission: 0", "resource_type: 4"}) {
    cases.push_back({kCreateAcls, fmt::format("acls {{ {} }}", ReplaceField(good, last)),
                     kInvalidArgument, "INVALID_REQUEST"});
  }
  for (const char* filter :
       {"", "resource_type: 1 pattern_type: 1 operation: 1",
        "resource_type: 1 pattern_type: 1 operation: 1 permission: 1 principal: ''"}) {
    cases.push_back({kDeleteAcls, fmt::format("filters {{ {} }}", filter), kInvalidArgument,
                     "INVALID_REQUEST"});
  }
  ExpectItemRefused(cases);
}

TEST_F(BadInputTest, RefusesBadCredentials) {
  ExpectRefused({
      {kAlterCredentials, "", kInvalidArgument, "INVALID_REQUEST"},
      {kAlterCredentials, Repeat("deletions { } ", 1'001), kInvalidArgument, "POLICY_VIOLATION"},
      {kDescribeCredentials, Repeat("users: 'u' ", 1'001), kInvalidArgument, "POLICY_VIOLATION"},
  });
  const std::string key(32, 'k');
  const auto upsertion = [&](const std::string& user, int mechanism, int iterations) {
    return fmt::format(
        "upsertions {{ user: '{}' mechanism: {} iterations: {} salt: 'saltsalt' stored_key: '{}' "
        "server_key: '{}' }} ",
        user, mechanism, iterations, key, key);
  };
  ExpectItemRefused({
      {kAlterCredentials, "upsertions { }", kInvalidArgument, "UNACCEPTABLE_CREDENTIAL"},
      {kAlterCredentials, upsertion("", 1, 4'096), kInvalidArgument, "UNACCEPTABLE_CREDENTIAL"},
      {kAlterCredentials, upsertion("u", 1, 4'095), kInvalidArgument, "UNACCEPTABLE_CREDENTIAL"},
      {kAlterCredentials, upsertion("u", 1, 16'385), kInvalidArgument, "UNACCEPTABLE_CREDENTIAL"},
      {kAlterCredentials, upsertion("u", 1, -1), kInvalidArgument, "UNACCEPTABLE_CREDENTIAL"},
      {kAlterCredentials, upsertion("u", 2, 4'096), kInvalidArgument, "UNACCEPTABLE_CREDENTIAL"},
      {kAlterCredentials, upsertion("u", 0, 4'096), kInvalidArgument, "UNSUPPORTED_SASL_MECHANISM"},
      {kAlterCredentials, upsertion("u", 9, 4'096), kInvalidArgument, "UNSUPPORTED_SASL_MECHANISM"},
      {kAlterCredentials, Repeat(upsertion("u", 1, 4'096), 2), kInvalidArgument,
       "DUPLICATE_RESOURCE"},
      {kAlterCredentials, "deletions { user: 'nobody' mechanism: 1 }", kNotFound,
       "RESOURCE_NOT_FOUND"},
      {kDescribeCredentials, "users: 'nobody'", kNotFound, "RESOURCE_NOT_FOUND"},
      {kDescribeCredentials, "users: 'u' users: 'u'", kInvalidArgument, "DUPLICATE_RESOURCE"},
  });
}

TEST_F(BadInputTest, RefusesBadFeatureUpdates) {
  ExpectRefused({
      {kUpdateFeatures, "", kInvalidArgument, "INVALID_REQUEST"},
      {kUpdateFeatures, Repeat("updates { } ", 101), kInvalidArgument, "POLICY_VIOLATION"},
  });
  const auto update = [](const std::string& name, int level, int type) {
    return fmt::format("updates {{ name: '{}' level: {} upgrade_type: {} }} ", name, level, type);
  };
  ExpectItemRefused({
      {kUpdateFeatures, update("nonsense", 1, 1), kAborted, "INVALID_UPDATE_VERSION"},
      {kUpdateFeatures, update("metadata.version", 99, 1), kAborted, "INVALID_UPDATE_VERSION"},
      {kUpdateFeatures, update("metadata.version", -1, 2), kAborted, "INVALID_UPDATE_VERSION"},
      {kUpdateFeatures, update("metadata.version", 1, 1), kAborted, "INVALID_UPDATE_VERSION"},
      {kUpdateFeatures, update("metadata.version", 1, 3), kAborted, "INVALID_UPDATE_VERSION"},
      {kUpdateFeatures, update("metadata.version", 2, 0), kInvalidArgument, "INVALID_REQUEST"},
      {kUpdateFeatures, update("metadata.version", 2, 9), kInvalidArgument, "INVALID_REQUEST"},
      {kUpdateFeatures, Repeat(update("metadata.version", 2, 1), 2), kInvalidArgument,
       "INVALID_REQUEST"},
  });
}

TEST_F(BadInputTest, RefusesProducerIdsToStrangers) {
  ExpectRefused({
      {kAllocate, "broker_id: -1", kInvalidArgument, "INVALID_REQUEST"},
      {kAllocate, "broker_id: 99", kNotFound, "BROKER_ID_NOT_REGISTERED"},
      {kAllocate, "broker_id: 1 broker_epoch: 999999", kFailedPrecondition, "STALE_BROKER_EPOCH"},
  });
}

TEST_F(BadInputTest, RefusesBadNamespacesAndOwnersOfEntries) {
  std::vector<BadRequest> cases;
  for (const char* method : {kPut, kDelete, kGet, kListEntries}) {
    const std::string key = method == kListEntries ? "" : "key: 'x' ";
    for (const std::string& name : {std::string(65, 'n'), std::string("a/b"), std::string("a b"),
                                    std::string("\\303\\251")}) {
      cases.push_back(
          {method, fmt::format("{}namespace: '{}'", key, name), kInvalidArgument, "INVALID_KEY"});
    }
  }
  cases.push_back({kPut, "key: 'x' owner { broker_id: -1 }", kInvalidArgument, "INVALID_REQUEST"});
  cases.push_back(
      {kPut, "key: 'x' owner { broker_id: 99 }", kNotFound, "BROKER_ID_NOT_REGISTERED"});
  cases.push_back({kPut, "key: 'x' owner { broker_id: 1 broker_epoch: 1 }", kFailedPrecondition,
                   "STALE_BROKER_EPOCH"});
  ExpectRefused(cases);
}

TEST_F(BadInputTest, RefusesBadFeaturesOfBrokers) {
  const std::string broker =
      "broker_id: 5 incarnation_id: 'iiiiiiiiiiiiiiii' endpoints { name: 'n' host: 'h' port: 1 } ";
  std::vector<BadRequest> cases;
  for (const char* features :
       {"features { }", "features { name: 'f' min_level: 2 max_level: 1 }",
        "features { name: 'f' min_level: -1 }", "features { name: 'f' max_level: 40000 }",
        "features { name: 'f' } features { name: 'f' }"}) {
    cases.push_back({"kvorum.v1.BrokerService/RegisterBroker", broker + features, kInvalidArgument,
                     "INVALID_REQUEST"});
  }
  cases.push_back({"kvorum.v1.BrokerService/RegisterBroker",
                   broker + "features { name: 'metadata.version' min_level: 1 max_level: 1 }",
                   kFailedPrecondition, "UNSUPPORTED_VERSION"});
  ExpectRefused(cases);
}

}  // namespace
}  // namespace kvorum::testing
