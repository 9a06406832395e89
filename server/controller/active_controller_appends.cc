// The part of ActiveController that takes decided records into the plan and the log.
#include <memory>
#include <string>
#include <utility>

#include "server/base/check.h"
#include "server/base/mutants.h"
#include "server/controller/active_controller.h"
#include "server/metadata/brokers/broker_fencing.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/record_codec.h"

namespace kvorum::controller {
namespace {

// A broker that fails changes all its partitions, which may be very many. Planned and appended so
// many at a time, their records are still in the processor's nearest cache, and each step has the
// memory of the one before.
constexpr size_t kChangesPerStep = 200;

}  // namespace

void ActiveController::AppendRecords(Now now, std::vector<v1::MetadataRecord> records,
                                     bool is_atomic) {
  if (CheckFitsOneBatch(records).ok() || KVORUM_MUTANT(R24)) {
    if (KVORUM_MUTANT(R29)) {
      AppendBatch(now, records);
    }
    AppendBatch(now, std::move(records));
    return;
  }
  KVORUM_CHECK(!is_atomic, "an atomic result of {} records does not fit one batch", records.size());
  for (std::vector<v1::MetadataRecord>& batch : SplitIntoBatches(std::move(records))) {
    AppendBatch(now, std::move(batch));
  }
}

void ActiveController::AppendIfAny(Now now, std::vector<v1::MetadataRecord> records) {
  if (!records.empty()) {
    AppendRecords(now, std::move(records), /*is_atomic=*/false);
  }
}

void ActiveController::AppendBatch(Now now, std::vector<v1::MetadataRecord> records) {
  OpenBatch batch;
  Extend(now, std::move(records), batch);
  Append(now, std::move(batch));
}

void ActiveController::Extend(Now now, std::vector<v1::MetadataRecord> records, OpenBatch& batch) {
  std::string payload = EncodeRecords(records);
  if (batch.count + records.size() > kMaxRecordsPerBatch ||
      batch.payload.size() + payload.size() > kMaxBatchBytes) {
    Append(now, std::exchange(batch, {}));
  }
  Offset offset = log_.log_end_offset() + static_cast<int64_t>(batch.count);
  const absl::Status allowed = CheckLevelAllows(records, latest_->features().metadata_level());
  KVORUM_CHECK(allowed.ok(), "records at {}: {}", offset, allowed.ToString());
  batch.count += records.size();
  batch.payload = batch.payload.empty() ? std::move(payload) : std::move(batch.payload) + payload;
  for (size_t i = 0; i < records.size(); ++i) {
    changes_.Note(records[i], offset + static_cast<int64_t>(i), *latest_);
  }
  // Released before the replay: nobody else holds the plan, so its nodes change in place.
  MetadataDelta delta(*std::exchange(latest_, nullptr));
  for (v1::MetadataRecord& record : records) {
    delta.Replay(std::move(record), offset);
    ++offset;
  }
  latest_ = delta.Apply(Provenance{offset, epoch_, now.wall_ms});
}

void ActiveController::Append(Now now, OpenBatch batch) {
  if (batch.count == 0) {
    return;
  }
  const Offset base = log_.log_end_offset();
  const Offset end = base + static_cast<int64_t>(batch.count);
  // First, since the records may be committed as soon as they are appended.
  planned_hashes_.emplace_back(end, latest_->StateHash());
  log_.Append(now, epoch_, static_cast<int32_t>(batch.count),
              std::make_shared<const std::string>(std::move(batch.payload)));
  KVORUM_CHECK(log_.log_end_offset() == end, "appended {} records at {}, log ends at {}",
               batch.count, base, log_.log_end_offset());
  if (next_no_op_ != kNever) {
    next_no_op_ = now.now + config_.max_idle_interval;
  }
}

void ActiveController::Fence(Now now, BrokerId broker) {
  OpenBatch batch;
  SweepStep step;
  while (!step.is_done) {
    step = FenceBroker(*latest_, broker, step.next, kChangesPerStep);
    if (!CheckFitsOneBatch(step.records).ok()) {
      Append(now, std::exchange(batch, {}));
      AppendRecords(now, std::move(step.records), /*is_atomic=*/false);
    } else if (!step.records.empty()) {
      Extend(now, std::move(step.records), batch);
    }
  }
  Append(now, std::move(batch));
}

void ActiveController::SetFenced(Now now, BrokerId broker, bool fenced) {
  if (fenced) {
    Fence(now, broker);
  } else {
    AppendIfAny(now, UnfenceBroker(*latest_, broker));
    if (!KVORUM_MUTANT(UnfencingUnseen)) {
      unfencing_[broker] = log_.log_end_offset();
    }
  }
  sessions_.ClearUnfenceTarget(broker);
  sessions_.ClearControlledShutdownOffset(broker);
}

}  // namespace kvorum::controller
