#include "storage/rocksdb/chunk_store.h"

#include <fmt/format.h>
#include <rocksdb/convenience.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <memory>
#include <optional>

#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"
#include "storage/log_verifier.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/key_codec.h"
#include "storage/rocksdb/options.h"
#include "storage/rocksdb/status_convert.h"
#include "storage/types/big_endian.h"

namespace kvorum {
namespace {

constexpr size_t kCrcBytes = 4;

// The row's key is part of the checksum: a chunk under another's key is damage too.
uint32_t ChunkCrc(std::string_view key, std::string_view chunk) {
  return Crc32c(chunk, Crc32c(key));
}

}  // namespace

absl::StatusOr<std::set<int64_t>> ChunkStore::Serials() const {
  std::set<int64_t> serials;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(VerifiedRead()));
  it->SeekToFirst();
  while (it->Valid()) {
    const std::optional<int64_t> serial = ParseChunkSerial(View(it->key()));
    if (!serial.has_value()) {
      return WithRemedy(MakeError(ErrorReason::kCorruptLog,
                                  fmt::format("a chunk key of {} bytes", it->key().size())));
    }
    serials.insert(*serial);
    it->Seek(EndOfChunks(*serial));
  }
  KVORUM_RETURN_IF_ERROR(WithRemedy(FromRocksDb(it->status(), "read the chunks of snapshots")));
  return serials;
}

absl::Status ChunkStore::Put(int64_t serial, int64_t index, std::string_view chunk) {
  const std::string key = ChunkKey(serial, index);
  std::string crc;
  PutBigEndian<uint32_t>(crc, ChunkCrc(key, chunk));
  rocksdb::WriteBatch batch;
  const rocksdb::Slice key_slice(key);
  const std::array<rocksdb::Slice, 2> value = {rocksdb::Slice(crc), ToSlice(chunk)};
  rocksdb::Status status =
      batch.Put(rocksdb::SliceParts(&key_slice, 1), rocksdb::SliceParts(value.data(), 2));
  if (status.ok()) {
    status = db_->Write(UnloggedWrite(), &batch);
  }
  return FromRocksDb(status, "write a chunk of a snapshot");
}

absl::Status ChunkStore::Flush() {
  // What filled a memtable is in synced files by now; this syncs the rest.
  return FromRocksDb(db_->Flush(rocksdb::FlushOptions()), "flush a snapshot");
}

absl::StatusOr<std::string> ChunkStore::Get(int64_t serial, int64_t index) const {
  const std::string key = ChunkKey(serial, index);
  std::string row;
  const rocksdb::Status status = db_->Get(VerifiedRead(), key, &row);
  KVORUM_RETURN_IF_ERROR(FromRocksDb(status, fmt::format("read chunk {}", index)));
  std::string_view in(row);
  if (in.size() < kCrcBytes) {
    return MakeError(ErrorReason::kCorruptLog, fmt::format("chunk {}: {} bytes", index, in.size()));
  }
  if (const auto crc = TakeBigEndian<uint32_t>(in);
      ChunkCrc(key, in) != crc && !KVORUM_MUTANT(R48b)) {
    return MakeError(ErrorReason::kCorruptLog, fmt::format("chunk {} fails its checksum", index));
  }
  row.erase(0, kCrcBytes);
  return row;
}

absl::Status ChunkStore::Remove(int64_t serial) {
  const std::string begin = ChunkKey(serial, 0);
  const std::string end = EndOfChunks(serial);
  const rocksdb::Slice begin_slice(begin);
  const rocksdb::Slice end_slice(end);
  // Most of a large snapshot fills files of its own, which go at once.
  rocksdb::Status status =
      rocksdb::DeleteFilesInRange(db_, db_->DefaultColumnFamily(), &begin_slice, &end_slice,
                                  /*include_end=*/false);
  if (status.ok()) {
    status = db_->DeleteRange(UnloggedWrite(), db_->DefaultColumnFamily(), begin, end);
  }
  return FromRocksDb(status, "remove the chunks of a snapshot");
}

}  // namespace kvorum
