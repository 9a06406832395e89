#include "storage/small_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "server/base/status_macros.h"

namespace kvorum {
namespace {

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

}  // namespace

absl::Status ErrnoStatus(std::string_view what, const std::string& path) {
  const int error = errno;
  const std::string message = fmt::format("{} {}: {}", what, path, std::strerror(error));
  return error == EACCES || error == EPERM ? absl::PermissionDeniedError(message)
                                           : absl::UnavailableError(message);
}

absl::Status SyncDirectory(const std::string& path) {
  const ScopedFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open() || ::fsync(fd.get()) != 0) {
    return ErrnoStatus("fsync directory", path);
  }
  return absl::OkStatus();
}

absl::Status WriteFileAtOnce(const std::string& directory, const std::string& path,
                             std::string_view text) {
  const std::string temporary = path + ".tmp";
  KVORUM_RETURN_IF_ERROR(WriteSynced(temporary, text));
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    return ErrnoStatus("rename to", path);
  }
  return SyncDirectory(directory);
}

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t max_bytes) {
  const ScopedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open() && (errno == ENOENT || errno == ENOTDIR)) {
    return absl::NotFoundError(fmt::format("{} is missing", path));
  }
  if (!fd.is_open()) {
    return ErrnoStatus("open", path);
  }
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
    if (text.size() > max_bytes) {
      return absl::DataLossError(fmt::format("{} is larger than {} bytes", path, max_bytes));
    }
  }
}

}  // namespace kvorum
