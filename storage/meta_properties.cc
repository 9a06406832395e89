#include "storage/meta_properties.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "storage/meta_properties_codec.h"

namespace kvorum {
namespace {

constexpr mode_t kOwnerOnly = 0700;  // the log holds everything a cluster knows, secrets included

absl::Status ErrnoStatus(std::string_view what, const std::string& path) {
  const int error = errno;
  const std::string message = fmt::format("{} {}: {}", what, path, std::strerror(error));
  return error == EACCES || error == EPERM ? absl::PermissionDeniedError(message)
                                           : absl::UnavailableError(message);
}

// A file descriptor that is closed at the end of its scope.
class ScopedFd {
 public:
  explicit ScopedFd(int fd) : fd_(fd) {}
  ~ScopedFd() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  ScopedFd(const ScopedFd&) = delete;
  ScopedFd& operator=(const ScopedFd&) = delete;

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_;
};

absl::Status WriteSynced(const std::string& path, std::string_view bytes) {
  const ScopedFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.is_open()) {
    return ErrnoStatus("create", path);
  }
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      return ErrnoStatus("write", path);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return ::fsync(fd.get()) == 0 ? absl::OkStatus() : ErrnoStatus("fsync", path);
}

absl::Status SyncDirectory(const std::string& path) {
  const ScopedFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open() || ::fsync(fd.get()) != 0) {
    return ErrnoStatus("fsync directory", path);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAll(const ScopedFd& fd, const std::string& path) {
  std::string text;
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size < 0) {
      return ErrnoStatus("read", path);
    }
    if (size == 0) {
      return text;
    }
    text.append(buffer.data(), static_cast<size_t>(size));
    if (text.size() > kMaxMetaPropertiesBytes) {
      return absl::DataLossError(
          fmt::format("{} is larger than {} bytes", path, kMaxMetaPropertiesBytes));
    }
  }
}

std::string Text(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

}  // namespace

std::string MetaPropertiesPath(const std::string& data_dir) {
  return data_dir + "/meta.properties";
}
std::string LogDirectory(const std::string& data_dir) { return data_dir + "/log"; }
std::string SnapshotDirectory(const std::string& data_dir) { return data_dir + "/snapshots"; }

absl::Status CreateDataDirectory(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!parent.empty() && !std::filesystem::create_directories(parent, error) && error) {
    return absl::UnavailableError(
        fmt::format("create directory {}: {}", parent.string(), error.message()));
  }
  if (::mkdir(path.c_str(), kOwnerOnly) != 0 && errno != EEXIST) {
    return ErrnoStatus("create directory", path);
  }
  return SyncDirectory(parent.empty() ? "." : parent.string());
}

absl::StatusOr<MetaProperties> ReadMetaProperties(const std::string& data_dir) {
  const std::string path = MetaPropertiesPath(data_dir);
  const ScopedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open() && (errno == ENOENT || errno == ENOTDIR)) {
    return absl::NotFoundError(
        fmt::format("{} is not a formatted data directory: there is no meta.properties in it. Run "
                    "`kvorumd format --data-dir={} …` once; if it was formatted before, its disk "
                    "is not mounted or was wiped",
                    data_dir, data_dir));
  }
  if (!fd.is_open()) {
    return ErrnoStatus("open", path);
  }
  KVORUM_ASSIGN_OR_RETURN(const std::string text, ReadAll(fd, path));
  auto properties = DecodeMetaProperties(text);
  if (properties.ok()) {
    return properties;
  }
  const std::string message = fmt::format("{}: {}", path, Text(properties.status()));
  if (absl::IsFailedPrecondition(properties.status())) {
    return absl::FailedPreconditionError(message);
  }
  return absl::DataLossError(
      fmt::format("{}. Restore the file from a backup of this same directory; if there is none, "
                  "replace this voter by one on a newly formatted directory",
                  message));
}

absl::Status WriteMetaProperties(const std::string& data_dir, const MetaProperties& properties) {
  KVORUM_ASSIGN_OR_RETURN(const std::string text, EncodeMetaProperties(properties));
  const std::string path = MetaPropertiesPath(data_dir);
  struct stat existing {};
  if (::lstat(path.c_str(), &existing) == 0) {
    return absl::AlreadyExistsError(
        fmt::format("{} exists: the directory is already formatted", path));
  }
  const std::string temporary = path + ".tmp";
  KVORUM_RETURN_IF_ERROR(WriteSynced(temporary, text));
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    return ErrnoStatus("rename to", path);
  }
  return SyncDirectory(data_dir);
}

absl::Status CheckMetaProperties(const MetaProperties& properties,
                                 const ExpectedIdentity& expected) {
  if (expected.cluster_id.has_value() && *expected.cluster_id != properties.cluster_id) {
    return MakeError(ErrorReason::kInconsistentClusterId,
                     fmt::format("the data directory belongs to cluster {}, the configuration "
                                 "names {}: one of them is the wrong one",
                                 properties.cluster_id, *expected.cluster_id));
  }
  if (expected.node_id.has_value() && *expected.node_id != properties.node_id) {
    return absl::FailedPreconditionError(
        fmt::format("the data directory belongs to node {}, the configuration says node {}: one of "
                    "them is the wrong one",
                    properties.node_id, *expected.node_id));
  }
  return absl::OkStatus();
}

}  // namespace kvorum
