#include "storage/rocksdb/log_table.h"

#include <fmt/format.h>
#include <rocksdb/convenience.h>

#include <array>
#include <memory>
#include <utility>

#include "server/base/check.h"
#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/key_codec.h"
#include "storage/rocksdb/options.h"
#include "storage/rocksdb/status_convert.h"
#include "storage/types/big_endian.h"

namespace kvorum {
namespace {

constexpr size_t kScanReadahead = 4 << 20;
constexpr uint8_t kStartFormat = 1;
constexpr size_t kStartBodyBytes = 1 + 8 + 4 + 8;

absl::StatusOr<RecordBatch> DecodeRow(const rocksdb::Slice& key, const rocksdb::Slice& value) {
  std::string_view frame = View(value);
  auto batch = DecodeBatch(frame);
  if (batch.ok() && (!frame.empty() || ParseLogKey(View(key)) != batch->base_offset)) {
    return MakeError(
        ErrorReason::kCorruptLog,
        fmt::format("log row at offset {}: not under its own key", batch->base_offset));
  }
  return batch;
}

}  // namespace

std::string EncodeLogStart(const BatchEnd& start) {
  std::string out;
  PutBigEndian<uint8_t>(out, kStartFormat);
  PutBigEndian<int64_t>(out, start.end_offset.value());
  PutBigEndian<int32_t>(out, start.epoch.value());
  PutBigEndian<uint64_t>(out, start.chain_hash);
  PutBigEndian<uint32_t>(out, Crc32c(out));
  return out;
}

absl::StatusOr<BatchEnd> DecodeLogStart(std::string_view bytes) {
  if (bytes.size() != kStartBodyBytes + 4) {
    return MakeError(ErrorReason::kCorruptLog, fmt::format("log start: {} bytes", bytes.size()));
  }
  const uint32_t actual = Crc32c(bytes.substr(0, kStartBodyBytes));
  const auto format = TakeBigEndian<uint8_t>(bytes);
  BatchEnd start;
  start.end_offset = Offset(TakeBigEndian<int64_t>(bytes));
  start.epoch = Epoch(TakeBigEndian<int32_t>(bytes));
  start.chain_hash = TakeBigEndian<uint64_t>(bytes);
  if (TakeBigEndian<uint32_t>(bytes) != actual || format != kStartFormat ||
      start.end_offset < Offset(0) || start.epoch < Epoch(0)) {
    return MakeError(ErrorReason::kCorruptLog,
                     fmt::format("log start: format {}, offset {}, or its checksum fails", format,
                                 start.end_offset));
  }
  return start;
}

LogTable::LogTable(rocksdb::DB* db, const Families& families, std::string_view cluster_id)
    : db_(db), families_(families), start_(EmptyLogEnd(cluster_id)), end_(start_) {}

absl::Status LogTable::LoadStart() {
  std::string value;
  const rocksdb::Status status =
      db_->Get(VerifiedRead(), families_.meta, ToSlice(kLogStartKey), &value);
  if (status.IsNotFound()) {
    return absl::OkStatus();
  }
  KVORUM_RETURN_IF_ERROR(WithRemedy(FromRocksDb(status, "read where the log starts")));
  const auto start = DecodeLogStart(value);
  if (!start.ok()) {
    return WithRemedy(start.status());
  }
  start_ = *start;
  return absl::OkStatus();
}

absl::StatusOr<LogVerifier> LogTable::Load() {
  KVORUM_RETURN_IF_ERROR(LoadStart());
  LogVerifier verifier(start_);
  rocksdb::ReadOptions options = VerifiedRead();
  options.readahead_size = kScanReadahead;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options, families_.log));
  for (it->Seek(LogKey(start_.end_offset)); it->Valid(); it->Next()) {
    const std::optional<Offset> offset = ParseLogKey(View(it->key()));
    if (!offset.has_value()) {
      return WithRemedy(MakeError(ErrorReason::kCorruptLog,
                                  fmt::format("a log key of {} bytes", it->key().size())));
    }
    KVORUM_RETURN_IF_ERROR(verifier.AddFrame(*offset, View(it->value())));
  }
  // A damaged block ends the iteration as the last row does; only the status tells.
  if (!it->status().ok() && !KVORUM_MUTANT(R39)) {
    return WithRemedy(FromRocksDb(
        it->status(), fmt::format("read the log behind offset {}", verifier.end().end_offset)));
  }
  end_ = verifier.end();
  Publish();
  return verifier;
}

absl::StatusOr<BatchEnd> LogTable::EndBelow(Offset offset) const {
  if (offset <= start_.end_offset) {
    return start_;
  }
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(VerifiedRead(), families_.log));
  it->SeekForPrev(LogKey(offset - 1));
  BatchEnd end = start_;
  if (it->Valid() && it->key().compare(LogKey(start_.end_offset)) >= 0) {
    KVORUM_ASSIGN_OR_RETURN(const RecordBatch last, DecodeRow(it->key(), it->value()));
    end = EndOf(last);
  }
  KVORUM_RETURN_IF_ERROR(
      FromRocksDb(it->status(), fmt::format("find the batch below offset {}", offset)));
  return end;
}

absl::Status LogTable::DeleteRowsFrom(Offset offset, rocksdb::WriteBatch& batch) {
  // One deletion per row: range tombstones had reader bugs well after 7.8, and what is truncated
  // was never committed, so it is little.
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(VerifiedRead(), families_.log));
  for (it->Seek(LogKey(offset)); it->Valid(); it->Next()) {
    KVORUM_RETURN_IF_ERROR(FromRocksDb(batch.Delete(families_.log, it->key()), "truncate the log"));
  }
  return FromRocksDb(it->status(), "truncate the log");
}

absl::Status LogTable::DeleteRowsBelow(Offset offset, rocksdb::WriteBatch& batch) {
  // Nobody reads below the start, so it does not matter what a tombstone hides.
  if (offset - swept_to_ < kRecordsPerRangeTombstone) {
    return absl::OkStatus();
  }
  swept_to_ = offset;
  return FromRocksDb(batch.DeleteRange(families_.log, LogKey(Offset(0)), LogKey(offset)),
                     "remove the beginning of the log");
}

absl::Status LogTable::PutStart(const BatchEnd& start, rocksdb::WriteBatch& batch) {
  start_ = start;
  KVORUM_RETURN_IF_ERROR(
      FromRocksDb(batch.Put(families_.meta, ToSlice(kLogStartKey), EncodeLogStart(start)),
                  "move the start of the log"));
  return DeleteRowsBelow(start.end_offset, batch);
}

absl::Status LogTable::AddInstall(const SnapshotManifest& snapshot, rocksdb::WriteBatch& batch) {
  // What is above would show again; what is below is out of sight.
  KVORUM_RETURN_IF_ERROR(DeleteRowsFrom(snapshot.id.offset, batch));
  end_ = EndOf(snapshot);
  return PutStart(end_, batch);
}

absl::Status LogTable::AddTruncation(Offset end_offset, rocksdb::WriteBatch& batch) {
  if (end_offset >= end_.end_offset) {
    return absl::OkStatus();
  }
  KVORUM_CHECK(end_offset >= start_.end_offset, "truncation to {}, below the log's start {}",
               end_offset, start_.end_offset);
  KVORUM_RETURN_IF_ERROR(DeleteRowsFrom(end_offset, batch));
  KVORUM_ASSIGN_OR_RETURN(end_, EndBelow(end_offset));
  KVORUM_CHECK(end_.end_offset == end_offset,
               "truncation to {} would split the batch that ends at {}", end_offset,
               end_.end_offset);
  return absl::OkStatus();
}

absl::Status LogTable::AddStart(Offset start, rocksdb::WriteBatch& batch) {
  KVORUM_CHECK(start >= start_.end_offset && start <= end_.end_offset,
               "log start {} outside of the log, [{}, {})", start, start_.end_offset,
               end_.end_offset);
  if (start == start_.end_offset) {
    return absl::OkStatus();
  }
  BatchEnd below = end_;
  if (start < end_.end_offset) {
    KVORUM_ASSIGN_OR_RETURN(below, EndBelow(start));
  }
  KVORUM_CHECK(below.end_offset == start, "log start {}, where no batch ends (one ends at {})",
               start, below.end_offset);
  return PutStart(below, batch);
}

absl::Status LogTable::DropFilesBelowStart() {
  const std::string begin = LogKey(Offset(0));
  const std::string end = LogKey(published_start_);
  const rocksdb::Slice begin_slice(begin);
  const rocksdb::Slice end_slice(end);
  return FromRocksDb(rocksdb::DeleteFilesInRange(db_, families_.log, &begin_slice, &end_slice,
                                                 /*include_end=*/false),
                     "remove files below the log's start");
}

void LogTable::AddBatches(const std::vector<RecordBatch>& batches, rocksdb::WriteBatch& batch) {
  for (const RecordBatch& next : batches) {
    // What recovery would refuse must never be written.
    const absl::Status status = CheckContinues(end_, next);
    KVORUM_CHECK(status.ok(), "{}", status.ToString());
    end_ = EndOf(next);
    header_.clear();
    AppendEncodedBatchHeader(next, header_);
    const std::string key = LogKey(next.base_offset);
    const rocksdb::Slice key_slice(key);
    const std::array<rocksdb::Slice, 2> value = {
        rocksdb::Slice(header_), next.payload ? rocksdb::Slice(*next.payload) : rocksdb::Slice()};
    const rocksdb::Status put =
        batch.Put(families_.log, rocksdb::SliceParts(&key_slice, 1),
                  rocksdb::SliceParts(value.data(), static_cast<int>(value.size())));
    KVORUM_CHECK(put.ok(), "{}", put.ToString());  // memory only: fails above 4 GiB
  }
}

absl::StatusOr<std::vector<RecordBatch>> LogTable::Read(const LogRange& range) const {
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(VerifiedRead(), families_.log));
  std::vector<RecordBatch> batches;
  absl::Status hole;
  size_t bytes = 0;
  for (it->Seek(LogKey(range.from)); it->Valid(); it->Next()) {
    const std::optional<Offset> offset = ParseLogKey(View(it->key()));
    if (!offset.has_value() || (batches.empty() && *offset != range.from)) {
      break;
    }
    bytes += it->value().size();
    if (*offset >= range.to || (!batches.empty() && bytes > range.max_bytes)) {
      break;
    }
    KVORUM_ASSIGN_OR_RETURN(RecordBatch batch, DecodeRow(it->key(), it->value()));
    if (!batches.empty() && batches.back().end_offset() != batch.base_offset) {
      hole = MakeError(ErrorReason::kCorruptLog,
                       fmt::format("no batch begins at offset {}", batches.back().end_offset()));
      break;
    }
    batches.push_back(std::move(batch));
  }
  KVORUM_RETURN_IF_ERROR(
      FromRocksDb(it->status(), fmt::format("read the log from offset {}", range.from)));
  // Asked last: if the start has passed meanwhile, rows may be missing anywhere below it.
  if (batches.empty() || range.from < published_start_.load()) {
    return absl::NotFoundError(fmt::format("no batch begins at offset {}", range.from));
  }
  KVORUM_RETURN_IF_ERROR(hole);
  return batches;
}

}  // namespace kvorum
