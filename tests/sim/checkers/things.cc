#include "tests/sim/checkers/things.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "server/base/check.h"

namespace kvorum::sim {
namespace {

using Case = v1::MetadataRecord;

// Ids are bytes, and end names or stand before what has none of these: names can't run together.
std::string TopicName(const std::string& topic_id) { return "topic/" + topic_id; }
std::string PartitionsName(const std::string& topic_id) { return "partition/" + topic_id + "/"; }
template <typename Record>
std::string PartitionName(const Record& record) {
  return PartitionsName(record.topic_id()) + std::to_string(record.partition_index());
}
std::string ConfigsName(v1::ConfigResourceType type, const std::string& resource) {
  return fmt::format("config/{}/{}/", static_cast<int>(type), resource);
}
template <typename Record>
std::string ConfigName(const Record& record) {
  return ConfigsName(record.resource_type(), record.resource_name()) + record.name();
}
template <typename Record>
std::string EntryName(const Record& record) {
  return fmt::format("entry/{}/{}", record.namespace_(), record.key());
}
template <typename Record>
std::string QuotaName(const Record& record) {
  std::string name = "quota/";
  for (const v1::QuotaEntity& entity : record.entity()) {
    name += entity.SerializeAsString() + "/";
  }
  return name + record.key();
}
template <typename Record>
std::string CredentialName(const Record& record) {
  return fmt::format("credential/{}/{}", record.user(), static_cast<int>(record.mechanism()));
}
std::string BrokerName(int32_t id) { return fmt::format("broker/{}", id); }

// The name of what `record` makes, if it makes something.
std::string NameOf(const v1::MetadataRecord& record) {
  switch (record.record_case()) {
    case Case::kRegisterBroker:
      return BrokerName(record.register_broker().broker_id());
    case Case::kTopic:
      return TopicName(record.topic().topic_id());
    case Case::kPartition:
      return PartitionName(record.partition());
    case Case::kEntry:
      return EntryName(record.entry());
    case Case::kConfig:
      return ConfigName(record.config());
    case Case::kClientQuota:
      return QuotaName(record.client_quota());
    case Case::kAccessControlEntry:
      return "acl/" + record.access_control_entry().id();
    case Case::kUserScramCredential:
      return CredentialName(record.user_scram_credential());
    case Case::kFeatureLevel:
      return "feature/" + record.feature_level().name();
    case Case::kProducerIds:
      return "producer_ids";
    default:
      return "";
  }
}

// As it is kept: topics of old logs say 0 for what is 1.
std::string Kept(const v1::MetadataRecord& record) {
  if (!record.has_topic()) {
    return record.SerializeAsString();
  }
  v1::MetadataRecord kept = record;
  kept.mutable_topic()->set_min_insync_replicas(std::max(record.topic().min_insync_replicas(), 1));
  return kept.SerializeAsString();
}

void Change(const v1::PartitionChangeRecord& change, v1::PartitionRecord& partition) {
  *partition.mutable_isr() = change.isr();
  partition.set_leader(change.leader());
  partition.set_leader_epoch(change.leader_epoch());
  partition.set_partition_epoch(change.partition_epoch());
  partition.set_leader_recovery_state(change.leader_recovery_state());
  if (!change.replicas().empty()) {
    *partition.mutable_replicas() = change.replicas();
  }
  *partition.mutable_adding_replicas() = change.adding_replicas();
  *partition.mutable_removing_replicas() = change.removing_replicas();
  *partition.mutable_eligible_leader_replicas() = change.eligible_leader_replicas();
  *partition.mutable_last_known_elr() = change.last_known_elr();
}

void Change(const v1::BrokerRegistrationChangeRecord& change, v1::RegisterBrokerRecord& broker) {
  broker.set_fenced(change.fenced());
  broker.set_in_controlled_shutdown(change.in_controlled_shutdown());
  broker.set_drained(change.drained());
  *broker.mutable_offline_log_dirs() = change.offline_log_dirs();
}

}  // namespace

std::string_view KindOf(const v1::MetadataRecord& record) {
  switch (record.record_case()) {
    case Case::kRegisterBroker:
    case Case::kUnregisterBroker:
    case Case::kBrokerRegistrationChange:
      return "broker";
    case Case::kTopic:
    case Case::kRemoveTopic:
      return "topic";
    case Case::kPartition:
    case Case::kPartitionChange:
      return "partition";
    case Case::kEntry:
    case Case::kRemoveEntry:
      return "entry";
    case Case::kConfig:
    case Case::kRemoveConfig:
      return "config";
    case Case::kClientQuota:
    case Case::kRemoveClientQuota:
      return "client_quota";
    case Case::kAccessControlEntry:
    case Case::kRemoveAccessControlEntry:
      return "access_control_entry";
    case Case::kUserScramCredential:
    case Case::kRemoveUserScramCredential:
      return "user_scram_credential";
    case Case::kFeatureLevel:
      return "feature_level";
    case Case::kProducerIds:
      return "producer_ids";
    default:
      return "";
  }
}

void Things::ErasePrefix(const std::string& prefix) {
  const auto begin = by_name_.lower_bound(prefix);
  auto end = begin;
  while (end != by_name_.end() && end->first.starts_with(prefix)) {
    ++end;
  }
  by_name_.erase(begin, end);
}

void Things::RemoveTopic(const std::string& topic_id, const std::string& topic_name) {
  by_name_.erase(TopicName(topic_id));
  ErasePrefix(PartitionsName(topic_id));
  ErasePrefix(ConfigsName(v1::CONFIG_RESOURCE_TYPE_TOPIC, topic_name));
}

v1::MetadataRecord Things::Find(const std::string& name, const std::string& who) const {
  const auto found = by_name_.find(name);
  KVORUM_CHECK(found != by_name_.end(),
               "invariant 29 StreamGapless: {} is told of a change of {}, which it does not have",
               who, absl::CHexEscape(name));
  v1::MetadataRecord record;
  KVORUM_CHECK(record.ParseFromString(found->second), "{}", name);
  return record;
}

void Things::Apply(const v1::MetadataRecord& record, const std::string& who) {
  const auto erase = [&](const std::string& name) {
    KVORUM_CHECK(by_name_.erase(name) == 1,
                 "invariant 29 StreamGapless: {} is told to remove {}, which it does not have", who,
                 absl::CHexEscape(name));
  };
  switch (record.record_case()) {
    case Case::kUnregisterBroker:
      return erase(BrokerName(record.unregister_broker().broker_id()));
    case Case::kBrokerRegistrationChange: {
      const v1::BrokerRegistrationChangeRecord& change = record.broker_registration_change();
      const std::string name = BrokerName(change.broker_id());
      v1::MetadataRecord broker = Find(name, who);
      Change(change, *broker.mutable_register_broker());
      by_name_[name] = Kept(broker);
      return;
    }
    case Case::kRemoveTopic:
      return RemoveTopic(record.remove_topic().topic_id(), record.remove_topic().name());
    case Case::kPartitionChange: {
      const std::string name = PartitionName(record.partition_change());
      v1::MetadataRecord partition = Find(name, who);
      Change(record.partition_change(), *partition.mutable_partition());
      by_name_[name] = Kept(partition);
      return;
    }
    case Case::kRemoveEntry:
      return erase(EntryName(record.remove_entry()));
    case Case::kRemoveConfig:
      return erase(ConfigName(record.remove_config()));
    case Case::kRemoveClientQuota:
      return erase(QuotaName(record.remove_client_quota()));
    case Case::kRemoveAccessControlEntry:
      return erase("acl/" + record.remove_access_control_entry().id());
    case Case::kRemoveUserScramCredential:
      return erase(CredentialName(record.remove_user_scram_credential()));
    case Case::kFeatureLevel:
      if (record.feature_level().level() == 0) {
        return erase(NameOf(record));
      }
      break;
    case Case::kNoOp:
      return;
    default:
      break;
  }
  const std::string name = NameOf(record);
  KVORUM_CHECK(!name.empty(), "{} is told {}", who, record.ShortDebugString());
  by_name_[name] = Kept(record);
}

void Things::Forget(const v1::LeftScope& scope) {
  if (scope.has_partition_index()) {
    by_name_.erase(PartitionName(scope));
  } else {
    RemoveTopic(scope.topic_id(), scope.topic_name());
  }
}

bool Things::Has(const v1::MetadataRecord& record) const {
  const auto found = by_name_.find(NameOf(record));
  return found != by_name_.end() && found->second == Kept(record);
}

std::string Things::DifferenceTo(const Things& other) const {
  const auto differs = [](const Things& one, const Things& two) -> std::string {
    for (const auto& [name, record] : one.by_name_) {
      const auto found = two.by_name_.find(name);
      if (found == two.by_name_.end() || found->second != record) {
        return name;
      }
    }
    return "";
  };
  const std::string name = differs(*this, other);
  return name.empty() ? differs(other, *this) : name;
}

}  // namespace kvorum::sim
