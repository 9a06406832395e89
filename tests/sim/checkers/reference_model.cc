#include "tests/sim/checkers/reference_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "server/base/check.h"
#include "server/metadata/commands.h"

namespace kvorum::sim {
namespace {

constexpr int64_t kProducerIdBlock = 1000;

std::vector<std::string> SplitList(const std::string& text) {
  std::vector<std::string> items;
  std::istringstream in(text);
  for (std::string item; std::getline(in, item, ',');) {
    items.push_back(item);
  }
  return items;
}

std::string JoinList(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) {
    text += text.empty() ? item : "," + item;
  }
  return text;
}

constexpr auto& Require = RequireModel;

bool IsOk(const v1::ItemStatus& status) { return status.code() == 0; }

}  // namespace

// One operation with its reply.
class ReferenceModel::Applier {
 public:
  Applier(ReferenceModel& model, Offset from) : model_(model), from_(from) {}

  void Do(const v1::PutEntryRequest& request, const v1::PutEntryResponse& response) {
    const EntryName name(request.namespace_(), request.key());
    const int64_t before = model_.VersionOf(name.first, name.second);
    Require(!request.has_expected_version() || request.expected_version() == before,
            fmt::format("{} was written over version {} instead of {}", request.key(), before,
                        request.expected_version()));
    Require(response.version() >= from_.value() && response.version() > before,
            fmt::format("{} has version {} after {}", request.key(), response.version(), before));
    if (request.options().has_if_unchanged_since()) {
      const auto last = model_.entry_changes_.find(name);
      Require(last == model_.entry_changes_.end() ||
                  last->second.value() < request.options().if_unchanged_since().offset(),
              fmt::format("{} was changed at {} and written all the same", request.key(),
                          last == model_.entry_changes_.end() ? -1 : last->second.value()));
    }
    Entry& entry = model_.entries_[name] = {request.value(), response.version()};
    if (request.has_owner()) {
      entry.owner = request.owner().broker_id();
      entry.owner_epoch = request.owner().broker_epoch();
    }
    model_.entry_changes_[name] = Offset(response.version());
  }

  void Do(const v1::DeleteEntryRequest& request, const v1::DeleteEntryResponse&) {
    const EntryName name(request.namespace_(), request.key());
    const int64_t before = model_.VersionOf(name.first, name.second);
    Require(before > 0, fmt::format("{} was deleted and did not exist", request.key()));
    Require(!request.has_expected_version() || request.expected_version() == before,
            fmt::format("version {} of {} was deleted instead of {}", before, request.key(),
                        request.expected_version()));
    model_.entries_.erase(name);
    model_.entry_changes_[name] = from_;
  }

  void Do(const v1::CreateTopicsRequest& request, const v1::CreateTopicsResponse& response) {
    for (int i = 0; i < request.topics_size(); ++i) {
      const v1::NewTopic& topic = request.topics(i);
      if (!IsOk(response.results(i).status())) {
        continue;
      }
      model_.cluster_.CreateTopic(response.results(i));
      for (const v1::TopicConfig& config : topic.configs()) {
        model_.configs_[{v1::CONFIG_RESOURCE_TYPE_TOPIC, topic.name()}][config.name()] =
            config.value();
      }
    }
  }

  void Do(const v1::DeleteTopicsRequest& request, const v1::DeleteTopicsResponse& response) {
    for (int i = 0; i < request.topics_size(); ++i) {
      if (IsOk(response.results(i).status())) {
        model_.cluster_.RemoveTopic(request.topics(i).name());
        model_.configs_.erase({v1::CONFIG_RESOURCE_TYPE_TOPIC, request.topics(i).name()});
      }
    }
  }

  void Do(const v1::CreatePartitionsRequest& request,
          const v1::CreatePartitionsResponse& response) {
    for (int i = 0; i < request.topics_size(); ++i) {
      if (IsOk(response.results(i).status())) {
        model_.cluster_.Grow(request.topics(i), response.results(i));
      }
    }
  }

  void Do(const v1::AlterConfigsRequest& request, const v1::AlterConfigsResponse& response) {
    const std::map<std::string, size_t> min_insync = model_.cluster_.MinInsync();
    for (int i = 0; i < request.resources_size(); ++i) {
      if (!IsOk(response.results(i).status())) {
        continue;
      }
      const v1::AlterConfigsRequest::Item& item = request.resources(i);
      auto& configs = model_.configs_[{item.resource().type(), item.resource().name()}];
      for (const auto& operation : item.operations()) {
        Alter(operation, configs);
      }
    }
    model_.cluster_.ClearEligible(min_insync, model_.cluster_.MinInsync());
  }

  void Do(const v1::AlterClientQuotasRequest& request,
          const v1::AlterClientQuotasResponse& response) {
    for (int i = 0; i < request.entities_size(); ++i) {
      if (!IsOk(response.results(i).status())) {
        continue;
      }
      auto& limits = model_.quotas_[TextOf(request.entities(i).entity())];
      for (const auto& operation : request.entities(i).operations()) {
        if (operation.has_value()) {
          limits[operation.key()] = operation.value();
        } else {
          limits.erase(operation.key());
        }
      }
      if (limits.empty()) {
        model_.quotas_.erase(TextOf(request.entities(i).entity()));
      }
    }
  }

  void Do(const v1::CreateAclsRequest& request, const v1::CreateAclsResponse& response) {
    for (int i = 0; i < request.acls_size(); ++i) {
      if (IsOk(response.results(i).status())) {
        const auto [known, is_new] =
            model_.acls_.emplace(TextOf(request.acls(i)), response.results(i).id());
        Require(known->second == response.results(i).id(),
                fmt::format("acl {} has two ids", known->first));
      }
    }
  }

  // Filters by the resource's name, as DomainClient writes them.
  void Do(const v1::DeleteAclsRequest& request, const v1::DeleteAclsResponse& response) {
    for (int i = 0; i < request.filters_size(); ++i) {
      if (!IsOk(response.results(i).status())) {
        continue;
      }
      const std::string part = "/" + request.filters(i).resource_name() + "/";
      std::set<std::string> expected;
      for (const auto& [binding, id] : model_.acls_) {
        if (binding.find(part) != std::string::npos) {
          expected.insert(id);
        }
      }
      const auto& ids = response.results(i).ids();
      Require(std::set<std::string>(ids.begin(), ids.end()) == expected,
              fmt::format("{} acls of {} were deleted, not {}", ids.size(), part, expected.size()));
      std::erase_if(model_.acls_, [&](const auto& acl) { return expected.contains(acl.second); });
    }
  }

  // One change of each user, as DomainClient writes them.
  void Do(const v1::AlterUserScramCredentialsRequest& request,
          const v1::AlterUserScramCredentialsResponse& response) {
    std::set<std::string> carried_out;
    for (const auto& result : response.results()) {
      if (IsOk(result.status())) {
        carried_out.insert(result.user());
      }
    }
    for (const auto& deletion : request.deletions()) {
      if (carried_out.contains(deletion.user())) {
        Require(model_.credentials_.erase({deletion.user(), deletion.mechanism()}) == 1,
                fmt::format("credential of {} was deleted and did not exist", deletion.user()));
      }
    }
    for (const auto& upsertion : request.upsertions()) {
      if (carried_out.contains(upsertion.user())) {
        model_.credentials_[{upsertion.user(), upsertion.mechanism()}] = upsertion.iterations();
      }
    }
  }

  void Do(const v1::AllocateProducerIdsRequest&, const v1::AllocateProducerIdsResponse& response) {
    Require(response.first_producer_id() == model_.next_producer_id_ &&
                response.count() == kProducerIdBlock,
            fmt::format("producer ids {} to {} were given away, expected them from {}",
                        response.first_producer_id(),
                        response.first_producer_id() + response.count(), model_.next_producer_id_));
    model_.next_producer_id_ += kProducerIdBlock;
  }

  void Do(const v1::DrainBrokerRequest& request, const v1::DrainBrokerResponse& response) {
    model_.cluster_.Drain(request.broker_id(), response);
  }
  void Do(const v1::UndrainBrokerRequest& request, const v1::UndrainBrokerResponse&) {
    model_.cluster_.Undrain(request.broker_id());
  }
  void Do(const v1::UnregisterBrokerRequest& request, const v1::UnregisterBrokerResponse&) {
    model_.cluster_.Unregister(request.broker_id());
    std::erase_if(model_.entries_,
                  [&](const auto& entry) { return entry.second.owner == request.broker_id(); });
  }
  void Do(const v1::ElectLeadersRequest& request, const v1::ElectLeadersResponse& response) {
    model_.cluster_.Elect(request, response);
  }
  void Do(const v1::AlterPartitionReassignmentsRequest& request,
          const v1::AlterPartitionReassignmentsResponse& response) {
    model_.cluster_.Move(request, response);
  }

  void Do(const v1::UpdateFeaturesRequest& request, const v1::UpdateFeaturesResponse& response) {
    for (const auto& result : response.results()) {
      Require(IsOk(result.status()), "a part of an update of features was refused");
    }
    model_.cluster_.UpdateFeatures(request);
    Require(model_.cluster_.metadata_level() > 1 || model_.IsPlain(),
            "a downgrade of metadata.version lost something");
  }

  void Do(const v1::CommitRequest& request, const v1::CommitResponse& response) {
    Require(request.operations_size() == response.results_size(),
            fmt::format("a transaction of {} operations has {} results", request.operations_size(),
                        response.results_size()));
    for (int i = 0; i < request.operations_size(); ++i) {
      DoOperation(request.operations(i), response.results(i));
    }
  }

  template <typename Request, typename Response>
  void Do(const Request& request, const Response&) {
    KVORUM_CHECK(false, "no model of {}", request.GetDescriptor()->full_name());
  }

 private:
  static void Alter(const v1::AlterConfigsRequest::Operation& operation,
                    std::map<std::string, std::string>& configs) {
    if (operation.operation() == v1::CONFIG_OPERATION_SET) {
      configs[operation.name()] = operation.value();
      return;
    }
    if (operation.operation() == v1::CONFIG_OPERATION_DELETE) {
      configs.erase(operation.name());
      return;
    }
    // Lists: DomainClient changes cleanup.policy only, whose default is "delete".
    const auto found = configs.find(operation.name());
    std::vector<std::string> items = SplitList(found == configs.end() ? "delete" : found->second);
    const auto at = std::find(items.begin(), items.end(), operation.value());
    if (operation.operation() == v1::CONFIG_OPERATION_SUBTRACT && at != items.end()) {
      items.erase(at);
    } else if (operation.operation() == v1::CONFIG_OPERATION_APPEND && at == items.end()) {
      items.push_back(operation.value());
    }
    configs[operation.name()] = JoinList(items);
  }

  void DoOperation(const v1::Operation& operation, const v1::OperationResult& result) {
    using Case = v1::Operation;
    switch (operation.operation_case()) {
      case Case::kPutEntry:
        return Do(operation.put_entry(), result.put_entry());
      case Case::kDeleteEntry:
        return Do(operation.delete_entry(), result.delete_entry());
      case Case::kCreateTopics:
        return Do(operation.create_topics(), result.create_topics());
      case Case::kDeleteTopics:
        return Do(operation.delete_topics(), result.delete_topics());
      case Case::kCreatePartitions:
        return Do(operation.create_partitions(), result.create_partitions());
      case Case::kAlterConfigs:
        return Do(operation.alter_configs(), result.alter_configs());
      case Case::kAlterClientQuotas:
        return Do(operation.alter_client_quotas(), result.alter_client_quotas());
      case Case::kCreateAcls:
        return Do(operation.create_acls(), result.create_acls());
      case Case::kDeleteAcls:
        return Do(operation.delete_acls(), result.delete_acls());
      case Case::kAlterUserScramCredentials:
        return Do(operation.alter_user_scram_credentials(), result.alter_user_scram_credentials());
      case Case::kDrainBroker:
        return Do(operation.drain_broker(), result.drain_broker());
      case Case::kUndrainBroker:
        return Do(operation.undrain_broker(), result.undrain_broker());
      case Case::kUnregisterBroker:
        return Do(operation.unregister_broker(), result.unregister_broker());
      case Case::kUpdateFeatures:
        return Do(operation.update_features(), result.update_features());
      case Case::kElectLeaders:
        return Do(operation.elect_leaders(), result.elect_leaders());
      case Case::kAlterPartitionReassignments:
        return Do(operation.alter_partition_reassignments(),
                  result.alter_partition_reassignments());
      default:
        KVORUM_CHECK(false, "no model of {}", operation.ShortDebugString());
    }
  }

  ReferenceModel& model_;
  Offset from_;
};

void ReferenceModel::Apply(const controller::Command& command,
                           const controller::CommandReply& reply,
                           const std::vector<v1::MetadataRecord>& records, Offset from) {
  RequireLevels(records);
  cluster_.BeginCommit(records, std::holds_alternative<v1::CommitRequest>(command));
  std::visit(
      [&](const auto& request) {
        using Response = std::decay_t<
            decltype(Execute(std::declval<const CommandContext&>(), request)->response)>;
        Applier(*this, from).Do(request, std::get<Response>(reply));
      },
      command);
  cluster_.EndCommit();
}

void ReferenceModel::ApplyForeign(const std::vector<v1::MetadataRecord>& records, Offset from) {
  RequireLevels(records);
  for (const v1::MetadataRecord& record : records) {
    ApplyForeign(record);
  }
  cluster_.ApplyForeign(records, from);
}

void ReferenceModel::ApplyForeign(const v1::MetadataRecord& record) {
  if (record.has_remove_entry()) {
    const EntryName name(record.remove_entry().namespace_(), record.remove_entry().key());
    const auto found = entries_.find(name);
    if (found != entries_.end()) {
      Require(found->second.owner != -1,
              fmt::format("{} is nobody's and was removed", name.second));
      entries_.erase(found);
    }
    return;
  }
  const bool is_ours =
      record.has_config() || record.has_remove_config() || record.has_client_quota() ||
      record.has_remove_client_quota() || record.has_access_control_entry() ||
      record.has_remove_access_control_entry() || record.has_user_scram_credential() ||
      record.has_remove_user_scram_credential() || record.has_producer_ids() ||
      (record.has_topic() && IsOwnTopic(record.topic().name())) ||
      (record.has_remove_topic() && IsOwnTopic(record.remove_topic().name())) ||
      (record.has_entry() && IsOwnKey(record.entry().key()));
  Require(!is_ours, "nobody asked for " + record.ShortDebugString());
}

int64_t ReferenceModel::VersionOf(const std::string& name_space, const std::string& key) const {
  const auto found = entries_.find({name_space, key});
  return found == entries_.end() ? 0 : found->second.version;
}

}  // namespace kvorum::sim
