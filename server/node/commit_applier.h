#pragma once

#include <memory>
#include <vector>

#include "server/base/ids.h"
#include "server/metadata/metadata_image.h"
#include "storage/types/record_batch.h"

namespace kvorum {

class CommitFeed;

// Turns committed batches into the committed image, and passes them on to the subscribers: the same
// code on the leader and on every follower. Owned by Node; loop thread only.
class CommitApplier {
 public:
  // `genesis_chain` is the chain hash of the empty log.
  CommitApplier(CommitFeed& feed, uint64_t genesis_chain)
      : feed_(feed), chain_hash_(genesis_chain), image_(MetadataImage::Empty()) {}

  // REQUIRES: the batches follow on applied_end(), all of them committed. A record that this
  // version does not know ends the process: it can't tell what it would be missing.
  void Apply(const std::vector<RecordBatch>& batches);

  // Goes on from `image`, which a snapshot gave. `chain_hash`: of the log below its end.
  void ResetTo(std::shared_ptr<const MetadataImage> image, uint64_t chain_hash);

  Offset applied_end() const { return image_->provenance().end_offset; }
  const std::shared_ptr<const MetadataImage>& image() const { return image_; }
  // Of the log below applied_end().
  uint64_t chain_hash() const { return chain_hash_; }

 private:
  CommitFeed& feed_;
  uint64_t chain_hash_;
  std::shared_ptr<const MetadataImage> image_;
};

}  // namespace kvorum
