#include "tests/sim/domain_client.h"

#include <fmt/format.h>

#include <utility>
#include <variant>

#include "server/base/errors.h"
#include "tests/sim/sim_process.h"
#include "tests/support/requests.h"

namespace kvorum::sim {
namespace {

// In a run of any length, so that a node that fetches a batch at a time can catch up afterwards.
constexpr int64_t kMaxOperations = 300;

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

// What may become something else when the same is sent again.
bool IsForNow(ErrorReason reason) {
  switch (reason) {
    case ErrorReason::kNotController:
    case ErrorReason::kLeaderNotAvailable:
    case ErrorReason::kOutcomeUnknown:
    case ErrorReason::kDeadlineExceeded:
    case ErrorReason::kClassShed:
    case ErrorReason::kShuttingDown:
      return true;
    default:
      return false;
  }
}

}  // namespace

DomainClient::DomainClient(World& world, ClientChecker& clients, ModelChecker& model, int actor,
                           Random random)
    : world_(world),
      clients_(clients),
      model_(model),
      actor_(actor),
      random_(random),
      finder_(world, random_.Fork()) {}

void DomainClient::ScheduleNext() {
  if (is_stopped_) {
    return;
  }
  const Duration mean = world_.options.workload.mean_think_time;
  world_.queue.After(DrawBetween(random_, {}, mean * 2), [this] { Next(); });
}

void DomainClient::Next() {
  if (is_stopped_ || (!command_.has_value() && operations_ == kMaxOperations)) {
    return;
  }
  if (!command_.has_value()) {
    id_ = Uuid::FromRandom(random_);
    attempts_ = 0;
    command_ = DrawCommand();
    std::visit([this](auto& request) { DrawOptions(request); }, *command_);
    model_.OnSent(id_, *command_);
  }
  Send();
}

void DomainClient::Send() {
  ++attempts_;
  ClientCall<controller::CommandReply> call;
  call.actor = actor_;
  call.to = finder_.target();
  call.timeout = world_.options.workload.call_timeout;
  call.is_command = true;
  call.invoke = [command = *command_](SimProcess& process, Now now, TimePoint deadline, auto done) {
    process.node().HandleCommand(now, command, deadline, std::move(done));
  };
  call.on_leave = [this, command = *command_, id = id_, attempt = attempts_,
                   before = world_.ghost.end_offset()](
                      SimProcess& process, const absl::StatusOr<controller::CommandReply>& reply) {
    // A refusal says nothing of the attempts before and after it. And an answer to a retry may tell
    // of what was committed before this attempt was made.
    if (reply.ok()) {
      clients_.OnWriteAnswered(process, command, attempt == 1 ? before : Offset(0), reply);
      model_.OnAcknowledged(process, id, *reply);
    }
  };
  call.on_result = [this](const CallResult<controller::CommandReply>& result) { OnResult(result); };
  StartCall(world_, random_, std::move(call));
}

bool DomainClient::MustRetry(const CallResult<controller::CommandReply>& result) {
  using Kind = CallResult<controller::CommandReply>::Kind;
  if (result.kind != Kind::kAnswered) {
    finder_.TryAnother();
    return true;
  }
  if (result.answer.ok()) {
    world_.log.Hit(attempts_ > 1 ? Mark::kRetryAnswered : Mark::kDomainOperationOk);
    return random_.OneIn(1, 6);  // a duplicate of what is done
  }
  finder_.OnError(result.answer.status());
  return IsForNow(GetErrorReason(result.answer.status()));
}

void DomainClient::OnResult(const CallResult<controller::CommandReply>& result) {
  if (!MustRetry(result)) {
    // It was answered.
    if (result.answer.ok() && std::holds_alternative<v1::CommitRequest>(*command_)) {
      world_.log.Hit(Mark::kTransactionCommitted);
    } else if (!result.answer.ok() && attempts_ == 1) {
      model_.OnRefused(id_);
    }
    command_.reset();
  }
  ScheduleNext();
}

template <typename Request>
void DomainClient::DrawOptions(Request& request) {
  request.set_cluster_id(world_.options.cluster_id);
  v1::WriteOptions& options = *request.mutable_options();
  options.set_request_id(id_.ToString());
  if (random_.OneIn(1, 5)) {
    options.set_reason(fmt::format("operation {}", operations_));
  }
  if (random_.OneIn(1, 5)) {
    // What a read came with, some operations ago.
    v1::Position& since = *options.mutable_if_unchanged_since();
    since.set_generation(world_.generation);
    since.set_epoch(last_read_.last_epoch.value());
    since.set_offset(last_read_.end_offset.value());
  }
  if (random_.OneIn(1, 3)) {
    last_read_ = world_.ghost.image()->provenance();
  }
}

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
  switch (random_.Below(12)) {
    case 0:
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
      return DrawPartitions();
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
      topic.set_replication_factor(static_cast<int32_t>(random_.Between(-1, 2)));
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

controller::Command DomainClient::DrawPartitions() {
  const std::string topic = Draw("model-", 4);
  if (random_.OneIn(1, 2)) {
    v1::ElectLeadersRequest request;
    request.set_election_type(random_.OneIn(2, 3) ? v1::ELECTION_TYPE_PREFERRED
                                                  : v1::ELECTION_TYPE_UNCLEAN);
    request.add_topics()->mutable_topic()->set_name(topic);
    return request;
  }
  v1::AlterPartitionReassignmentsRequest request;
  v1::AlterPartitionReassignmentsRequest::Item& item = *request.add_partitions();
  item.mutable_topic()->set_name(topic);
  item.set_cancel(random_.OneIn(1, 3));
  if (!item.cancel()) {
    const int32_t first = DrawBroker();
    item.add_replicas(first);
    if (const int32_t second = DrawBroker(); second != first) {
      item.add_replicas(second);
    }
  }
  return request;
}

}  // namespace kvorum::sim
