#include "storage/meta_properties_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "server/base/crc32c.h"
#include "server/base/status_macros.h"

namespace kvorum {
namespace {

constexpr std::string_view kComment =
    "# Identity of this data directory, written once by `kvorumd format`. Do not edit or copy "
    "it.\n";
constexpr std::string_view kVersionKey = "format.version";
constexpr std::string_view kCrcKey = "crc32c";
constexpr size_t kMaxHostBytes = 255;

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

template <typename T>
std::optional<T> ParseNumber(std::string_view text, int base = 10) {
  T value{};
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value, base);
  if (result.ec != std::errc() || result.ptr != end) {
    return std::nullopt;
  }
  return value;
}

// Removes and returns what stands before the first `separator`; nullopt if there is none.
std::optional<std::string_view> TakeUntil(std::string_view& text, char separator) {
  const size_t at = text.find(separator);
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view front = text.substr(0, at);
  text.remove_prefix(at + 1);
  return front;
}

absl::Status Damaged(std::string_view what) { return absl::DataLossError(fmt::format("{}", what)); }

std::string EncodeVoter(const InitialVoter& voter) {
  return fmt::format("initial.voter={}@{}@{}:{}\n", voter.key.node_id, voter.key.directory_id,
                     voter.host, voter.port);
}

std::optional<InitialVoter> DecodeVoter(std::string_view text) {
  const auto node = TakeUntil(text, '@');
  const auto directory = TakeUntil(text, '@');
  const size_t colon = text.rfind(':');  // the host may be an IPv6 address
  if (!node.has_value() || !directory.has_value() || colon == std::string_view::npos) {
    return std::nullopt;
  }
  const auto node_id = ParseNumber<int32_t>(*node);
  const auto directory_id = Uuid::Parse(*directory);
  const auto port = ParseNumber<uint16_t>(text.substr(colon + 1));
  if (!node_id.has_value() || !directory_id.has_value() || !port.has_value()) {
    return std::nullopt;
  }
  InitialVoter voter;
  voter.key = {.node_id = NodeId(*node_id), .directory_id = *directory_id};
  voter.host = std::string(text.substr(0, colon));
  voter.port = *port;
  return voter;
}

absl::Status ValidateVoter(const InitialVoter& voter) {
  if (voter.key.node_id < NodeId(0) || voter.key.directory_id.is_zero() || voter.host.empty() ||
      voter.host.size() > kMaxHostBytes || !IsPrintable(voter.host) || voter.port == 0) {
    return absl::InvalidArgumentError(
        fmt::format("initial voter {}: a node id, a directory id, a host and a port are needed, "
                    "got {}:{}",
                    voter.key, voter.host, voter.port));
  }
  return absl::OkStatus();
}

absl::Status Validate(const MetaProperties& properties) {
  if (properties.cluster_id.empty() || properties.cluster_id.size() > kMaxClusterIdBytes ||
      !IsPrintable(properties.cluster_id)) {
    return absl::InvalidArgumentError(
        fmt::format("cluster id \"{}\": 1 to {} printable ASCII characters without blanks are "
                    "allowed",
                    properties.cluster_id, kMaxClusterIdBytes));
  }
  if (properties.node_id < NodeId(0) || properties.directory_id.is_zero()) {
    return absl::InvalidArgumentError(fmt::format("node id {}, directory id {}: both are needed",
                                                  properties.node_id, properties.directory_id));
  }
  if (properties.initial_voters.size() > kMaxInitialVoters) {
    return absl::InvalidArgumentError(fmt::format("{} initial voters, at most {} are allowed",
                                                  properties.initial_voters.size(),
                                                  kMaxInitialVoters));
  }
  for (const InitialVoter& voter : properties.initial_voters) {
    KVORUM_RETURN_IF_ERROR(ValidateVoter(voter));
  }
  return absl::OkStatus();
}

// Sets the field that `key` names; false if there is none such or `value` does not parse.
bool SetField(std::string_view key, std::string_view value, MetaProperties& properties) {
  if (key == "cluster.id") {
    properties.cluster_id = std::string(value);
    return true;
  }
  if (key == "generation") {
    const auto generation = ParseNumber<uint64_t>(value);
    properties.generation = generation.value_or(0);
    return generation.has_value();
  }
  if (key == "recovering.from") {
    properties.recovering_from = ParseNumber<uint64_t>(value);
    return properties.recovering_from.has_value();
  }
  if (key == "node.id") {
    const auto node_id = ParseNumber<int32_t>(value);
    properties.node_id = NodeId(node_id.value_or(0));
    return node_id.has_value();
  }
  if (key == "directory.id") {
    const auto directory_id = Uuid::Parse(value);
    properties.directory_id = directory_id.value_or(Uuid());
    return directory_id.has_value();
  }
  if (key == "initial.voter") {
    auto voter = DecodeVoter(value);
    if (voter.has_value()) {
      properties.initial_voters.push_back(*std::move(voter));
    }
    return voter.has_value();
  }
  return key == kVersionKey;
}

// The version comes first of all: a newer format may differ in everything after it.
absl::Status CheckVersion(std::string_view text, MetaProperties& properties) {
  const std::string prefix = fmt::format("\n{}=", kVersionKey);
  const size_t at = text.find(prefix);
  if (at == std::string_view::npos) {
    return Damaged("the format version is missing");
  }
  text.remove_prefix(at + prefix.size());
  const auto version = ParseNumber<int32_t>(text.substr(0, text.find('\n')));
  if (!version.has_value() || *version < 1) {
    return Damaged("the format version is not a number");
  }
  if (*version > kMetaPropertiesVersion) {
    return absl::FailedPreconditionError(
        fmt::format("format version {} was written by a newer release; this one reads up to {}",
                    *version, kMetaPropertiesVersion));
  }
  properties.format_version = *version;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> EncodeMetaProperties(const MetaProperties& properties) {
  KVORUM_RETURN_IF_ERROR(Validate(properties));
  std::string text(kComment);
  text += fmt::format("{}={}\n", kVersionKey, kMetaPropertiesVersion);
  text += fmt::format("cluster.id={}\n", properties.cluster_id);
  text += fmt::format("generation={}\n", properties.generation);
  text += fmt::format("node.id={}\n", properties.node_id);
  text += fmt::format("directory.id={}\n", properties.directory_id);
  for (const InitialVoter& voter : properties.initial_voters) {
    text += EncodeVoter(voter);
  }
  if (properties.recovering_from.has_value()) {
    text += fmt::format("recovering.from={}\n", *properties.recovering_from);
  }
  text += fmt::format("{}={:08x}\n", kCrcKey, Crc32c(text));
  return text;
}

absl::StatusOr<MetaProperties> DecodeMetaProperties(std::string_view text) {
  MetaProperties properties;
  KVORUM_RETURN_IF_ERROR(CheckVersion(text, properties));
  const std::string crc_prefix = fmt::format("\n{}=", kCrcKey);
  const size_t crc_at = text.rfind(crc_prefix);
  if (crc_at == std::string_view::npos || text.back() != '\n') {
    return Damaged("the checksum is missing");
  }
  const std::string_view body = text.substr(0, crc_at + 1);
  std::string_view crc_text = text.substr(crc_at + crc_prefix.size());
  crc_text.remove_suffix(1);
  if (crc_text != fmt::format("{:08x}", Crc32c(body))) {
    return Damaged("the checksum does not match: the file was edited or damaged");
  }
  std::string_view rest = body;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    if (!line.empty() && line.front() == '#') {
      continue;
    }
    const auto key = TakeUntil(line, '=');
    if (!key.has_value() || !SetField(*key, line, properties)) {
      return Damaged(fmt::format("the line \"{}\" is not understood", line));
    }
  }
  if (const absl::Status status = Validate(properties); !status.ok()) {
    return absl::DataLossError(status.message());
  }
  return properties;
}

}  // namespace kvorum
