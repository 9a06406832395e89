#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kvorum/v1/record.pb.h"
#include "server/metadata/metadata_image.h"
#include "server/raft/voter_set.h"
#include "storage/types/record_batch.h"
#include "storage/types/recovered_state.h"
#include "tests/sim/checkers/record_index.h"

namespace kvorum::sim {

// One committed batch and the metadata after it.
struct GhostBatch {
  RecordBatch batch;
  std::vector<v1::MetadataRecord> records;  // empty for a control batch
  std::shared_ptr<const MetadataImage> image;
  Epoch committed_in;  // of the node that knew it first: its leader's, or a later one
};

// What is committed, once and for ever: filled the first time any node's high watermark passes an
// offset, never changed after. Every promise about data is checked against it. Owned by the world;
// one thread.
class GhostLog {
 public:
  explicit GhostLog(const std::string& cluster_id);

  Offset end_offset() const { return end_.end_offset; }
  const BatchEnd& end() const { return end_; }
  const BatchEnd& genesis() const { return genesis_; }

  // The next committed batch, known to be so by a node in epoch `committed_in`.
  // REQUIRES: it follows on end().
  void Append(const RecordBatch& batch, Epoch committed_in);

  // nullptr unless a committed batch ends (begins) there.
  const GhostBatch* EndingAt(Offset offset) const;
  const GhostBatch* BeginningAt(Offset offset) const;
  // The metadata of everything below `offset`; nullptr if no committed batch ends there.
  std::shared_ptr<const MetadataImage> ImageAt(Offset offset) const;
  // The voter sets among the committed records, by where each was appended.
  const std::map<Offset, raft::VoterSet>& voter_sets() const { return voter_sets_; }
  // The payload a snapshot at `offset` carries; empty: there was no voter set yet.
  std::string VotersPayloadAt(Offset offset) const;
  // The end of what was committed by leaders of epochs below `epoch`.
  BatchEnd EndCommittedBefore(Epoch epoch) const;

  const std::vector<GhostBatch>& batches() const { return batches_; }
  const std::shared_ptr<const MetadataImage>& image() const { return image_; }
  const RecordIndex& index() const { return index_; }
  RecordIndex& mutable_index() { return index_; }

 private:
  size_t FirstAbove(Offset offset) const;

  BatchEnd genesis_;
  BatchEnd end_;
  std::shared_ptr<const MetadataImage> image_;
  std::vector<GhostBatch> batches_;
  std::map<Offset, raft::VoterSet> voter_sets_;
  RecordIndex index_;
};

}  // namespace kvorum::sim
