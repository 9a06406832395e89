#include "client/metadata_changes.h"

namespace kvorum::client {
namespace {

void AddTopic(const std::string& topic_id, const TopicNameOf& name_of, MetadataChanges& changes) {
  if (std::string name = name_of(topic_id); !name.empty()) {
    changes.topics.insert(std::move(name));
  }
}

}  // namespace

void AddChange(const v1::MetadataRecord& record, const TopicNameOf& name_of,
               MetadataChanges& changes) {
  switch (record.record_case()) {
    case v1::MetadataRecord::kRegisterBroker:
      changes.brokers.insert(record.register_broker().broker_id());
      return;
    case v1::MetadataRecord::kUnregisterBroker:
      changes.brokers.insert(record.unregister_broker().broker_id());
      return;
    case v1::MetadataRecord::kBrokerRegistrationChange:
      changes.brokers.insert(record.broker_registration_change().broker_id());
      return;
    case v1::MetadataRecord::kTopic:
      changes.topics.insert(record.topic().name());
      return;
    case v1::MetadataRecord::kRemoveTopic:
      changes.topics.insert(record.remove_topic().name());
      return;
    case v1::MetadataRecord::kPartition:
      AddTopic(record.partition().topic_id(), name_of, changes);
      return;
    case v1::MetadataRecord::kPartitionChange:
      AddTopic(record.partition_change().topic_id(), name_of, changes);
      return;
    case v1::MetadataRecord::kEntry:
      changes.entries.emplace(record.entry().namespace_(), record.entry().key());
      return;
    case v1::MetadataRecord::kRemoveEntry:
      changes.entries.emplace(record.remove_entry().namespace_(), record.remove_entry().key());
      return;
    case v1::MetadataRecord::kNoOp:
    case v1::MetadataRecord::RECORD_NOT_SET:
      return;
    default:
      changes.settings = true;
  }
}

}  // namespace kvorum::client
