#pragma once

#include <utility>

#include "kvorum/v1/record.pb.h"
#include "server/base/check.h"

namespace kvorum {

// Calls `visitor` with the inner message of `record`. The one switch over record kinds: a new kind
// is added here, and then every visitor that lacks it does not compile.
// REQUIRES: the oneof is set.
template <typename Visitor>
decltype(auto) VisitRecord(const v1::MetadataRecord& record, Visitor&& visitor) {
  switch (record.record_case()) {
    case v1::MetadataRecord::kNoOp:
      return visitor(record.no_op());
    case v1::MetadataRecord::kRegisterBroker:
      return visitor(record.register_broker());
    case v1::MetadataRecord::kUnregisterBroker:
      return visitor(record.unregister_broker());
    case v1::MetadataRecord::kBrokerRegistrationChange:
      return visitor(record.broker_registration_change());
    case v1::MetadataRecord::kTopic:
      return visitor(record.topic());
    case v1::MetadataRecord::kRemoveTopic:
      return visitor(record.remove_topic());
    case v1::MetadataRecord::kPartition:
      return visitor(record.partition());
    case v1::MetadataRecord::kPartitionChange:
      return visitor(record.partition_change());
    case v1::MetadataRecord::kEntry:
      return visitor(record.entry());
    case v1::MetadataRecord::kRemoveEntry:
      return visitor(record.remove_entry());
    case v1::MetadataRecord::kConfig:
      return visitor(record.config());
    case v1::MetadataRecord::kRemoveConfig:
      return visitor(record.remove_config());
    case v1::MetadataRecord::kClientQuota:
      return visitor(record.client_quota());
    case v1::MetadataRecord::kRemoveClientQuota:
      return visitor(record.remove_client_quota());
    case v1::MetadataRecord::kAccessControlEntry:
      return visitor(record.access_control_entry());
    case v1::MetadataRecord::kRemoveAccessControlEntry:
      return visitor(record.remove_access_control_entry());
    case v1::MetadataRecord::kUserScramCredential:
      return visitor(record.user_scram_credential());
    case v1::MetadataRecord::kRemoveUserScramCredential:
      return visitor(record.remove_user_scram_credential());
    case v1::MetadataRecord::kFeatureLevel:
      return visitor(record.feature_level());
    case v1::MetadataRecord::kProducerIds:
      return visitor(record.producer_ids());
    case v1::MetadataRecord::kCompletedRequest:
      return visitor(record.completed_request());
    case v1::MetadataRecord::kExpireRequests:
      return visitor(record.expire_requests());
    case v1::MetadataRecord::kWriteReason:
      return visitor(record.write_reason());
    case v1::MetadataRecord::RECORD_NOT_SET:
      break;
  }
  KVORUM_CHECK(false, "record without content");
}

// Private kinds are for controllers: replicated and in their snapshots, never on a stream.
inline bool IsPrivate(const v1::MetadataRecord& record) {
  return record.has_completed_request() || record.has_expire_requests() ||
         record.has_write_reason();
}

}  // namespace kvorum
