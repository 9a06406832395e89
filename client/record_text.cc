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

std::string Fields(const v1::PartitionRecord& r) {
  return fmt::format(
      "topic_id={} partition={} leader={} isr={} replicas={} leader_epoch={} "
      "partition_epoch={}{}",
      IdText(r.topic_id()), r.partition_index(), r.leader(), Ids(r.isr()), Ids(r.replicas()),
      r.leader_epoch(), r.partition_epoch(), Recovery(r.leader_recovery_state()));
}

std::string Fields(const v1::PartitionChangeRecord& r) {
  return fmt::format(
      "topic_id={} partition={} leader={} isr={} leader_epoch={} "
      "partition_epoch={}{}",
      IdText(r.topic_id()), r.partition_index(), r.leader(), Ids(r.isr()), r.leader_epoch(),
      r.partition_epoch(), Recovery(r.leader_recovery_state()));
}

std::string Fields(const v1::RegisterBrokerRecord& r) {
  return fmt::format("broker={} epoch={} incarnation={} endpoints={} rack={} fenced={}",
                     r.broker_id(), r.broker_epoch(), IdText(r.incarnation_id()), EndpointsText(r),
                     r.rack().empty() ? "-" : r.rack(), r.fenced());
}

}  // namespace

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
      fields = fmt::format("broker={} epoch={} fenced={}",
                           record.broker_registration_change().broker_id(),
                           record.broker_registration_change().broker_epoch(),
                           record.broker_registration_change().fenced());
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
      fields = fmt::format("key={} version={} value={}", ValueText(record.entry().key()),
                           record.entry().version(), ValueText(record.entry().value()));
      break;
    case v1::MetadataRecord::kRemoveEntry:
      fields = fmt::format("key={}", ValueText(record.remove_entry().key()));
      break;
    case v1::MetadataRecord::kNoOp:
    case v1::MetadataRecord::RECORD_NOT_SET:
      break;
  }
  return fields.empty() ? RecordKind(record) : fmt::format("{} {}", RecordKind(record), fields);
}

}  // namespace kvorum::client
