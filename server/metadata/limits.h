#pragma once

#include <cstddef>
#include <cstdint>

namespace kvorum {

// How much of each kind of metadata a cluster holds: what is over is LIMIT_EXCEEDED. Checked when
// commands plan, never on replay, so that a limit may change. Plain value, with the limits as they
// are; tests lower them.
struct MetadataLimits {
  size_t max_configs = 1'000'000;       // values that are set
  size_t max_quota_entities = 100'000;  // that have limits
  size_t max_acls = 100'000;
  size_t max_scram_credentials = 100'000;
  size_t max_features = 1'000;  // with a finalized level
  size_t max_entry_namespaces = 1'000;
  int64_t max_entries_per_namespace = 100'000;
  int64_t max_entry_bytes_per_namespace = int64_t{64} << 20;  // of keys and values
  int64_t max_entries = 1'000'000;
  int64_t max_entry_bytes = int64_t{256} << 20;
  size_t max_owned_entries_per_broker = 1'000;  // they go in one commit with its session
};

}  // namespace kvorum
