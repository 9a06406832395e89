#include "server/node/commit_applier.h"

#include <fmt/format.h>

#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/record_codec.h"
#include "server/node/ports.h"

namespace kvorum {
namespace {

void Replay(const RecordBatch& batch, MetadataDelta& delta) {
  Offset offset = batch.base_offset;
  const absl::Status status = VisitRecords(*batch.payload, [&](v1::MetadataRecord& record) {
    delta.Replay(std::move(record), offset);
    ++offset;
  });
  if (GetErrorReason(status) == ErrorReason::kUnsupportedVersion) {
    StopAtUnsupportedRecord(
        fmt::format("committed batch at {}: {}", batch.base_offset, status.ToString()));
  }
  KVORUM_CHECK(status.ok(), "committed batch at {}: {}", batch.base_offset, status.ToString());
  KVORUM_CHECK(offset == batch.end_offset(), "committed batch at {} says {} records and holds {}",
               batch.base_offset, batch.record_count, offset - batch.base_offset);
}

}  // namespace

void CommitApplier::ResetTo(std::shared_ptr<const MetadataImage> image, uint64_t chain_hash) {
  image_ = std::move(image);
  chain_hash_ = chain_hash;
  feed_.OnImage(image_);
}

void CommitApplier::Apply(const std::vector<RecordBatch>& batches) {
  if (batches.empty()) {
    return;
  }
  Provenance provenance = image_->provenance();
  // Let go of first: what nobody else holds is changed in place instead of copied.
  MetadataDelta delta(*std::exchange(image_, nullptr));
  for (const RecordBatch& batch : batches) {
    KVORUM_CHECK(batch.base_offset == provenance.end_offset, "batch at {} after {}",
                 batch.base_offset, provenance.end_offset);
    const bool is_skipped =
        (KVORUM_MUTANT(R12) && batches.size() > 1 && &batch == &batches.back()) ||
        (KVORUM_MUTANT(R47) && batch.chain_hash % 64 == 0);
    if (!batch.is_control && !is_skipped) {
      Replay(batch, delta);
    }
    chain_hash_ = batch.chain_hash;
    provenance = {batch.end_offset(), batch.epoch, batch.append_time_ms};
    feed_.OnCommit({batch.base_offset, batch.end_offset(), batch.epoch,
                    batch.is_control ? nullptr : batch.payload});
  }
  image_ = delta.Apply(provenance);
  feed_.OnImage(image_);
}

}  // namespace kvorum
