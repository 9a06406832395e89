#include "storage/guard_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "server/base/check.h"
#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "storage/types/big_endian.h"

namespace kvorum {
namespace {

constexpr uint32_t kMagic = 0x4b564744;  // "KVGD"
constexpr size_t kHeadBytes = 4 + 4 + 8 + 4;

absl::Status ErrnoStatus(std::string_view what, const std::string& path) {
  return absl::UnavailableError(fmt::format("{} {}: {}", what, path, std::strerror(errno)));
}

class FileGuardSlots : public GuardSlots {
 public:
  explicit FileGuardSlots(std::string data_dir) : data_dir_(std::move(data_dir)) {}

  ~FileGuardSlots() override {
    for (const int fd : fds_) {
      if (fd >= 0) {
        ::close(fd);
      }
    }
  }

  absl::StatusOr<std::string> Read(int slot) override {
    const std::string path = GuardPath(data_dir_, slot);
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      return errno == ENOENT ? absl::NotFoundError(path + " is missing")
                             : ErrnoStatus("open", path);
    }
    std::string bytes(kGuardSlotBytes, '\0');
    const ssize_t size = ::pread(fd, bytes.data(), bytes.size(), 0);
    const absl::Status status = size < 0 ? ErrnoStatus("read", path) : absl::OkStatus();
    ::close(fd);
    KVORUM_RETURN_IF_ERROR(status);
    bytes.resize(static_cast<size_t>(size));
    return bytes;
  }

  absl::Status Write(int slot, std::string_view bytes) override {
    const std::string path = GuardPath(data_dir_, slot);
    int& fd = fds_[slot];
    const bool is_first = fd < 0;
    if (is_first) {
      fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    }
    if (fd < 0) {
      return ErrnoStatus("open", path);
    }
    // In place: a file that neither grows nor moves costs its data and no more.
    if (::pwrite(fd, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
      return ErrnoStatus("write", path);
    }
    if (::fdatasync(fd) != 0) {
      return ErrnoStatus("fdatasync", path);
    }
    return is_first ? SyncDirectory() : absl::OkStatus();
  }

 private:
  absl::Status SyncDirectory() const {
    const int fd = ::open(data_dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool is_synced = fd >= 0 && ::fsync(fd) == 0;
    const absl::Status status =
        is_synced ? absl::OkStatus() : ErrnoStatus("fsync directory", data_dir_);
    if (fd >= 0) {
      ::close(fd);
    }
    return status;
  }

  const std::string data_dir_;
  int fds_[kGuardSlots] = {-1, -1};
};

// {magic u32, body size u32, sequence u64, crc32c u32 of size, sequence and body, body, zeros}
std::string EncodeSlot(uint64_t sequence, const GuardState& guard) {
  const std::string body = EncodeGuard(guard);
  std::string covered;
  PutBigEndian<uint32_t>(covered, static_cast<uint32_t>(body.size()));
  PutBigEndian<uint64_t>(covered, sequence);
  std::string out;
  PutBigEndian<uint32_t>(out, kMagic);
  out += covered;
  PutBigEndian<uint32_t>(out, Crc32c(body, Crc32c(covered)));
  out += body;
  KVORUM_CHECK(out.size() <= kGuardSlotBytes, "guard of {} bytes", out.size());
  out.resize(kGuardSlotBytes, '\0');
  return out;
}

struct Slot {
  uint64_t sequence = 0;
  GuardState guard;
};

absl::StatusOr<Slot> DecodeSlot(std::string_view bytes) {
  if (bytes.size() != kGuardSlotBytes) {
    return absl::DataLossError(fmt::format("guard slot of {} bytes", bytes.size()));
  }
  std::string_view in = bytes;
  const auto magic = TakeBigEndian<uint32_t>(in);
  const std::string_view covered = in.substr(0, 12);
  const auto size = TakeBigEndian<uint32_t>(in);
  Slot slot;
  slot.sequence = TakeBigEndian<uint64_t>(in);
  const auto crc = TakeBigEndian<uint32_t>(in);
  if (magic != kMagic || size > in.size() || crc != Crc32c(in.substr(0, size), Crc32c(covered))) {
    return absl::DataLossError("guard slot: its checksum fails");
  }
  KVORUM_ASSIGN_OR_RETURN(slot.guard, DecodeGuard(in.substr(0, size)));
  return slot;
}

std::string Text(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

// The newer sound slot; the reasons why there is none otherwise.
absl::StatusOr<Slot> ReadNewest(GuardSlots& slots) {
  std::optional<Slot> newest;
  std::string reasons;
  for (int i = 0; i < kGuardSlots; ++i) {
    const auto bytes = slots.Read(i);
    const auto slot = bytes.ok() ? DecodeSlot(*bytes) : bytes.status();
    if (absl::IsFailedPrecondition(slot.status())) {
      return slot.status();  // a newer release's
    }
    if (!slot.ok()) {
      reasons += fmt::format("{}{}", reasons.empty() ? "" : "; ", Text(slot.status()));
    } else if (!newest.has_value() || slot->sequence > newest->sequence) {
      newest = *slot;
    }
  }
  if (!newest.has_value()) {
    return absl::NotFoundError(reasons);
  }
  return *newest;
}

}  // namespace

std::string GuardPath(const std::string& data_dir, int slot) {
  return fmt::format("{}/guard.{}", data_dir, slot);
}

std::unique_ptr<GuardSlots> MakeGuardSlots(const std::string& data_dir) {
  return std::make_unique<FileGuardSlots>(data_dir);
}

absl::Status GuardFile::Create(GuardSlots& slots, const GuardState& guard) {
  if (const auto existing = ReadNewest(slots);
      existing.ok() && (existing->guard.epoch > Epoch(0) || existing->guard.log_end > Offset(0))) {
    return absl::AlreadyExistsError(fmt::format(
        "the guard file of an earlier replica is there (epoch {}, log end {}): its promises would "
        "be forgotten. Format another, empty directory",
        existing->guard.epoch, existing->guard.log_end));
  }
  for (int i = 0; i < kGuardSlots; ++i) {
    KVORUM_RETURN_IF_ERROR(slots.Write(i, EncodeSlot(static_cast<uint64_t>(i), guard)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<GuardFile>> GuardFile::Open(std::unique_ptr<GuardSlots> slots,
                                                           const std::string& cluster_id,
                                                           const ReplicaKey& replica) {
  auto newest = ReadNewest(*slots);
  if (absl::IsNotFound(newest.status())) {
    return absl::FailedPreconditionError(fmt::format(
        "the guard file is lost ({}), and with it what this replica has voted: it could vote "
        "twice. Wipe the directory, format it again (it gets a new directory id), remove the old "
        "voter from the quorum and add the new one",
        Text(newest.status())));
  }
  KVORUM_RETURN_IF_ERROR(newest.status());
  if (newest->guard.cluster_id != cluster_id || newest->guard.replica != replica) {
    return absl::FailedPreconditionError(fmt::format(
        "the guard file belongs to replica {} of cluster {}, the directory to {} of {}: files of "
        "two directories were mixed. Put back what belongs here, or format a new directory",
        newest->guard.replica, newest->guard.cluster_id, replica, cluster_id));
  }
  std::unique_ptr<GuardFile> file(new GuardFile(std::move(slots)));
  file->state_ = std::move(newest->guard);
  file->sequence_ = newest->sequence;
  return file;
}

absl::Status GuardFile::Write(const GuardState& state) {
  return state == state_ ? absl::OkStatus() : WriteNext(state);
}

absl::Status GuardFile::WriteNext(const GuardState& state) {
  const uint64_t next = sequence_ + 1;
  KVORUM_RETURN_IF_ERROR(
      slots_->Write(static_cast<int>(next % kGuardSlots), EncodeSlot(next, state)));
  state_ = state;
  sequence_ = next;
  return absl::OkStatus();
}

}  // namespace kvorum
