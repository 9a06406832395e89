#include "storage/types/snapshot_manifest.h"

#include <fmt/format.h>

#include "server/base/check.h"
#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "storage/types/big_endian.h"

namespace kvorum {
namespace {

constexpr uint8_t kFormat = 1;
constexpr size_t kCrcBytes = 4;
constexpr size_t kFixedBytes = 1 + 8 + 4 + 6 * 8 + 4;

absl::Status Corrupt(std::string_view what) {
  return MakeError(ErrorReason::kCorruptLog, fmt::format("snapshot manifest: {}", what));
}

}  // namespace

uint64_t NextSnapshotDigest(uint64_t digest, std::string_view chunk) {
  return Hash64(chunk, digest);
}

std::string EncodeManifest(const SnapshotManifest& manifest) {
  KVORUM_CHECK(manifest.voters.size() <= kMaxManifestVotersBytes, "voters record of {} bytes",
               manifest.voters.size());
  std::string out;
  PutBigEndian<uint8_t>(out, kFormat);
  PutBigEndian<int64_t>(out, manifest.id.offset.value());
  PutBigEndian<int32_t>(out, manifest.id.epoch.value());
  PutBigEndian<uint64_t>(out, manifest.chain_hash);
  PutBigEndian<int64_t>(out, manifest.last_append_time_ms);
  PutBigEndian<uint64_t>(out, manifest.state_hash);
  PutBigEndian<int64_t>(out, manifest.chunk_count);
  PutBigEndian<int64_t>(out, manifest.size_bytes);
  PutBigEndian<uint64_t>(out, manifest.digest);
  PutBigEndian<uint32_t>(out, static_cast<uint32_t>(manifest.voters.size()));
  out += manifest.voters;
  PutBigEndian<uint32_t>(out, Crc32c(out));
  return out;
}

absl::StatusOr<SnapshotManifest> DecodeManifest(std::string_view bytes) {
  if (bytes.size() < kFixedBytes + kCrcBytes ||
      bytes.size() > kFixedBytes + kMaxManifestVotersBytes + kCrcBytes) {
    return Corrupt(fmt::format("{} bytes", bytes.size()));
  }
  std::string_view crc_bytes = bytes.substr(bytes.size() - kCrcBytes);
  std::string_view in = bytes.substr(0, bytes.size() - kCrcBytes);
  const uint32_t actual = Crc32c(in);
  if (const auto crc = TakeBigEndian<uint32_t>(crc_bytes); crc != actual) {
    return Corrupt(fmt::format("CRC {:#010x}, computed {:#010x}", crc, actual));
  }
  if (const auto format = TakeBigEndian<uint8_t>(in); format != kFormat) {
    return Corrupt(fmt::format("format {}, this release reads {}", format, kFormat));
  }
  SnapshotManifest manifest;
  manifest.id.offset = Offset(TakeBigEndian<int64_t>(in));
  manifest.id.epoch = Epoch(TakeBigEndian<int32_t>(in));
  manifest.chain_hash = TakeBigEndian<uint64_t>(in);
  manifest.last_append_time_ms = TakeBigEndian<int64_t>(in);
  manifest.state_hash = TakeBigEndian<uint64_t>(in);
  manifest.chunk_count = TakeBigEndian<int64_t>(in);
  manifest.size_bytes = TakeBigEndian<int64_t>(in);
  manifest.digest = TakeBigEndian<uint64_t>(in);
  const auto voters_size = TakeBigEndian<uint32_t>(in);
  if (in.size() != voters_size || manifest.id.offset < Offset(0) || manifest.id.epoch < Epoch(0) ||
      manifest.chunk_count < 0 || manifest.size_bytes < 0) {
    return Corrupt(fmt::format("id {}, {} chunks, {} bytes, voters of {} bytes in {}", manifest.id,
                               manifest.chunk_count, manifest.size_bytes, voters_size, in.size()));
  }
  manifest.voters = std::string(in);
  return manifest;
}

}  // namespace kvorum
