#include "storage/log_verifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"

namespace kvorum {
namespace {

constexpr std::string_view kRemedy =
    "This replica may have forgotten records it promised to keep: do not edit the directory. Keep "
    "it for analysis, remove this voter from the quorum, format a new directory (it gets a new "
    "directory id) and add that one as a voter";

absl::Status Corrupt(std::string_view what) { return MakeError(ErrorReason::kCorruptLog, what); }

std::string Text(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

}  // namespace

BatchEnd EmptyLogEnd(std::string_view cluster_id) {
  BatchEnd end;
  end.chain_hash = GenesisChainHash(cluster_id);
  return end;
}

BatchEnd EndOf(const RecordBatch& batch) {
  BatchEnd end;
  end.end_offset = batch.end_offset();
  end.epoch = batch.epoch;
  end.chain_hash = batch.chain_hash;
  return end;
}

BatchEnd EndOf(const SnapshotManifest& snapshot) {
  BatchEnd end;
  end.end_offset = snapshot.id.offset;
  end.epoch = snapshot.id.epoch;
  end.chain_hash = snapshot.chain_hash;
  return end;
}

BatchEnd EndOf(const RecoveredState& recovered) {
  if (!recovered.batch_ends.empty()) {
    return recovered.batch_ends.back();
  }
  BatchEnd end;
  end.end_offset = recovered.log_start_offset;
  end.epoch = recovered.epoch_at_start;
  end.chain_hash = recovered.chain_at_start;
  return end;
}

absl::Status CheckContinues(const BatchEnd& end, const RecordBatch& next) {
  if (next.base_offset != end.end_offset) {
    return Corrupt(fmt::format("the log ends at offset {}, the next batch begins at {}",
                               end.end_offset, next.base_offset));
  }
  if (next.epoch < end.epoch) {
    return Corrupt(fmt::format("the batch at offset {} is of epoch {}, the one before it of {}",
                               next.base_offset, next.epoch, end.epoch));
  }
  if (const uint64_t chain = NextChainHash(end.chain_hash, next); chain != next.chain_hash) {
    return Corrupt(
        fmt::format("the batch at offset {} carries chain hash {:#018x}, but the log of this "
                    "cluster below it gives {:#018x}",
                    next.base_offset, next.chain_hash, chain));
  }
  return absl::OkStatus();
}

absl::Status WithRemedy(const absl::Status& error) {
  return error.ok()
             ? error
             : MakeError(ErrorReason::kCorruptLog, fmt::format("{}. {}", Text(error), kRemedy));
}

bool CoversLogStart(const std::vector<SnapshotManifest>& snapshots, Offset log_start) {
  return log_start == Offset(0) ||
         std::any_of(snapshots.begin(), snapshots.end(), [&](const SnapshotManifest& snapshot) {
           return snapshot.id.offset >= log_start;
         });
}

LogVerifier::LogVerifier(const BatchEnd& start) : end_(start) {
  state_.log_start_offset = start.end_offset;
  state_.chain_at_start = start.chain_hash;
  state_.epoch_at_start = start.epoch;
}

absl::Status LogVerifier::AddFrame(Offset key, std::string_view frame) {
  auto batch = DecodeBatch(frame);
  if (!batch.ok()) {
    return WithRemedy(Corrupt(fmt::format("log row at offset {}: {}", key, Text(batch.status()))));
  }
  if (!frame.empty()) {
    return WithRemedy(
        Corrupt(fmt::format("log row at offset {}: {} bytes after its batch", key, frame.size())));
  }
  return AddDecoded(key, *batch);
}

absl::Status LogVerifier::AddBatch(Offset key, const RecordBatch& batch) {
  const uint32_t crc = batch.payload ? Crc32c(*batch.payload) : 0;
  if (crc != batch.payload_crc && !KVORUM_MUTANT(R48)) {
    return WithRemedy(
        Corrupt(fmt::format("batch at offset {}: payload CRC {:#010x}, computed "
                            "{:#010x}",
                            key, batch.payload_crc, crc)));
  }
  return AddDecoded(key, batch);
}

absl::Status LogVerifier::AddDecoded(Offset key, const RecordBatch& batch) {
  if (key != batch.base_offset) {
    return WithRemedy(Corrupt(
        fmt::format("log row at offset {} holds the batch of offset {}", key, batch.base_offset)));
  }
  if (absl::Status status = CheckContinues(end_, batch); !status.ok()) {
    return WithRemedy(status);
  }
  end_ = EndOf(batch);
  state_.batch_ends.push_back(end_);
  if (batch.is_control) {
    state_.control_batches.push_back(batch);
  }
  return absl::OkStatus();
}

absl::StatusOr<RecoveredState> LogVerifier::Finish(const std::optional<QuorumState>& quorum_state,
                                                   std::vector<SnapshotManifest> snapshots) && {
  if (!quorum_state.has_value() && end_.end_offset > Offset(0)) {
    return WithRemedy(Corrupt(
        fmt::format("the log ends at offset {} but the quorum state (epoch and vote) is missing",
                    end_.end_offset)));
  }
  state_.quorum_state = quorum_state.value_or(QuorumState());
  if (end_.epoch > state_.quorum_state.epoch) {
    return WithRemedy(
        Corrupt(fmt::format("the log ends at offset {} in epoch {}, but the quorum state is of "
                            "epoch {}, which is older",
                            end_.end_offset, end_.epoch, state_.quorum_state.epoch)));
  }
  if (!CoversLogStart(snapshots, state_.log_start_offset)) {
    return WithRemedy(Corrupt(fmt::format(
        "the log starts at offset {}, but of the {} snapshots here none holds what is below it",
        state_.log_start_offset, snapshots.size())));
  }
  state_.snapshots = std::move(snapshots);
  return std::move(state_);
}

}  // namespace kvorum
