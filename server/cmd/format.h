#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/meta_properties.h"

namespace kvorum {

// What `kvorumd format` was told.
struct FormatRequest {
  std::string data_dir;
  std::string cluster_id;
  int32_t node_id = 0;
  std::vector<InitialVoter> initial_voters;  // includes this node; empty: it is to join a quorum
  std::optional<uint64_t> generation;        // absent: GenerationOf() the two above; not to join
  std::string directory_id;                  // of a node that is to join; empty: one is drawn
};

// "1@c1:7401:<directory id>,2@c2:7401:<directory id>,…"; the same list on every node.
absl::StatusOr<std::vector<InitialVoter>> ParseInitialVoters(std::string_view text);

// 16 hexadecimal digits; nullopt for an empty text.
absl::StatusOr<std::optional<uint64_t>> ParseGeneration(std::string_view text);

// The life of a cluster: drawn from what all its nodes are formatted with, so that all agree
// without talking, and two clusters that share a name by mistake do not.
uint64_t GenerationOf(const std::string& cluster_id, const std::vector<InitialVoter>& voters);

// [A-Za-z0-9_-]{1,64}
absl::Status CheckClusterId(const std::string& cluster_id);

// Refuses a node or a directory that is there twice; puts the others in order of their ids. `what`
// names the list in the error.
absl::Status CheckAndSortVoters(std::string_view what, std::vector<InitialVoter>& voters);

// Prepares an empty data directory (cf. `kafka-storage format`). AlreadyExists for a formatted one.
absl::StatusOr<MetaProperties> Format(const FormatRequest& request);

// A random (version 4) UUID from the system's entropy.
std::string RandomId();
// A random number from the system's entropy.
uint64_t RandomSeed();

}  // namespace kvorum
