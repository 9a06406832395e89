// What DomainClient asks for.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <variant>

#include "server/metadata/metadata_level.h"
#include "tests/sim/domain_client.h"
#include "tests/sim/sim_broker.h"
#include "tests/support/requests.h"

namespace kvorum::sim {
namespace {

// The kinds of operations that a transaction may hold, by the field of v1::Operation.
template <typename Request>
bool AddTo(v1::CommitRequest& transaction, const Request& request) {
  const auto* oneof = v1::Operation::descriptor()->oneof_decl(0);
  for (int i = 0; i < oneof->field_count(); ++i) {
    if (oneof->field(i)->message_type() == Request::descriptor()) {
      v1::Operation& operation = *transaction.add_operations();
      operation.GetReflection()->MutableMessage(&operation, oneof->field(i))->CopyFrom(request);
      return true;
    }
  }
  return false;
}

}  // namespace

std::string DomainClient::Draw(const char* prefix, uint64_t count) {
  return fmt::format("{}{}", prefix, random_.Below(count));
}

int32_t DomainClient::DrawBroker() {
  return static_cast<int32_t>(random_.Below(static_cast<uint64_t>(world_.options.brokers)));
}

controller::Command DomainClient::DrawCommand() {
  ++operations_;
  return random_.OneIn(1, 4) ? DrawTransaction() : DrawOperation();
}

controller::Command DomainClient::DrawTransaction() {
  v1::CommitRequest transaction;
  for (uint64_t i = 0; i <= random_.Below(4); ++i) {
    std::visit([&](const auto& request) { AddTo(transaction, request); }, DrawOperation());
  }
  if (transaction.operations().empty()) {
    return DrawEntry();
  }
  return transaction;
}

controller::Command DomainClient::DrawOperation() {
  switch (random_.Below(16)) {
    case 0:
    case 9:
      return DrawTopics();
    case 1:
    case 2:
      return DrawConfigs();
    case 3:
      return DrawQuotas();
    case 4:
    case 5:
      return DrawAcls();
    case 6:
      return DrawCredentials();
    case 7:
      return DrawBrokers();
    case 8:
      return DrawElection();
    case 10:
    case 11:
      return DrawMove();
    case 12:
      return DrawFeatures();
    default:
      return DrawEntry();
  }
}

controller::Command DomainClient::DrawEntry() {
  const std::string name_space = random_.OneIn(1, 2) ? Draw("n", 3) : "";
  // No key is in two namespaces: RecordIndex does not tell them apart.
  const std::string key = fmt::format("model/{}/{}", name_space, random_.Below(4));
  const bool has_version = random_.OneIn(1, 3);
  const int64_t version = model_.model().VersionOf(name_space, key);
  if (random_.OneIn(1, 4)) {
    v1::DeleteEntryRequest request;
    request.set_key(key);
    request.set_namespace_(name_space);
    if (has_version && version > 0) {
      request.set_expected_version(version);
    }
    return request;
  }
  v1::PutEntryRequest request;
  request.set_key(key);
  request.set_namespace_(name_space);
  request.set_value(fmt::format("model value {}", ++values_));
  if (has_version) {
    request.set_expected_version(version);
  }
  const Broker* owner = world_.ghost.image()->brokers().Find(BrokerId(DrawBroker()));
  if (owner != nullptr && random_.OneIn(1, 4)) {
    request.mutable_owner()->set_broker_id(owner->id.value());
    request.mutable_owner()->set_broker_epoch(owner->epoch.value());
  }
  return request;
}

controller::Command DomainClient::DrawTopics() {
  const std::string name = Draw("model-", 4);
  switch (random_.Below(4)) {
    case 0: {
      v1::DeleteTopicsRequest request;
      request.add_topics()->set_name(name);
      return request;
    }
    case 1: {
      v1::CreatePartitionsRequest request;
      request.add_topics()->set_name(name);
      request.mutable_topics(0)->set_new_partition_count(static_cast<int32_t>(random_.Below(6)));
      return request;
    }
    default: {
      v1::CreateTopicsRequest request;
      v1::NewTopic& topic = *request.add_topics();
      topic.set_name(name);
      topic.set_partition_count(static_cast<int32_t>(random_.Between(1, 3)));
      topic.set_replication_factor(static_cast<int32_t>(random_.Between(-1, 3)));
      if (random_.OneIn(1, 2)) {
        v1::TopicConfig& config = *topic.add_configs();
        config.set_name("min.insync.replicas");
        config.set_value(Draw("", 2) == "0" ? "1" : "2");
      }
      return request;
    }
  }
}

controller::Command DomainClient::DrawConfigs() {
  v1::AlterConfigsRequest request;
  for (uint64_t i = 0; i <= random_.Below(2); ++i) {
    v1::AlterConfigsRequest::Item& item = *request.add_resources();
    v1::ConfigResource& resource = *item.mutable_resource();
    if (random_.OneIn(2, 3)) {
      resource.set_type(v1::CONFIG_RESOURCE_TYPE_TOPIC);
      resource.set_name(Draw("model-", 4));
      auto& policy = *item.add_operations();
      policy.set_name("cleanup.policy");
      policy.set_operation(random_.OneIn(1, 2) ? v1::CONFIG_OPERATION_APPEND
                                               : v1::CONFIG_OPERATION_SUBTRACT);
      policy.set_value(random_.OneIn(1, 2) ? "compact" : "delete");
    } else {
      resource.set_type(v1::CONFIG_RESOURCE_TYPE_BROKER);  // of all brokers
    }
    for (const char* name : {"min.insync.replicas", "unclean.leader.election.enable"}) {
      auto& operation = *item.add_operations();
      operation.set_name(name);
      operation.set_operation(random_.OneIn(1, 2) ? v1::CONFIG_OPERATION_SET
                                                  : v1::CONFIG_OPERATION_DELETE);
      if (operation.operation() == v1::CONFIG_OPERATION_SET) {
        operation.set_value(name[0] == 'm' ? fmt::format("{}", random_.Between(1, 3)) : "true");
      }
    }
  }
  request.set_all_or_nothing(random_.OneIn(1, 3));
  return request;
}

controller::Command DomainClient::DrawQuotas() {
  v1::AlterClientQuotasRequest request;
  auto& item = *request.add_entities();
  item.add_entity()->set_type(v1::QUOTA_ENTITY_TYPE_USER);
  if (random_.OneIn(3, 4)) {
    item.mutable_entity(0)->set_name(Draw("u", 3));
  }
  if (random_.OneIn(1, 3)) {
    item.add_entity()->set_type(v1::QUOTA_ENTITY_TYPE_CLIENT_ID);
    item.mutable_entity(1)->set_name(Draw("c", 2));
  }
  for (const char* key : {"producer_byte_rate", "request_percentage"}) {
    auto& operation = *item.add_operations();
    operation.set_key(key);
    if (random_.OneIn(1, 2)) {
      operation.set_value(static_cast<double>(random_.Between(1, 9)));
    }
  }
  return request;
}

controller::Command DomainClient::DrawAcls() {
  const std::string name = Draw("r", 4);
  if (random_.OneIn(1, 3)) {
    v1::DeleteAclsRequest request;
    v1::AclFilter& filter = *request.add_filters() = AnyAclFilter();
    filter.set_resource_name(name);
    return request;
  }
  v1::CreateAclsRequest request;
  for (uint64_t i = 0; i <= random_.Below(2); ++i) {
    v1::AclBinding& binding = *request.add_acls();
    binding.set_resource_type(v1::ACL_RESOURCE_TYPE_TOPIC);
    binding.set_resource_name(name);
    binding.set_pattern_type(random_.OneIn(1, 2) ? v1::ACL_PATTERN_TYPE_LITERAL
                                                 : v1::ACL_PATTERN_TYPE_PREFIXED);
    binding.set_principal(Draw("User:p", 2));
    binding.set_host("*");
    binding.set_operation(v1::ACL_OPERATION_READ);
    binding.set_permission(v1::ACL_PERMISSION_ALLOW);
  }
  return request;
}

controller::Command DomainClient::DrawCredentials() {
  v1::AlterUserScramCredentialsRequest request;
  const v1::ScramMechanism mechanism =
      random_.OneIn(1, 2) ? v1::SCRAM_MECHANISM_SHA_256 : v1::SCRAM_MECHANISM_SHA_512;
  if (random_.OneIn(1, 3)) {
    auto& deletion = *request.add_deletions();
    deletion.set_user(Draw("u", 3));
    deletion.set_mechanism(mechanism);
    return request;
  }
  auto& upsertion = *request.add_upsertions();
  upsertion.set_user(Draw("u", 3));
  upsertion.set_mechanism(mechanism);
  upsertion.set_iterations(static_cast<int32_t>(random_.Between(4096, 5000)));
  const size_t key_bytes = mechanism == v1::SCRAM_MECHANISM_SHA_256 ? 32 : 64;
  upsertion.set_salt("saltsalt");
  upsertion.set_stored_key(std::string(key_bytes, 's'));
  upsertion.set_server_key(std::string(key_bytes, 'v'));
  return request;
}

controller::Command DomainClient::DrawBrokers() {
  const int32_t broker = DrawBroker();
  if (random_.OneIn(1, 8)) {
    // It comes back: a broker that hears that it is not registered registers.
    v1::UnregisterBrokerRequest request;
    request.set_broker_id(broker);
    return request;
  }
  switch (random_.Below(4)) {
    case 0: {
      v1::DrainBrokerRequest request;
      request.set_broker_id(broker);
      return request;
    }
    case 1: {
      v1::AllocateProducerIdsRequest request;
      request.set_broker_id(broker);
      const Broker* found = world_.ghost.image()->brokers().Find(BrokerId(broker));
      request.set_broker_epoch(found == nullptr ? 0 : found->epoch.value());
      return request;
    }
    default: {  // more often than it is drained
      v1::UndrainBrokerRequest request;
      request.set_broker_id(broker);
      return request;
    }
  }
}

controller::Command DomainClient::DrawElection() {
  v1::ElectLeadersRequest request;
  request.set_election_type(random_.OneIn(2, 3) ? v1::ELECTION_TYPE_PREFERRED
                                                : v1::ELECTION_TYPE_UNCLEAN);
  v1::ElectLeadersRequest::Item& item = *request.add_topics();
  item.mutable_topic()->set_name(Draw("model-", 4));
  if (random_.OneIn(1, 3)) {
    item.add_partition_indexes(static_cast<int32_t>(random_.Below(3)));
  }
  return request;
}

controller::Command DomainClient::DrawMove() {
  v1::AlterPartitionReassignmentsRequest request;
  const std::string topic = Draw("model-", 4);
  const auto first = static_cast<int32_t>(random_.Below(2));
  for (int32_t index = first; index <= first + static_cast<int32_t>(random_.Below(2)); ++index) {
    v1::AlterPartitionReassignmentsRequest::Item& item = *request.add_partitions();
    item.mutable_topic()->set_name(topic);
    item.set_partition_index(index);
    item.set_cancel(random_.OneIn(1, 3));
    for (int i = 0; !item.cancel() && i < 3; ++i) {
      const int32_t replica = DrawBroker();
      const auto& named = item.replicas();
      if (std::find(named.begin(), named.end(), replica) == named.end()) {
        item.add_replicas(replica);
      }
    }
  }
  return request;
}

controller::Command DomainClient::DrawFeatures() {
  const FeaturesImage& features = world_.ghost.image()->features();
  v1::UpdateFeaturesRequest request;
  const auto add = [&](const char* name, int32_t current, int32_t level) {
    v1::UpdateFeaturesRequest::Item& item = *request.add_updates();
    item.set_name(name);
    item.set_level(level);
    item.set_upgrade_type(level > current || random_.OneIn(1, 8) ? v1::FEATURE_UPGRADE_TYPE_UPGRADE
                          : random_.OneIn(2, 3) ? v1::FEATURE_UPGRADE_TYPE_SAFE_DOWNGRADE
                                                : v1::FEATURE_UPGRADE_TYPE_UNSAFE_DOWNGRADE);
  };
  const uint64_t which = random_.Below(5);
  if (which < 3) {
    // Up more often: most of what this client does needs it.
    const int32_t current = features.metadata_level();
    add(kMetadataVersionFeature, current,
        random_.OneIn(1, 3) ? current - 1
                            : static_cast<int32_t>(random_.Between(current, kMaxMetadataLevel)));
  }
  if (which > 1) {
    // Never beyond what all will support: while none is registered, nothing would refuse it.
    add(kSimFeature, features.LevelOf(kSimFeature),
        static_cast<int32_t>(random_.Between(0, kMaxSimFeatureLevel)));
  }
  return request;
}

}  // namespace kvorum::sim
