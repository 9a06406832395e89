#pragma once

#include <concepts>
#include <memory>
#include <string>

#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/acls/acls_delta.h"
#include "server/metadata/brokers/brokers_delta.h"
#include "server/metadata/configs/configs_delta.h"
#include "server/metadata/credentials/credentials_delta.h"
#include "server/metadata/entries/entries_delta.h"
#include "server/metadata/features/features_delta.h"
#include "server/metadata/metadata_image.h"
#include "server/metadata/producer_ids/producer_ids_delta.h"
#include "server/metadata/quotas/quotas_delta.h"
#include "server/metadata/requests/requests_delta.h"
#include "server/metadata/topics/topics_delta.h"

namespace kvorum {

// What a domain brings: an image with a state hash, a delta over it, and a cursor that turns the
// image back into records (for snapshots and full syncs). Its delta has one Replay for each of its
// record kinds; MetadataDelta does not compile without it.
template <typename Delta>
concept Domain = requires(Delta delta, const Delta const_delta, v1::MetadataRecord record,
                          std::shared_ptr<const typename Delta::Image> image) {
  requires std::constructible_from<Delta, std::shared_ptr<const typename Delta::Image>>;
  { const_delta.Apply() } -> std::same_as<std::shared_ptr<const typename Delta::Image>>;
  { image->state_hash } -> std::convertible_to<uint64_t>;
  requires std::constructible_from<typename Delta::Cursor, const typename Delta::Image&>;
  requires requires(typename Delta::Cursor cursor) {
    { cursor.Next(record) } -> std::same_as<bool>;
  };
};

// A change over a base image: replays decided records, the only way metadata ever changes, alike on
// the leader, on followers and from snapshots. A record that can't apply means a corrupt log or a
// bug: the process ends, with offset and record (Kafka's fatal fault handler). Owned by whoever
// applies; one thread. The base stays as it is.
class MetadataDelta {
 public:
  explicit MetadataDelta(const MetadataImage& base);

  // Applies the record at `offset`. Records of a snapshot or a full sync are replayed on the empty
  // image, all with the last offset the snapshot contains.
  void Replay(const v1::MetadataRecord& record, Offset offset);
  // The same, and takes what it keeps: an entry's value may be large.
  void Replay(v1::MetadataRecord&& record, Offset offset);

  // The image with everything replayed so far. May be called again after more.
  std::shared_ptr<const MetadataImage> Apply(const Provenance& provenance) const;

 private:
  // Topics follow the config min.insync.replicas, of their own and of all brokers. `value` null: it
  // is not set any more.
  template <typename Record>
  void FollowMinInsync(const Record& record, const std::string* value, Offset offset);

  FeaturesDelta features_;
  BrokersDelta brokers_;
  TopicsDelta topics_;
  ConfigsDelta configs_;
  QuotasDelta quotas_;
  ProducerIdsDelta producer_ids_;
  AclsDelta acls_;
  CredentialsDelta credentials_;
  EntriesDelta entries_;
  RequestsDelta requests_;
};

}  // namespace kvorum
