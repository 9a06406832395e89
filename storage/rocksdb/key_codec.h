#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "storage/types/recovered_state.h"

namespace kvorum {

// Keys of all rows. Integers are big-endian, so that the order of keys is the order of offsets.

// Log family: one row per batch, under its base offset.
inline constexpr size_t kLogKeyBytes = 8;
std::string LogKey(Offset base_offset);
std::optional<Offset> ParseLogKey(std::string_view key);

// Meta family: named rows.
inline constexpr std::string_view kFormatVersionKey = "format_version";
inline constexpr std::string_view kQuorumStateKey = "quorum_state";
// "snapshot/" and the snapshot's id: one row per frozen snapshot.
inline constexpr std::string_view kSnapshotKeyPrefix = "snapshot/";
std::string FrozenSnapshotKey(const SnapshotId& id);
std::optional<SnapshotId> ParseFrozenSnapshotKey(std::string_view key);

// Snapshot database: the snapshot's id, then the index of the chunk.
inline constexpr size_t kSnapshotIdBytes = 12;
inline constexpr size_t kChunkKeyBytes = kSnapshotIdBytes + 8;
std::string ChunkKey(const SnapshotId& id, int64_t index);
std::optional<SnapshotId> ParseChunkKey(std::string_view key);
// The chunk keys of `id` are those in [ChunkKey(id, 0), EndOfChunks(id)).
std::string EndOfChunks(const SnapshotId& id);

}  // namespace kvorum
