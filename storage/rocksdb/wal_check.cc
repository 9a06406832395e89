#include "storage/rocksdb/wal_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"
#include "storage/log_verifier.h"
#include "storage/rocksdb/status_convert.h"

namespace kvorum {
namespace {

// The format (rocksdb/wiki "Write Ahead Log File Format"): blocks of 32 KiB, filled with fragments
// {masked crc32c of type and bytes u32, length u16, type u8, bytes}, little-endian. A record is one
// whole fragment or a first, some middle and a last one. Fewer than 7 bytes left in a block are
// filled with zeros.
constexpr size_t kBlockBytes = 32 << 10;
constexpr size_t kHeaderBytes = 7;
constexpr uint8_t kWhole = 1;
constexpr uint8_t kFirst = 2;
constexpr uint8_t kLast = 4;

uint8_t ByteAt(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

uint32_t MaskedCrc(std::string_view type_and_bytes) {
  const uint32_t crc = Crc32c(type_and_bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

struct Fragment {
  uint8_t type = 0;
  size_t end = 0;  // position behind it
};

// The fragment at `at`, if a sound one stands there.
std::optional<Fragment> FragmentAt(std::string_view wal, size_t at) {
  const size_t block_end = (at / kBlockBytes + 1) * kBlockBytes;
  const size_t limit = std::min(block_end, wal.size());
  if (at + kHeaderBytes > limit) {
    return std::nullopt;
  }
  Fragment fragment;
  fragment.type = ByteAt(wal, at + 6);
  const size_t length = ByteAt(wal, at + 4) + (size_t{ByteAt(wal, at + 5)} << 8);
  fragment.end = at + kHeaderBytes + length;
  if (fragment.type < kWhole || fragment.type > kLast || fragment.end > limit) {
    return std::nullopt;
  }
  uint32_t crc = 0;
  for (size_t i = 4; i-- > 0;) {
    crc = (crc << 8) | ByteAt(wal, at + i);
  }
  if (crc != MaskedCrc(wal.substr(at + 6, length + 1))) {
    return std::nullopt;
  }
  return fragment;
}

bool BeginsRecord(const Fragment& fragment) {
  return fragment.type == kWhole || fragment.type == kFirst;
}

}  // namespace

absl::Status CheckWal(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    if (const size_t left = kBlockBytes - at % kBlockBytes; left < kHeaderBytes) {
      at += left;
      continue;
    }
    const std::optional<Fragment> fragment = FragmentAt(bytes, at);
    if (!fragment.has_value()) {
      break;
    }
    at = fragment->end;
  }
  for (size_t behind = at + 1; behind + kHeaderBytes <= bytes.size(); ++behind) {
    const std::optional<Fragment> fragment = FragmentAt(bytes, behind);
    if (fragment.has_value() && BeginsRecord(*fragment) && !KVORUM_MUTANT(R38)) {
      return MakeError(ErrorReason::kCorruptLog,
                       fmt::format("unreadable at byte {}, but a later record begins at byte {}: "
                                   "what is damaged had been synced",
                                   at, behind));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckWals(rocksdb::Env* env, const std::string& directory) {
  std::vector<std::string> names;
  const rocksdb::Status listed = env->GetChildren(directory, &names);
  if (listed.IsNotFound()) {
    return absl::OkStatus();  // opening it gives the better message
  }
  KVORUM_RETURN_IF_ERROR(FromRocksDb(listed, fmt::format("list {}", directory)));
  for (const std::string& name : names) {
    if (!name.ends_with(".log")) {
      continue;
    }
    const std::string path = directory + "/" + name;
    std::string bytes;
    KVORUM_RETURN_IF_ERROR(
        FromRocksDb(rocksdb::ReadFileToString(env, path, &bytes), fmt::format("read {}", path)));
    if (const absl::Status status = CheckWal(bytes); !status.ok()) {
      const std::string_view what(status.message().data(), status.message().size());
      return WithRemedy(
          MakeError(ErrorReason::kCorruptLog, fmt::format("write-ahead log {}: {}", path, what)));
    }
  }
  return absl::OkStatus();
}

}  // namespace kvorum
