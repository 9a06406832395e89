#include "storage/types/record_batch.h"

#include <fmt/format.h>

#include <array>
#include <limits>

#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "storage/types/big_endian.h"

namespace kvorum {
namespace {

constexpr uint16_t kMagic = 0x4b56;  // "KV"
constexpr uint8_t kControlFlag = 1;
constexpr size_t kCrcPosition = 4;
constexpr size_t kAfterCrc = 8;

std::string EncodeHeader(const RecordBatch& batch) {
  std::string header;
  header.reserve(kBatchHeaderBytes);
  PutBigEndian<uint16_t>(header, kMagic);
  PutBigEndian<uint8_t>(header, kBatchFormat);
  PutBigEndian<uint8_t>(header, batch.is_control ? kControlFlag : 0);
  PutBigEndian<uint32_t>(header, 0);  // header_crc, filled below
  PutBigEndian<int64_t>(header, batch.base_offset.value());
  PutBigEndian<int32_t>(header, batch.record_count);
  PutBigEndian<int32_t>(header, batch.epoch.value());
  PutBigEndian<int64_t>(header, batch.append_time_ms);
  PutBigEndian<uint32_t>(header, static_cast<uint32_t>(batch.payload ? batch.payload->size() : 0));
  PutBigEndian<uint32_t>(header, batch.payload_crc);
  PutBigEndian<uint64_t>(header, batch.chain_hash);
  return header;
}

uint32_t HeaderCrc(std::string_view header) {
  return Crc32c(header.substr(kAfterCrc, kBatchHeaderBytes - kAfterCrc),
                Crc32c(header.substr(0, kCrcPosition)));
}

absl::Status Corrupt(std::string_view what) {
  return MakeError(ErrorReason::kCorruptLog, fmt::format("record batch: {}", what));
}

}  // namespace

size_t RecordBatch::encoded_size() const {
  return kBatchHeaderBytes + (payload ? payload->size() : 0);
}

uint64_t GenesisChainHash(std::string_view cluster_id) { return Hash64(cluster_id, 1); }

uint64_t NextChainHash(uint64_t previous, const RecordBatch& batch) {
  // Everything of the header but the chain itself and the CRC that covers it.
  std::string_view header;
  const std::string encoded = EncodeHeader(batch);
  header = std::string_view(encoded).substr(kAfterCrc, kBatchHeaderBytes - kAfterCrc - 8);
  return Hash64(header, previous ^ (batch.is_control ? kControlFlag : 0));
}

RecordBatch MakeBatch(Offset base_offset, int32_t record_count, Epoch epoch, bool is_control,
                      int64_t append_time_ms, std::shared_ptr<const std::string> payload,
                      uint64_t previous_chain) {
  RecordBatch batch;
  batch.base_offset = base_offset;
  batch.record_count = record_count;
  batch.epoch = epoch;
  batch.is_control = is_control;
  batch.append_time_ms = append_time_ms;
  batch.payload_crc = payload ? Crc32c(*payload) : 0;
  batch.payload = std::move(payload);
  batch.chain_hash = NextChainHash(previous_chain, batch);
  return batch;
}

void AppendEncodedBatchHeader(const RecordBatch& batch, std::string& out) {
  std::string header = EncodeHeader(batch);
  std::string crc;
  PutBigEndian<uint32_t>(crc, HeaderCrc(header));
  header.replace(kCrcPosition, crc.size(), crc);
  out.append(header);
}

void AppendEncodedBatch(const RecordBatch& batch, std::string& out) {
  AppendEncodedBatchHeader(batch, out);
  if (batch.payload) {
    out.append(*batch.payload);
  }
}

std::string EncodeBatch(const RecordBatch& batch) {
  std::string out;
  out.reserve(batch.encoded_size());
  AppendEncodedBatch(batch, out);
  return out;
}

absl::StatusOr<RecordBatch> DecodeBatch(std::string_view& bytes) {
  if (bytes.size() < kBatchHeaderBytes) {
    return Corrupt(fmt::format("{} bytes, a header has {}", bytes.size(), kBatchHeaderBytes));
  }
  const std::string_view header = bytes.substr(0, kBatchHeaderBytes);
  std::string_view rest = header;
  if (const auto magic = TakeBigEndian<uint16_t>(rest); magic != kMagic) {
    return Corrupt(fmt::format("magic {:#06x}", magic));
  }
  if (const auto format = TakeBigEndian<uint8_t>(rest); format != kBatchFormat) {
    return Corrupt(fmt::format("format {}, this release reads {}", format, kBatchFormat));
  }
  const auto flags = TakeBigEndian<uint8_t>(rest);
  const auto header_crc = TakeBigEndian<uint32_t>(rest);
  if (const uint32_t actual = HeaderCrc(header); actual != header_crc) {
    return Corrupt(fmt::format("header CRC {:#010x}, computed {:#010x}", header_crc, actual));
  }
  if ((flags & ~kControlFlag) != 0) {
    return Corrupt(fmt::format("unknown flags {:#04x}", flags));
  }
  RecordBatch batch;
  batch.is_control = (flags & kControlFlag) != 0;
  batch.base_offset = Offset(TakeBigEndian<int64_t>(rest));
  batch.record_count = TakeBigEndian<int32_t>(rest);
  batch.epoch = Epoch(TakeBigEndian<int32_t>(rest));
  batch.append_time_ms = TakeBigEndian<int64_t>(rest);
  const auto payload_size = TakeBigEndian<uint32_t>(rest);
  batch.payload_crc = TakeBigEndian<uint32_t>(rest);
  batch.chain_hash = TakeBigEndian<uint64_t>(rest);
  if (batch.base_offset < Offset(0) || batch.record_count < 1 || batch.epoch < Epoch(1) ||
      batch.base_offset.value() > std::numeric_limits<int64_t>::max() - batch.record_count) {
    return Corrupt(fmt::format("base offset {}, {} records, epoch {}", batch.base_offset,
                               batch.record_count, batch.epoch));
  }
  if (bytes.size() - kBatchHeaderBytes < payload_size) {
    return Corrupt(fmt::format("payload of {} bytes, {} are left", payload_size,
                               bytes.size() - kBatchHeaderBytes));
  }
  const std::string_view payload = bytes.substr(kBatchHeaderBytes, payload_size);
  if (const uint32_t actual = Crc32c(payload); actual != batch.payload_crc) {
    return Corrupt(fmt::format("batch at {}: payload CRC {:#010x}, computed {:#010x}",
                               batch.base_offset, batch.payload_crc, actual));
  }
  batch.payload = std::make_shared<const std::string>(payload);
  bytes.remove_prefix(kBatchHeaderBytes + payload_size);
  return batch;
}

}  // namespace kvorum
