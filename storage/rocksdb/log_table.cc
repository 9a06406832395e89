#include "storage/rocksdb/log_table.h"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/key_codec.h"
#include "storage/rocksdb/options.h"
#include "storage/rocksdb/status_convert.h"

namespace kvorum {
namespace {

constexpr size_t kScanReadahead = 4 << 20;

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

LogTable::LogTable(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family,
                   std::string_view cluster_id)
    : db_(db), family_(family), empty_end_(EmptyLogEnd(cluster_id)), end_(empty_end_) {}

absl::Status LogTable::Load(LogVerifier& verifier) {
  rocksdb::ReadOptions options = VerifiedRead();
  options.readahead_size = kScanReadahead;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options, family_));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const std::optional<Offset> offset = ParseLogKey(View(it->key()));
    if (!offset.has_value()) {
      return WithRemedy(MakeError(ErrorReason::kCorruptLog,
                                  fmt::format("a log key of {} bytes", it->key().size())));
    }
    KVORUM_RETURN_IF_ERROR(verifier.AddFrame(*offset, View(it->value())));
  }
  // A damaged block ends the iteration as the last row does; only the status tells.
  if (!it->status().ok()) {
    return WithRemedy(FromRocksDb(
        it->status(), fmt::format("read the log behind offset {}", verifier.end().end_offset)));
  }
  end_ = verifier.end();
  return absl::OkStatus();
}

absl::Status LogTable::MoveEndBelow(Offset end_offset) {
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(VerifiedRead(), family_));
  end_ = empty_end_;
  if (end_offset > Offset(0)) {
    it->SeekForPrev(LogKey(end_offset - 1));
    if (it->Valid()) {
      KVORUM_ASSIGN_OR_RETURN(const RecordBatch last, DecodeRow(it->key(), it->value()));
      end_ = EndOf(last);
    }
  }
  return FromRocksDb(it->status(), "truncate the log");
}

absl::Status LogTable::AddTruncation(Offset end_offset, rocksdb::WriteBatch& batch) {
  if (end_offset >= end_.end_offset) {
    return absl::OkStatus();
  }
  // One deletion per row: range tombstones had reader bugs well after 7.8, and what is truncated
  // was never committed, so it is little.
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(VerifiedRead(), family_));
  for (it->Seek(LogKey(end_offset)); it->Valid(); it->Next()) {
    KVORUM_RETURN_IF_ERROR(FromRocksDb(batch.Delete(family_, it->key()), "truncate the log"));
  }
  KVORUM_RETURN_IF_ERROR(FromRocksDb(it->status(), "truncate the log"));
  KVORUM_RETURN_IF_ERROR(MoveEndBelow(end_offset));
  KVORUM_CHECK(end_.end_offset == end_offset,
               "truncation to {} would split the batch that ends at {}", end_offset,
               end_.end_offset);
  return absl::OkStatus();
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
        batch.Put(family_, rocksdb::SliceParts(&key_slice, 1),
                  rocksdb::SliceParts(value.data(), static_cast<int>(value.size())));
    KVORUM_CHECK(put.ok(), "{}", put.ToString());  // memory only: fails above 4 GiB
  }
}

absl::StatusOr<std::vector<RecordBatch>> LogTable::Read(const LogRange& range) const {
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(VerifiedRead(), family_));
  std::vector<RecordBatch> batches;
  size_t bytes = 0;
  for (it->Seek(LogKey(range.from)); it->Valid(); it->Next()) {
    const std::optional<Offset> offset = ParseLogKey(View(it->key()));
    if (!offset.has_value() || (batches.empty() && *offset != range.from)) {
      break;
    }
    bytes += it->value().size();
    if (*offset >= range.to || (!batches.empty() && bytes > range.max_bytes)) {
      return batches;
    }
    KVORUM_ASSIGN_OR_RETURN(RecordBatch batch, DecodeRow(it->key(), it->value()));
    if (!batches.empty() && batches.back().end_offset() != batch.base_offset) {
      return MakeError(ErrorReason::kCorruptLog,
                       fmt::format("no batch begins at offset {}", batches.back().end_offset()));
    }
    batches.push_back(std::move(batch));
  }
  KVORUM_RETURN_IF_ERROR(
      FromRocksDb(it->status(), fmt::format("read the log from offset {}", range.from)));
  if (batches.empty()) {
    return absl::NotFoundError(fmt::format("no batch begins at offset {}", range.from));
  }
  return batches;
}

}  // namespace kvorum
