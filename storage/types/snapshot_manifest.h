#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/base/ids.h"

namespace kvorum {

// Names a snapshot: the state of everything below `offset`, whose last record is of `epoch`.
using SnapshotId = OffsetAndEpoch;

inline constexpr size_t kMaxManifestVotersBytes = 64 << 10;
inline constexpr size_t kMaxSnapshotChunkBytes = 1 << 20;
inline constexpr int64_t kMaxSnapshotChunks = 1 << 20;

// What a snapshot is, apart from its chunks: everything a replica needs to go on behind it. Stored
// as the row that freezes it and sent before its chunks.
struct SnapshotManifest {
  SnapshotId id;
  uint64_t chain_hash = 0;          // of the log below id.offset: the log goes on with it
  int64_t last_append_time_ms = 0;  // of the last contained batch; drives retention
  uint64_t state_hash = 0;
  std::string voters;  // payload of the newest Voters control record below id.offset; empty: none
  // Filled by the storage when it freezes the snapshot.
  int64_t chunk_count = 0;
  int64_t size_bytes = 0;
  uint64_t digest = 0;  // NextSnapshotDigest() over all chunks in order, from 0

  friend bool operator==(const SnapshotManifest&, const SnapshotManifest&) = default;
};

// The digest of the chunks so far and `chunk`.
uint64_t NextSnapshotDigest(uint64_t digest, std::string_view chunk);

// {format u8, offset i64, epoch i32, chain_hash u64, last_append_time_ms i64, state_hash u64,
// chunk_count i64, size_bytes i64, digest u64, voters size u32 and bytes, crc32c u32}, big-endian.
std::string EncodeManifest(const SnapshotManifest& manifest);
// DataLoss / CORRUPT_LOG for anything EncodeManifest() does not make.
absl::StatusOr<SnapshotManifest> DecodeManifest(std::string_view bytes);

}  // namespace kvorum
