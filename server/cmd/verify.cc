#include "server/cmd/verify.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/cmd/exit_codes.h"
#include "server/cmd/offline_replica.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/record_codec.h"
#include "storage/log_verifier.h"
#include "storage/snapshot_rules.h"

namespace kvorum {
namespace {

using ImagePtr = std::shared_ptr<const MetadataImage>;

absl::Status Corrupt(const std::string& what) { return MakeError(ErrorReason::kCorruptLog, what); }

std::string Text(const absl::Status& status) { return std::string(status.message()); }

// Reads all of a snapshot: chunk checksums, count, size and digest, and the state it gives.
absl::StatusOr<ImagePtr> LoadSnapshot(const OfflineReplica& replica,
                                      const SnapshotManifest& snapshot) {
  SnapshotManifest counted = snapshot;
  counted.chunk_count = 0;
  counted.size_bytes = 0;
  counted.digest = 0;
  MetadataDelta delta(*MetadataImage::Empty());
  KVORUM_RETURN_IF_ERROR(
      replica.ForEachChunk(snapshot, [&](int64_t index, const std::string& chunk) {
        CountChunk(chunk, counted);
        const auto records = DecodeRecords(chunk);
        if (!records.ok()) {
          return Corrupt(fmt::format("chunk {}: {}", index, Text(records.status())));
        }
        for (const v1::MetadataRecord& record : *records) {
          delta.Replay(record, snapshot.id.offset - 1);
        }
        return absl::OkStatus();
      }));
  KVORUM_RETURN_IF_ERROR(CheckReceived(counted, snapshot));
  ImagePtr image =
      delta.Apply({snapshot.id.offset, snapshot.id.epoch, snapshot.last_append_time_ms});
  if (image->StateHash() != snapshot.state_hash) {
    return Corrupt(fmt::format("it gives a state of hash {}, it was made from one of {}",
                               HexText(image->StateHash()), HexText(snapshot.state_hash)));
  }
  return image;
}

// Replays the log on the state at its start and compares with every snapshot it passes.
class LogReplay {
 public:
  LogReplay(const OfflineReplica& replica, ImagePtr image, v1::VerifyReport& report)
      : replica_(replica), image_(std::move(image)), report_(report) {}

  absl::Status Run() {
    CompareAt(replica_.state().log_start_offset, replica_.state().chain_at_start);
    KVORUM_RETURN_IF_ERROR(
        replica_.ForEachBatch([this](const RecordBatch& batch) { return Add(batch); }));
    if (image_ != nullptr) {
      report_.set_state_hash(HexText(image_->StateHash()));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Add(const RecordBatch& batch) {
    report_.set_batch_count(report_.batch_count() + 1);
    report_.set_record_count(report_.record_count() + batch.record_count);
    if (batch.is_control) {
      v1::ControlBatch control;
      if (!control.ParseFromString(*batch.payload) ||
          control.records_size() != batch.record_count) {
        return Corrupt(fmt::format("the control batch at {} cannot be read", batch.base_offset));
      }
    } else {
      KVORUM_RETURN_IF_ERROR(Apply(batch));
    }
    CompareAt(batch.end_offset(), batch.chain_hash);
    return absl::OkStatus();
  }

  absl::Status Apply(const RecordBatch& batch) {
    const auto records = DecodeRecords(*batch.payload);
    if (!records.ok() || records->size() != static_cast<size_t>(batch.record_count)) {
      return Corrupt(
          fmt::format("the batch at {} cannot be read: {}", batch.base_offset,
                      records.ok() ? "its count of records is wrong" : Text(records.status())));
    }
    if (image_ == nullptr) {
      return absl::OkStatus();
    }
    MetadataDelta delta(*image_);
    Offset offset = batch.base_offset;
    for (const v1::MetadataRecord& record : *records) {
      delta.Replay(record, offset);
      ++offset;
    }
    image_ = delta.Apply({batch.end_offset(), batch.epoch, batch.append_time_ms});
    return absl::OkStatus();
  }

  void CompareAt(Offset end, uint64_t chain_hash) {
    for (const SnapshotManifest& snapshot : replica_.state().snapshots) {
      if (snapshot.id.offset != end) {
        continue;
      }
      if (snapshot.chain_hash != chain_hash) {
        report_.add_problems(
            fmt::format("snapshot {} was made of another log: chain hash {}, the log has {}",
                        snapshot.id, HexText(snapshot.chain_hash), HexText(chain_hash)));
      }
      if (image_ != nullptr && snapshot.state_hash != image_->StateHash()) {
        report_.add_problems(
            fmt::format("snapshot {} holds a state of hash {}, the log gives {} there", snapshot.id,
                        HexText(snapshot.state_hash), HexText(image_->StateHash())));
      }
    }
  }

  const OfflineReplica& replica_;
  ImagePtr image_;  // null: the state at the log's start could not be read
  v1::VerifyReport& report_;
};

void VerifyContents(const OfflineReplica& replica, v1::VerifyReport& report) {
  const RecoveredState& state = replica.state();
  ImagePtr at_start = state.log_start_offset == Offset(0) ? MetadataImage::Empty() : nullptr;
  for (const SnapshotManifest& snapshot : state.snapshots) {
    absl::StatusOr<ImagePtr> image = LoadSnapshot(replica, snapshot);
    if (!image.ok()) {
      report.add_problems(fmt::format("snapshot {}: {}", snapshot.id, Text(image.status())));
    } else if (snapshot.id.offset == state.log_start_offset) {
      at_start = *std::move(image);
    }
  }
  if (const absl::Status status = LogReplay(replica, at_start, report).Run(); !status.ok()) {
    report.add_problems(Text(status));
  }
}

void PrintText(const v1::VerifyReport& report) {
  const v1::DirectoryState& state = report.directory();
  if (state.cluster_id().empty()) {
    fmt::print("{}: cannot be opened\n", report.data_dir());
  } else {
    fmt::print("{}: node {} of cluster {}, log {} to {} ({} batches, {} records), {} snapshots\n",
               report.data_dir(), state.node_id(), state.cluster_id(), state.log_start_offset(),
               state.log_end_offset(), report.batch_count(), report.record_count(),
               state.snapshots_size());
  }
  for (const std::string& problem : report.problems()) {
    fmt::print("problem: {}\n", problem);
  }
  fmt::print("{}\n", report.is_sound() ? "sound" : "NOT SOUND");
}

}  // namespace

v1::VerifyReport VerifyDirectory(const std::string& data_dir) {
  v1::VerifyReport report;
  report.set_data_dir(data_dir);
  if (const absl::StatusOr<OfflineReplica> replica = OfflineReplica::Open(data_dir);
      !replica.ok()) {
    report.add_problems(Text(replica.status()));
  } else {
    *report.mutable_directory() = replica->Describe();
    if (replica->state().quarantine.has_value()) {
      report.add_problems("quarantined: " + replica->state().quarantine->reason);
    }
    if (replica->properties().recovering_from.has_value()) {
      report.add_problems("`kvorumd recover apply` began and did not end: run it again");
    }
    if (const absl::Status files = replica->storage().VerifyFiles(); !files.ok()) {
      report.add_problems(Text(files));
    }
    VerifyContents(*replica, report);
  }
  report.set_is_sound(report.problems().empty());
  return report;
}

int Verify(const VerifyOptions& options) {
  const v1::VerifyReport report = VerifyDirectory(options.data_dir);
  if (options.json) {
    PrintJsonLine(report);
  } else {
    PrintText(report);
  }
  if (report.is_sound()) {
    return kExitOk;
  }
  return ReadMetaProperties(options.data_dir).ok() ? kExitStorageFailed : kExitBadDirectory;
}

}  // namespace kvorum
