#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/base/ids.h"

namespace kvorum {

// The unit of the replicated log: written, replicated and committed whole, and the same bytes on
// every disk, in every Fetch answer and (its payload) on every broker's stream. Immutable once
// made; any thread.
struct RecordBatch {
  Offset base_offset;
  int32_t record_count = 0;    // >= 1
  Epoch epoch;                 // of the leader that appended it, >= 1
  bool is_control = false;     // control records (KIP-595) are for raft, not for the metadata
  int64_t append_time_ms = 0;  // the leader's wall clock; shown, never compared
  uint32_t payload_crc = 0;    // CRC32C of the payload
  // Hash over the previous batch's chain hash, this header and payload_crc. Equal chains at an
  // offset mean equal logs below it, so holes, reordering and divergence show in O(1).
  uint64_t chain_hash = 0;
  std::shared_ptr<const std::string> payload;

  Offset last_offset() const { return base_offset + (record_count - 1); }
  Offset end_offset() const { return base_offset + record_count; }
  size_t encoded_size() const;
};

// Chain hash of the empty log of a cluster: a log of another cluster never matches.
uint64_t GenesisChainHash(std::string_view cluster_id);

// The chain hash `batch` must carry after a log whose chain is `previous`.
uint64_t NextChainHash(uint64_t previous, const RecordBatch& batch);

// Makes a batch: fills payload_crc and chain_hash. `previous_chain` is that of the log's end.
RecordBatch MakeBatch(Offset base_offset, int32_t record_count, Epoch epoch, bool is_control,
                      int64_t append_time_ms, std::shared_ptr<const std::string> payload,
                      uint64_t previous_chain);

// One frame: a 48-byte big-endian header {magic u16, format u8, flags u8, header_crc u32,
// base_offset i64, record_count i32, epoch i32, append_time_ms i64, payload_size u32,
// payload_crc u32, chain_hash u64}, then the payload. header_crc covers the header without itself.
inline constexpr size_t kBatchHeaderBytes = 48;
inline constexpr uint8_t kBatchFormat = 1;

// The frame's header alone: a writer that gathers parts need not copy the payload.
void AppendEncodedBatchHeader(const RecordBatch& batch, std::string& out);
void AppendEncodedBatch(const RecordBatch& batch, std::string& out);
std::string EncodeBatch(const RecordBatch& batch);

// Decodes the frame at the front of `bytes` and removes it. Checks magic, format, both CRCs and the
// ranges of all fields (not the chain: that needs the predecessor). DataLoss / CORRUPT_LOG with the
// reason otherwise; never reads past `bytes` nor allocates more than it holds.
absl::StatusOr<RecordBatch> DecodeBatch(std::string_view& bytes);

}  // namespace kvorum
