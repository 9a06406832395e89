#include "server/cmd/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <random>
#include <set>

#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/random.h"
#include "server/base/status_macros.h"
#include "server/config/host_port.h"
#include "storage/rocksdb/rocksdb_storage.h"

namespace kvorum {
namespace {

constexpr size_t kMaxClusterIdLength = 64;

absl::Status Invalid(const std::string& message) {
  return MakeError(ErrorReason::kInvalidRequest, message);
}

bool IsClusterIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

// "id@host:port:directory-id"
absl::StatusOr<InitialVoter> ParseVoter(std::string_view text) {
  const auto invalid = [text](std::string_view why) {
    return Invalid(fmt::format(
        "--initial-voters: \"{}\" must be <node id>@<host>:<port>:<directory id>: {}", text, why));
  };
  const size_t at = text.find('@');
  const size_t colon = text.rfind(':');
  if (at == std::string_view::npos || colon == std::string_view::npos || colon < at) {
    return invalid("'@' or ':' is missing");
  }
  int32_t node_id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + at, node_id);
  if (error != std::errc() || end != text.data() + at || node_id < 0) {
    return invalid("the node id must be a number from 0");
  }
  const std::optional<Uuid> directory = Uuid::Parse(text.substr(colon + 1));
  if (!directory.has_value() || directory->is_zero()) {
    return invalid("the directory id must be a UUID; `kvorumd random-id` draws one");
  }
  const absl::StatusOr<HostPort> address = ParseHostPort(text.substr(at + 1, colon - at - 1));
  if (!address.ok()) {
    return invalid(std::string(address.status().message()));
  }
  if (address->port == 0 || address->is_wildcard()) {
    return invalid("the others must be able to connect to this address");
  }
  return InitialVoter{{NodeId(node_id), *directory}, address->host, address->port};
}

absl::Status CheckNotFormatted(const std::string& data_dir) {
  const absl::StatusOr<MetaProperties> existing = ReadMetaProperties(data_dir);
  if (existing.ok()) {
    const std::string message = fmt::format(
        "{} is already formatted for node {} of cluster \"{}\"; a second identity for the same log "
        "would break its votes. Name another directory, or delete this one if nothing in it is "
        "needed",
        data_dir, existing->node_id, existing->cluster_id);
    return absl::AlreadyExistsError(message);
  }
  return absl::IsNotFound(existing.status()) ? absl::OkStatus() : existing.status();
}

absl::StatusOr<MetaProperties> WriteFormat(const FormatRequest& request,
                                           const MetaProperties& properties) {
  KVORUM_RETURN_IF_ERROR(CheckNotFormatted(request.data_dir));
  KVORUM_RETURN_IF_ERROR(CreateDataDirectory(request.data_dir));
  KVORUM_RETURN_IF_ERROR(
      RocksDbStorage::Format({.data_dir = request.data_dir,
                              .cluster_id = request.cluster_id,
                              .replica = {properties.node_id, properties.directory_id}}));
  // Last: it is what makes the directory formatted.
  KVORUM_RETURN_IF_ERROR(WriteMetaProperties(request.data_dir, properties));
  return properties;
}

// For a node that begins as an observer (cf. `kafka-storage format --no-initial-controllers`).
absl::StatusOr<MetaProperties> FormatToJoin(const FormatRequest& request) {
  if (request.node_id < 0) {
    return Invalid(fmt::format("--node-id {} must be a number from 0", request.node_id));
  }
  if (!request.generation.has_value()) {
    return Invalid(
        "neither voters nor the generation of a quorum to join were given; `kvorumctl quorum "
        "describe` shows the generation");
  }
  const std::string text = request.directory_id.empty() ? RandomId() : request.directory_id;
  const std::optional<Uuid> directory = Uuid::Parse(text);
  if (!directory.has_value() || directory->is_zero()) {
    return Invalid(fmt::format(
        "--directory-id \"{}\" must be a UUID; `kvorumd random-id` draws one", text.substr(0, 64)));
  }
  return WriteFormat(request, {.cluster_id = request.cluster_id,
                               .generation = *request.generation,
                               .node_id = NodeId(request.node_id),
                               .directory_id = *directory,
                               .initial_voters = {}});
}

}  // namespace

absl::Status CheckClusterId(const std::string& cluster_id) {
  if (cluster_id.empty() || cluster_id.size() > kMaxClusterIdLength ||
      !std::all_of(cluster_id.begin(), cluster_id.end(), IsClusterIdCharacter)) {
    return Invalid(fmt::format("cluster id \"{}\" must have 1 to {} characters of [A-Za-z0-9_-]",
                               cluster_id, kMaxClusterIdLength));
  }
  return absl::OkStatus();
}

absl::Status CheckAndSortVoters(std::string_view what, std::vector<InitialVoter>& voters) {
  std::set<NodeId> nodes;
  std::set<Uuid> directories;
  for (const InitialVoter& voter : voters) {
    if (!nodes.insert(voter.key.node_id).second) {
      return Invalid(fmt::format("{}: node {} is there twice", what, voter.key.node_id));
    }
    if (!directories.insert(voter.key.directory_id).second) {
      return Invalid(fmt::format("{}: directory id {} is there twice; every node needs its own",
                                 what, voter.key.directory_id));
    }
  }
  std::sort(voters.begin(), voters.end(), [](const InitialVoter& a, const InitialVoter& b) {
    return a.key.node_id < b.key.node_id;
  });
  return absl::OkStatus();
}

absl::StatusOr<std::vector<InitialVoter>> ParseInitialVoters(std::string_view text) {
  std::vector<InitialVoter> voters;
  while (true) {
    const size_t comma = text.find(',');
    KVORUM_ASSIGN_OR_RETURN(InitialVoter voter, ParseVoter(text.substr(0, comma)));
    voters.push_back(std::move(voter));
    if (voters.size() > kMaxInitialVoters) {
      return Invalid(fmt::format("--initial-voters: more than {}", kMaxInitialVoters));
    }
    if (comma == std::string_view::npos) {
      break;
    }
    text.remove_prefix(comma + 1);
  }
  KVORUM_RETURN_IF_ERROR(CheckAndSortVoters("--initial-voters", voters));
  return voters;
}

absl::StatusOr<std::optional<uint64_t>> ParseGeneration(std::string_view text) {
  if (text.empty()) {
    return std::optional<uint64_t>();
  }
  uint64_t generation = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, generation, /*base=*/16);
  if (error != std::errc() || end != last || text.size() != 16 || generation == 0) {
    return Invalid(
        fmt::format("--generation: \"{}\" must be 16 hexadecimal digits, as `kvorumctl quorum "
                    "describe` shows them",
                    text));
  }
  return std::optional(generation);
}

uint64_t GenerationOf(const std::string& cluster_id, const std::vector<InitialVoter>& voters) {
  std::string text = cluster_id;
  for (const InitialVoter& voter : voters) {
    text += fmt::format("\n{}@{}:{}", voter.key.node_id, voter.host, voter.port);
    text += voter.key.directory_id.ToString();
  }
  return std::max<uint64_t>(Hash64(text), 1);  // 0 stands for "not told" in places
}

absl::StatusOr<MetaProperties> Format(const FormatRequest& request) {
  KVORUM_RETURN_IF_ERROR(CheckClusterId(request.cluster_id));
  if (request.initial_voters.empty()) {
    return FormatToJoin(request);
  }
  const NodeId node_id(request.node_id);
  const auto self =
      std::find_if(request.initial_voters.begin(), request.initial_voters.end(),
                   [&](const InitialVoter& voter) { return voter.key.node_id == node_id; });
  if (self == request.initial_voters.end()) {
    return Invalid(fmt::format("--initial-voters has no node {}", node_id));
  }
  return WriteFormat(request, {.cluster_id = request.cluster_id,
                               .generation = request.generation.value_or(
                                   GenerationOf(request.cluster_id, request.initial_voters)),
                               .node_id = node_id,
                               .directory_id = self->key.directory_id,
                               .initial_voters = request.initial_voters});
}

uint64_t RandomSeed() {
  std::random_device entropy;
  return (uint64_t{entropy()} << 32) | entropy();
}

std::string RandomId() {
  // Both halves from the system: a generator seeded with 64 bits could not draw all UUIDs.
  std::array<uint8_t, Uuid::kBytes> bytes;
  Random high(RandomSeed());
  const std::string first = Uuid::FromRandom(high).ToBytes();
  const uint64_t low = RandomSeed();
  std::copy(first.begin(), first.end(), bytes.begin());
  for (size_t i = 9; i < Uuid::kBytes; ++i) {
    bytes[i] = static_cast<uint8_t>(low >> (8 * (i - 8)));
  }
  return Uuid(bytes).ToString();
}

}  // namespace kvorum
