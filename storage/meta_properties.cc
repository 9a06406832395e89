#include "storage/meta_properties.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "storage/meta_properties_codec.h"
#include "storage/small_file.h"

namespace kvorum {
namespace {

constexpr mode_t kOwnerOnly = 0700;  // the log holds everything a cluster knows, secrets included

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

absl::Status CheckDirectorySafety(const std::string& data_dir, bool& is_group_writable) {
  struct stat info {};
  if (::stat(data_dir.c_str(), &info) != 0) {
    return ErrnoStatus("look at", data_dir);
  }
  is_group_writable = (info.st_mode & S_IWGRP) != 0;
  if ((info.st_mode & S_IWOTH) != 0) {
    return absl::FailedPreconditionError(fmt::format(
        "{} may be written to by every user of this machine (mode {:o}): nothing in it can be "
        "trusted. Check who did, then chmod 0700",
        data_dir, info.st_mode & 07777));
  }
  for (const std::string& part :
       {LogDirectory(data_dir), SnapshotDirectory(data_dir), MetaPropertiesPath(data_dir)}) {
    if (::lstat(part.c_str(), &info) == 0 && S_ISLNK(info.st_mode)) {
      return absl::FailedPreconditionError(
          fmt::format("{} is a symbolic link: a node's data directory is whole, on one disk. Put "
                      "data-dir itself where the space is",
                      part));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<MetaProperties> ReadMetaProperties(const std::string& data_dir) {
  const std::string path = MetaPropertiesPath(data_dir);
  const absl::StatusOr<std::string> text = ReadSmallFile(path, kMaxMetaPropertiesBytes);
  if (absl::IsNotFound(text.status())) {
    return absl::NotFoundError(
        fmt::format("{} is not a formatted data directory: there is no meta.properties in it. Run "
                    "`kvorumd format --data-dir={} …` once, or start with --node-id and run "
                    "`kvorumctl cluster init`; if it was formatted before, its disk is not mounted "
                    "or was wiped",
                    data_dir, data_dir));
  }
  KVORUM_RETURN_IF_ERROR(text.status());
  auto properties = DecodeMetaProperties(*text);
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
  return WriteFileAtOnce(data_dir, path, text);
}

absl::Status ReplaceMetaProperties(const std::string& data_dir, const MetaProperties& properties) {
  KVORUM_ASSIGN_OR_RETURN(const MetaProperties existing, ReadMetaProperties(data_dir));
  if (existing.cluster_id != properties.cluster_id || existing.node_id != properties.node_id ||
      existing.directory_id != properties.directory_id) {
    return absl::FailedPreconditionError(
        fmt::format("{} belongs to replica {}@{} of cluster {}: an identity is never exchanged",
                    data_dir, existing.node_id, existing.directory_id, existing.cluster_id));
  }
  KVORUM_ASSIGN_OR_RETURN(const std::string text, EncodeMetaProperties(properties));
  return WriteFileAtOnce(data_dir, MetaPropertiesPath(data_dir), text);
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
