#include "storage/waiting_identity.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "server/base/crc32c.h"
#include "server/base/status_macros.h"
#include "storage/meta_properties.h"
#include "storage/small_file.h"

namespace kvorum {
namespace {

constexpr size_t kMaxFileBytes = 1024;
constexpr std::string_view kFileName = "waiting.properties";

std::string Encode(const ReplicaKey& replica) {
  std::string text = fmt::format(
      "# This controller waits to be told its cluster: `kvorumctl cluster init`.\n"
      "node.id={}\ndirectory.id={}\n",
      replica.node_id, replica.directory_id);
  text += fmt::format("crc32c={:08x}\n", Crc32c(text));
  return text;
}

// What stands behind `key` up to the end of its line.
std::string_view ValueOf(std::string_view text, std::string_view key) {
  const size_t at = text.find(key);
  if (at == std::string_view::npos) {
    return {};
  }
  text.remove_prefix(at + key.size());
  return text.substr(0, text.find('\n'));
}

std::optional<ReplicaKey> Decode(std::string_view text) {
  const std::string_view node = ValueOf(text, "\nnode.id=");
  const std::optional<Uuid> directory = Uuid::Parse(ValueOf(text, "\ndirectory.id="));
  int32_t node_id = -1;
  const auto [end, error] = std::from_chars(node.data(), node.data() + node.size(), node_id);
  if (error != std::errc() || end != node.data() + node.size() || !directory.has_value()) {
    return std::nullopt;
  }
  const ReplicaKey replica{NodeId(node_id), *directory};
  return Encode(replica) == text ? std::optional(replica) : std::nullopt;
}

// A new disk has nothing in it, or what its file system puts there.
absl::Status CheckIsEmpty(const std::string& data_dir) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(data_dir, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name != "lost+found" && name != std::string(kFileName) + ".tmp") {
      return absl::FailedPreconditionError(fmt::format(
          "{} holds {} but no meta.properties: it is no formatted data directory, and no empty one "
          "to begin with. If it was one, restore meta.properties; else name an empty directory",
          data_dir, name));
    }
  }
  return error ? absl::UnavailableError(fmt::format("read {}: {}", data_dir, error.message()))
               : absl::OkStatus();
}

absl::StatusOr<ReplicaKey> ReadOrWrite(const std::string& data_dir, const ReplicaKey& fresh) {
  const std::string path = WaitingIdentityPath(data_dir);
  const absl::StatusOr<std::string> text = ReadSmallFile(path, kMaxFileBytes);
  if (absl::IsNotFound(text.status())) {
    KVORUM_RETURN_IF_ERROR(CheckIsEmpty(data_dir));
    KVORUM_RETURN_IF_ERROR(WriteFileAtOnce(data_dir, path, Encode(fresh)));
    return fresh;
  }
  KVORUM_RETURN_IF_ERROR(text.status());
  const std::optional<ReplicaKey> replica = Decode(*text);
  if (!replica.has_value()) {
    return absl::DataLossError(fmt::format(
        "{} was edited or is damaged; remove it if this node was not initialized yet", path));
  }
  if (replica->node_id != fresh.node_id) {
    return absl::FailedPreconditionError(fmt::format(
        "node {} waits on {}, the configuration says node {}: one of them is the wrong one",
        replica->node_id, data_dir, fresh.node_id));
  }
  return *replica;
}

}  // namespace

std::string WaitingIdentityPath(const std::string& data_dir) {
  return fmt::format("{}/{}", data_dir, kFileName);
}

absl::StatusOr<std::unique_ptr<WaitingIdentity>> WaitingIdentity::Take(const std::string& data_dir,
                                                                       NodeId node_id,
                                                                       const Uuid& fresh) {
  KVORUM_RETURN_IF_ERROR(CreateDataDirectory(data_dir));
  KVORUM_ASSIGN_OR_RETURN(const ReplicaKey replica, ReadOrWrite(data_dir, {node_id, fresh}));
  const std::string path = WaitingIdentityPath(data_dir);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return ErrnoStatus("open", path);
  }
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return absl::FailedPreconditionError(fmt::format(
        "{} is in use by another process: only one kvorumd may run on a data directory", data_dir));
  }
  return std::unique_ptr<WaitingIdentity>(new WaitingIdentity(path, fd, replica));
}

WaitingIdentity::~WaitingIdentity() { ::close(fd_); }

void WaitingIdentity::Remove() {
  // One that stays is ignored: meta.properties says more.
  ::unlink(path_.c_str());
}

}  // namespace kvorum
