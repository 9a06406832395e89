#include "client/record_text.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <string_view>

namespace kvorum::client {
namespace {

constexpr size_t kMaxValueBytes = 64;

std::string Ids(const google::protobuf::RepeatedField<int32_t>& ids) {
  return fmt::format("{}", fmt::join(ids, ","));
}

std::string_view Recovery(v1::LeaderRecoveryState state) {
  return state == v1::LEADER_RECOVERY_STATE_RECOVERING ? " recovering" : "";
}

std::string EndpointsText(const v1::RegisterBrokerRecord& record) {
  std::string text;
  for (const v1::Endpoint& endpoint : record.endpoints()) {
    text += fmt::format("{}{}://{}:{}", text.empty() ? "" : ",", endpoint.name(), endpoint.host(),
                        endpoint.port());
  }
  return text;
}

std::string FeaturesText(const v1::RegisterBrokerRecord& record) {
  std::string text;
  for (const v1::SupportedFeature& feature : record.features()) {
    text += fmt::format("{}{}:{}-{}", text.empty() ? " features=" : ",", feature.name(),
                        feature.min_level(), feature.max_level());
  }
  return text;
}

// What few partitions have.
template <typename Record>
std::string RareFields(const Record& r) {
  std::string text(Recovery(r.leader_recovery_state()));
  const auto add = [&text](std::string_view name,
                           const google::protobuf::RepeatedField<int32_t>& ids) {
    text += ids.empty() ? "" : fmt::format(" {}={}", name, Ids(ids));
  };
  add("elr", r.eligible_leader_replicas());
  add("last_known_elr", r.last_known_elr());
  add("adding", r.adding_replicas());
  add("removing", r.removing_replicas());
  return text;
}

std::string Fields(const v1::PartitionRecord& r) {
  return fmt::format(
      "topic_id={} partition={} leader={} isr={} replicas={} leader_epoch={} "
      "partition_epoch={}{}",
      IdText(r.topic_id()), r.partition_index(), r.leader(), Ids(r.isr()), Ids(r.replicas()),
      r.leader_epoch(), r.partition_epoch(), RareFields(r));
}

std::string Fields(const v1::PartitionChangeRecord& r) {
  const std::string replicas =
      r.replicas().empty() ? std::string() : fmt::format(" replicas={}", Ids(r.replicas()));
  return fmt::format(
      "topic_id={} partition={} leader={} isr={}{} leader_epoch={} "
      "partition_epoch={}{}",
      IdText(r.topic_id()), r.partition_index(), r.leader(), Ids(r.isr()), replicas,
      r.leader_epoch(), r.partition_epoch(), RareFields(r));
}

template <typename Record>
std::string StateFields(const Record& r) {
  return fmt::format("fenced={}{}{}{}", r.fenced(),
                     r.in_controlled_shutdown() ? " in_controlled_shutdown" : "",
                     r.drained() ? " drained" : "",
                     r.offline_log_dirs().empty()
                         ? std::string()
                         : fmt::format(" offline_log_dirs={}", r.offline_log_dirs_size()));
}

std::string Fields(const v1::RegisterBrokerRecord& r) {
  return fmt::format("broker={} epoch={} incarnation={} endpoints={} rack={} {}{}", r.broker_id(),
                     r.broker_epoch(), IdText(r.incarnation_id()), EndpointsText(r),
                     r.rack().empty() ? "-" : r.rack(), StateFields(r), FeaturesText(r));
}

std::string NamespaceText(const std::string& name) {
  return name.empty() ? std::string() : fmt::format("namespace={} ", name);
}

std::string Fields(const v1::EntryRecord& r) {
  return fmt::format("{}key={} version={} value={}{}", NamespaceText(r.namespace_()),
                     ValueText(r.key()), r.version(), ValueText(r.value()),
                     r.has_owner() ? fmt::format(" owner={} owner_epoch={}", r.owner().broker_id(),
                                                 r.owner().broker_epoch())
                                   : "");
}

// "TOPIC orders": what both config records name.
template <typename Record>
std::string ResourceText(const Record& record) {
  return fmt::format("{} {}", EnumText(v1::ConfigResourceType_Name(record.resource_type())),
                     ValueText(record.resource_name()));
}

std::string Fields(const v1::ConfigRecord& r) {
  return fmt::format("{} {}={}", ResourceText(r), r.name(), ValueText(r.value()));
}

std::string Fields(const v1::RemoveConfigRecord& r) {
  return fmt::format("{} {}", ResourceText(r), r.name());
}

std::string Fields(const v1::ClientQuotaRecord& r) {
  return fmt::format("{} {}={}", QuotaEntityText(r.entity()), r.key(), r.value());
}

std::string Fields(const v1::RemoveClientQuotaRecord& r) {
  return fmt::format("{} {}", QuotaEntityText(r.entity()), r.key());
}

std::string Fields(const v1::AccessControlEntryRecord& r) {
  return fmt::format("id={} {}", IdText(r.id()), AclText(r.binding()));
}

std::string Fields(const v1::RemoveAccessControlEntryRecord& r) {
  return fmt::format("id={}", IdText(r.id()));
}

// Never the keys.
std::string Fields(const v1::UserScramCredentialRecord& r) {
  return fmt::format("user={} mechanism={} iterations={}", ValueText(r.user()),
                     EnumText(v1::ScramMechanism_Name(r.mechanism())), r.iterations());
}

std::string Fields(const v1::RemoveUserScramCredentialRecord& r) {
  return fmt::format("user={} mechanism={}", ValueText(r.user()),
                     EnumText(v1::ScramMechanism_Name(r.mechanism())));
}

std::string Fields(const v1::FeatureLevelRecord& r) {
  return fmt::format("name={} level={}", r.name(), r.level());
}

std::string Fields(const v1::ProducerIdsRecord& r) {
  return fmt::format("next={} broker={} broker_epoch={}", r.next_producer_id(), r.broker_id(),
                     r.broker_epoch());
}

}  // namespace

std::string EnumText(const std::string& name) {
  // "SCRAM_MECHANISM_SHA_256": the prefix is the enum's own name.
  static constexpr std::string_view kPrefixes[] = {
      "CONFIG_RESOURCE_TYPE_", "CONFIG_SOURCE_",     "CONFIG_TYPE_",
      "QUOTA_ENTITY_TYPE_",    "ACL_RESOURCE_TYPE_", "ACL_PATTERN_TYPE_",
      "ACL_OPERATION_",        "ACL_PERMISSION_",    "SCRAM_MECHANISM_"};
  for (const std::string_view prefix : kPrefixes) {
    if (name.starts_with(prefix)) {
      return name.substr(prefix.size());
    }
  }
  return name.empty() ? "UNKNOWN" : name;
}

std::string QuotaEntityText(const google::protobuf::RepeatedPtrField<v1::QuotaEntity>& entity) {
  std::string text;
  for (const v1::QuotaEntity& part : entity) {
    text += fmt::format("{}{}={}", text.empty() ? "" : " ",
                        EnumText(v1::QuotaEntityType_Name(part.type())),
                        part.has_name() ? ValueText(part.name()) : "(default)");
  }
  return text;
}

std::string AclText(const v1::AclBinding& b) {
  return fmt::format("{} {} {} {} {} on {} from {}",
                     EnumText(v1::AclPermission_Name(b.permission())), ValueText(b.principal()),
                     EnumText(v1::AclOperation_Name(b.operation())),
                     EnumText(v1::AclPatternType_Name(b.pattern_type())),
                     EnumText(v1::AclResourceType_Name(b.resource_type())),
                     ValueText(b.resource_name()), ValueText(b.host()));
}

void HideSecrets(v1::MetadataRecord& record) {
  if (record.has_user_scram_credential()) {
    record.mutable_user_scram_credential()->clear_salt();
    record.mutable_user_scram_credential()->clear_stored_key();
    record.mutable_user_scram_credential()->clear_server_key();
  }
}

std::string ValueText(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text.substr(0, kMaxValueBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      quoted += fmt::format("\\x{:02x}", byte);
    } else {
      quoted += c;
    }
  }
  quoted += '"';
  if (text.size() > kMaxValueBytes) {
    quoted += fmt::format("…({} bytes)", text.size());
  }
  return quoted;
}

std::string IdText(const std::string& bytes) {
  std::string text;
  const bool uuid = bytes.size() == 16;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (uuid && (i == 4 || i == 6 || i == 8 || i == 10)) {
      text += '-';
    }
    text += fmt::format("{:02x}", static_cast<unsigned char>(bytes[i]));
  }
  return text;
}

std::string RecordKind(const v1::MetadataRecord& record) {
  switch (record.record_case()) {
    case v1::MetadataRecord::kNoOp:
      return "no-op";
    case v1::MetadataRecord::kRegisterBroker:
      return "register-broker";
    case v1::MetadataRecord::kUnregisterBroker:
      return "unregister-broker";
    case v1::MetadataRecord::kBrokerRegistrationChange:
      return "broker-registration-change";
    case v1::MetadataRecord::kTopic:
      return "topic";
    case v1::MetadataRecord::kRemoveTopic:
      return "remove-topic";
    case v1::MetadataRecord::kPartition:
      return "partition";
    case v1::MetadataRecord::kPartitionChange:
      return "partition-change";
    case v1::MetadataRecord::kEntry:
      return "entry";
    case v1::MetadataRecord::kRemoveEntry:
      return "remove-entry";
    case v1::MetadataRecord::kConfig:
      return "config";
    case v1::MetadataRecord::kRemoveConfig:
      return "remove-config";
    case v1::MetadataRecord::kClientQuota:
      return "client-quota";
    case v1::MetadataRecord::kRemoveClientQuota:
      return "remove-client-quota";
    case v1::MetadataRecord::kAccessControlEntry:
      return "access-control-entry";
    case v1::MetadataRecord::kRemoveAccessControlEntry:
      return "remove-access-control-entry";
    case v1::MetadataRecord::kUserScramCredential:
      return "user-scram-credential";
    case v1::MetadataRecord::kRemoveUserScramCredential:
      return "remove-user-scram-credential";
    case v1::MetadataRecord::kFeatureLevel:
      return "feature-level";
    case v1::MetadataRecord::kProducerIds:
      return "producer-ids";
    case v1::MetadataRecord::kCompletedRequest:
      return "completed-request";
    case v1::MetadataRecord::kExpireRequests:
      return "expire-requests";
    case v1::MetadataRecord::kWriteReason:
      return "write-reason";
    case v1::MetadataRecord::RECORD_NOT_SET:
      break;
  }
  return "unknown";
}

std::string RecordText(const v1::MetadataRecord& record) {
  std::string fields;
  switch (record.record_case()) {
    case v1::MetadataRecord::kRegisterBroker:
      fields = Fields(record.register_broker());
      break;
    case v1::MetadataRecord::kUnregisterBroker:
      fields = fmt::format("broker={} epoch={}", record.unregister_broker().broker_id(),
                           record.unregister_broker().broker_epoch());
      break;
    case v1::MetadataRecord::kBrokerRegistrationChange:
      fields = fmt::format("broker={} epoch={} {}", record.broker_registration_change().broker_id(),
                           record.broker_registration_change().broker_epoch(),
                           StateFields(record.broker_registration_change()));
      break;
    case v1::MetadataRecord::kTopic:
      fields = fmt::format("name={} topic_id={}", record.topic().name(),
                           IdText(record.topic().topic_id()));
      break;
    case v1::MetadataRecord::kRemoveTopic:
      fields = fmt::format("name={} topic_id={}", record.remove_topic().name(),
                           IdText(record.remove_topic().topic_id()));
      break;
    case v1::MetadataRecord::kPartition:
      fields = Fields(record.partition());
      break;
    case v1::MetadataRecord::kPartitionChange:
      fields = Fields(record.partition_change());
      break;
    case v1::MetadataRecord::kEntry:
      fields = Fields(record.entry());
      break;
    case v1::MetadataRecord::kRemoveEntry:
      fields = fmt::format("{}key={}", NamespaceText(record.remove_entry().namespace_()),
                           ValueText(record.remove_entry().key()));
      break;
    case v1::MetadataRecord::kConfig:
      fields = Fields(record.config());
      break;
    case v1::MetadataRecord::kRemoveConfig:
      fields = Fields(record.remove_config());
      break;
    case v1::MetadataRecord::kClientQuota:
      fields = Fields(record.client_quota());
      break;
    case v1::MetadataRecord::kRemoveClientQuota:
      fields = Fields(record.remove_client_quota());
      break;
    case v1::MetadataRecord::kAccessControlEntry:
      fields = Fields(record.access_control_entry());
      break;
    case v1::MetadataRecord::kRemoveAccessControlEntry:
      fields = Fields(record.remove_access_control_entry());
      break;
    case v1::MetadataRecord::kUserScramCredential:
      fields = Fields(record.user_scram_credential());
      break;
    case v1::MetadataRecord::kRemoveUserScramCredential:
      fields = Fields(record.remove_user_scram_credential());
      break;
    case v1::MetadataRecord::kFeatureLevel:
      fields = Fields(record.feature_level());
      break;
    case v1::MetadataRecord::kProducerIds:
      fields = Fields(record.producer_ids());
      break;
    case v1::MetadataRecord::kCompletedRequest:
      fields = fmt::format("id={} offset={}", IdText(record.completed_request().request_id()),
                           record.completed_request().offset());
      break;
    case v1::MetadataRecord::kExpireRequests:
      fields = fmt::format("below={}", record.expire_requests().below_offset());
      break;
    case v1::MetadataRecord::kWriteReason:
      fields = fmt::format("reason={}", ValueText(record.write_reason().reason()));
      break;
    case v1::MetadataRecord::kNoOp:
    case v1::MetadataRecord::RECORD_NOT_SET:
      break;
  }
  return fields.empty() ? RecordKind(record) : fmt::format("{} {}", RecordKind(record), fields);
}

}  // namespace kvorum::client
