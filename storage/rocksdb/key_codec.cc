#include "storage/rocksdb/key_codec.h"

#include "storage/types/big_endian.h"

namespace kvorum {
namespace {

void PutSnapshotId(std::string& out, const SnapshotId& id) {
  PutBigEndian<int64_t>(out, id.offset.value());
  PutBigEndian<int32_t>(out, id.epoch.value());
}

SnapshotId TakeSnapshotId(std::string_view& in) {
  SnapshotId id;
  id.offset = Offset(TakeBigEndian<int64_t>(in));
  id.epoch = Epoch(TakeBigEndian<int32_t>(in));
  return id;
}

}  // namespace

std::string LogKey(Offset base_offset) {
  std::string key;
  PutBigEndian<int64_t>(key, base_offset.value());
  return key;
}

std::optional<Offset> ParseLogKey(std::string_view key) {
  if (key.size() != kLogKeyBytes) {
    return std::nullopt;
  }
  return Offset(TakeBigEndian<int64_t>(key));
}

std::string FrozenSnapshotKey(const SnapshotId& id) {
  std::string key(kSnapshotKeyPrefix);
  PutSnapshotId(key, id);
  return key;
}

std::optional<SnapshotId> ParseFrozenSnapshotKey(std::string_view key) {
  if (!key.starts_with(kSnapshotKeyPrefix) ||
      key.size() != kSnapshotKeyPrefix.size() + kSnapshotIdBytes) {
    return std::nullopt;
  }
  key.remove_prefix(kSnapshotKeyPrefix.size());
  return TakeSnapshotId(key);
}

std::string ChunkKey(int64_t serial, int64_t index) {
  std::string key;
  PutBigEndian<int64_t>(key, serial);
  PutBigEndian<int64_t>(key, index);
  return key;
}

std::optional<int64_t> ParseChunkSerial(std::string_view key) {
  if (key.size() != kChunkKeyBytes) {
    return std::nullopt;
  }
  return TakeBigEndian<int64_t>(key);
}

std::string EndOfChunks(int64_t serial) { return ChunkKey(serial + 1, 0); }

}  // namespace kvorum
