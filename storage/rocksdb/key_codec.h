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
inline constexpr std::string_view kLogStartKey = "log_start";
// "snapshot/" and the snapshot's id: one row per frozen snapshot.
inline constexpr std::string_view kSnapshotKeyPrefix = "snapshot/";
std::string FrozenSnapshotKey(const SnapshotId& id);
std::optional<SnapshotId> ParseFrozenSnapshotKey(std::string_view key);

inline constexpr size_t kSnapshotIdBytes = 12;

// Snapshot database: the serial of the writing, then the index of the chunk. Serials are never used
// twice, so two writings of one snapshot do not mix, and a removed one never shows in another.
inline constexpr size_t kChunkKeyBytes = 8 + 8;
std::string ChunkKey(int64_t serial, int64_t index);
std::optional<int64_t> ParseChunkSerial(std::string_view key);
// The chunk keys of `serial` are those in [ChunkKey(serial, 0), EndOfChunks(serial)).
std::string EndOfChunks(int64_t serial);

}  // namespace kvorum
