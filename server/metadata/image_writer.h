#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "kvorum/v1/record.pb.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/metadata_image.h"

namespace kvorum {

// For whom an image is written: controllers keep everything, subscribers see no private records.
enum class Audience { kControllers, kSubscribers };

// Turns an image into records in a fixed order: features, brokers, topics with their partitions,
// configs, quotas, producer ids, access control, credentials, entries, then what is private; each
// by key. Replayed on the empty image they give it again. Owns its share of the image; one thread,
// any.
class ImageCursor {
 public:
  ImageCursor(std::shared_ptr<const MetadataImage> image, Audience audience);

  // Sets `record` to the next one; false at the end.
  bool Next(v1::MetadataRecord& record);

 private:
  std::shared_ptr<const MetadataImage> image_;  // what the cursors borrow
  FeaturesDelta::Cursor features_;
  BrokersDelta::Cursor brokers_;
  TopicsDelta::Cursor topics_;
  ConfigsDelta::Cursor configs_;
  QuotasDelta::Cursor quotas_;
  ProducerIdsDelta::Cursor producer_ids_;
  AclsDelta::Cursor acls_;
  CredentialsDelta::Cursor credentials_;
  EntriesDelta::Cursor entries_;
  std::optional<RequestsDelta::Cursor> requests_;  // for controllers only
};

// The same records in chunks, for snapshots and full syncs: pulled, so that a slow reader costs a
// cursor and not a copy. Equal images and sizes give equal bytes. One thread, any.
class ImageChunker {
 public:
  ImageChunker(std::shared_ptr<const MetadataImage> image, Audience audience, size_t max_bytes);

  // The next chunk: the bytes of a RecordBatchPayload (for subscribers those of its `records`), at
  // most `max_bytes` (a single record that is larger is its own chunk) and kMaxRecordsPerBatch
  // records. nullopt at the end; the empty image has no chunks.
  std::optional<std::string> Next();

 private:
  // Encodes the next record into `pending_`, which is empty at the end.
  void FillPending();

  ImageCursor cursor_;
  size_t max_bytes_;
  std::string pending_;  // one encoded record that is in no chunk yet
};

}  // namespace kvorum
