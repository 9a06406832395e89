#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/ids.h"

namespace kvorum {

inline constexpr int32_t kMetaPropertiesVersion = 1;
inline constexpr size_t kMaxMetaPropertiesBytes = 64 * 1024;
inline constexpr size_t kMaxInitialVoters = 64;
inline constexpr size_t kMaxClusterIdBytes = 128;

// A voter of the set a cluster is formatted with (KIP-853 "--initial-controllers").
struct InitialVoter {
  ReplicaKey key;
  std::string host;  // name or address; IPv6 without brackets
  uint16_t port = 0;

  friend bool operator==(const InitialVoter&, const InitialVoter&) = default;
};

// Who a data directory belongs to, written once by `kvorumd format` (cf. Kafka's meta.properties).
// The directory id makes a wiped disk another replica.
struct MetaProperties {
  int32_t format_version = kMetaPropertiesVersion;
  std::string cluster_id;
  uint64_t generation = 1;  // of the cluster's history; an operator's disaster recovery raises it
  NodeId node_id;
  Uuid directory_id;
  std::vector<InitialVoter> initial_voters;  // empty: the node begins as an observer
  // A recovery from a lost quorum has begun, from this generation to `generation`, and did not end:
  // the node must not run before `kvorumd recover apply` was repeated.
  std::optional<uint64_t> recovering_from;

  friend bool operator==(const MetaProperties&, const MetaProperties&) = default;
};

// What the configuration says a directory must be; absent means "any".
struct ExpectedIdentity {
  std::optional<std::string> cluster_id;
  std::optional<NodeId> node_id;
};

// The layout of a data directory.
std::string MetaPropertiesPath(const std::string& data_dir);  // <data-dir>/meta.properties
std::string LogDirectory(const std::string& data_dir);        // <data-dir>/log: RocksDB
std::string SnapshotDirectory(const std::string& data_dir);   // <data-dir>/snapshots: RocksDB

// Creates `path` (mode 0700) and what lies above it, unless it exists.
absl::Status CreateDataDirectory(const std::string& path);

// FailedPrecondition if others than owner and group may write to `data_dir`, or if a part of it is
// a symbolic link: what it leads to may be exchanged without anybody noticing. `is_group_writable`
// is worth a warning (a volume of Kubernetes is, by its fsGroup). Blocking.
absl::Status CheckDirectorySafety(const std::string& data_dir, bool& is_group_writable);

// NotFound if the directory is not formatted, FailedPrecondition if a newer release wrote it,
// DataLoss if the file is damaged; each says what to do. Blocking.
absl::StatusOr<MetaProperties> ReadMetaProperties(const std::string& data_dir);

// Creates the file, synced with its directory. AlreadyExists if there is one: a second identity for
// the same log would break its votes. InvalidArgument for values the file cannot hold. Blocking.
absl::Status WriteMetaProperties(const std::string& data_dir, const MetaProperties& properties);

// Replaces the file at once, synced with its directory: for a recovery from a lost quorum alone.
// FailedPrecondition if it is another replica's. Blocking.
absl::Status ReplaceMetaProperties(const std::string& data_dir, const MetaProperties& properties);

// FailedPrecondition / INCONSISTENT_CLUSTER_ID if the directory is another cluster's,
// FailedPrecondition if it is another node's.
absl::Status CheckMetaProperties(const MetaProperties& properties,
                                 const ExpectedIdentity& expected);

}  // namespace kvorum
