#pragma once

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/types/quorum_state.h"

namespace kvorum {

// {format u8, epoch i32, has_vote u8, node i32, directory 16 bytes, has_leader u8, leader i32,
// crc32c u32}, big-endian.
std::string EncodeQuorumState(const QuorumState& state);
absl::StatusOr<QuorumState> DecodeQuorumState(std::string_view bytes);

// The one row a replica must not forget. Part of RocksDbStorage; Load() first, then Add() on the
// commit thread.
class QuorumStateTable {
 public:
  QuorumStateTable(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family)
      : db_(db), family_(family) {}

  // nullopt: this directory was never part of a quorum.
  absl::StatusOr<std::optional<QuorumState>> Load();

  void Add(const QuorumState& state, rocksdb::WriteBatch& batch);

  Epoch epoch() const { return epoch_; }

 private:
  rocksdb::DB* const db_;
  rocksdb::ColumnFamilyHandle* const family_;
  Epoch epoch_;  // after everything added
};

}  // namespace kvorum
