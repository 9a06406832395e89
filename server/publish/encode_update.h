#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kvorum/v1/stream.pb.h"
#include "server/publish/committed_update.h"
#include "server/publish/subscriber_sink.h"

namespace kvorum::publish {

// A piece of a message that stands for one whole MetadataUpdate: `head`, then `payload` (may be
// null). Pieces of several updates may follow each other: the wire form of a repeated field
// concatenates.
struct EncodedUpdate {
  SharedBytes head;
  SharedBytes payload;

  size_t bytes() const { return head->size() + (payload ? payload->size() : 0); }
  void AppendTo(Delivery& delivery) const;
};

// Any update but a commit, as a field of SubscribeResponse.
EncodedUpdate EncodeUpdate(const v1::MetadataUpdate& update);

// A commit around the batch's own bytes, which are not copied unless it must be split: one over
// `max_bytes`, its head included, comes in parts, cut between records (each holds at least one).
// REQUIRES: the payload is a well-formed RecordBatchPayload.
std::vector<EncodedUpdate> EncodeCommit(const CommittedUpdate& update, uint64_t generation,
                                        size_t max_bytes);

// A commit made for a filter, copied; one over `max_bytes` comes in parts, as above.
std::vector<EncodedUpdate> EncodeFilteredCommit(v1::Commit commit, size_t max_bytes);

// A part of a snapshot; `chunk` is the wire form of its `records`.
EncodedUpdate EncodeSnapshotChunk(std::string chunk);

}  // namespace kvorum::publish
