#include "server/metadata/entries/entries_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/brokers/broker_fencing.h"
#include "server/metadata/paging.h"
#include "server/metadata/request_checks.h"

namespace kvorum {
namespace {

absl::Status ValidateKeyText(std::string_view what, std::string_view text) {
  if (text.size() > kMaxEntryKeyBytes) {
    return MakeError(ErrorReason::kInvalidKey, fmt::format("{} is {} bytes long; the limit is {}",
                                                           what, text.size(), kMaxEntryKeyBytes));
  }
  if (!IsPrintableUtf8(text)) {
    return MakeError(
        ErrorReason::kInvalidKey,
        fmt::format("{} of {} bytes is not UTF-8 or holds a control character; use printable "
                    "UTF-8",
                    what, text.size()));
  }
  return absl::OkStatus();
}

absl::Status ValidateKey(std::string_view key) {
  if (key.empty()) {
    return MakeError(ErrorReason::kInvalidKey,
                     fmt::format("key is empty; give 1 to {} bytes", kMaxEntryKeyBytes));
  }
  return ValidateKeyText("key", key);
}

// Empty is the default one.
absl::Status ValidateNamespace(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  if (name.size() > kMaxEntryNamespaceBytes || !std::all_of(name.begin(), name.end(), is_allowed)) {
    return MakeError(ErrorReason::kInvalidKey,
                     fmt::format("namespace of {} bytes; use at most {} of a-z, A-Z, 0-9, '.', '_' "
                                 "and '-', or none for the default one",
                                 name.size(), kMaxEntryNamespaceBytes));
  }
  return absl::OkStatus();
}

// Of every request that names one entry.
template <typename Request>
absl::Status ValidateName(const Request& request) {
  KVORUM_RETURN_IF_ERROR(ValidateNamespace(request.namespace_()));
  return ValidateKey(request.key());
}

absl::Status LimitExceeded(std::string_view what, int64_t value, int64_t limit) {
  return MakeError(
      ErrorReason::kLimitExceeded,
      fmt::format("{} would be {}; the limit is {}, delete some first", what, value, limit));
}

// `growth`: what the write adds to the namespace.
absl::Status CheckEntryLimits(const CommandContext& context, const std::string& name_space,
                              const EntryUsage& growth) {
  const EntriesImage& image = context.image.entries();
  const MetadataLimits& limits = context.limits;
  EntryUsage after = growth;
  if (const EntryUsage* usage = image.usage.Find(name_space)) {
    after = {after.count + usage->count, after.bytes + usage->bytes};
  } else if (image.usage.size() >= limits.max_entry_namespaces) {
    return LimitExceeded("the number of namespaces", static_cast<int64_t>(image.usage.size()) + 1,
                         static_cast<int64_t>(limits.max_entry_namespaces));
  }
  const EntryUsage total{image.total.count + growth.count, image.total.bytes + growth.bytes};
  if (growth.count > 0 && after.count > limits.max_entries_per_namespace) {
    return LimitExceeded(fmt::format("the entries of namespace '{}'", name_space), after.count,
                         limits.max_entries_per_namespace);
  }
  if (growth.bytes > 0 && after.bytes > limits.max_entry_bytes_per_namespace) {
    return LimitExceeded(fmt::format("the bytes of namespace '{}'", name_space), after.bytes,
                         limits.max_entry_bytes_per_namespace);
  }
  if (growth.count > 0 && total.count > limits.max_entries) {
    return LimitExceeded("the entries of all namespaces", total.count, limits.max_entries);
  }
  if (growth.bytes > 0 && total.bytes > limits.max_entry_bytes) {
    return LimitExceeded("the bytes of all namespaces", total.bytes, limits.max_entry_bytes);
  }
  return absl::OkStatus();
}

// `current`: what the key has now, or nullptr.
absl::Status ValidateOwner(const CommandContext& context, const v1::EntryOwner& owner,
                           const v1::EntryRecord* current) {
  KVORUM_RETURN_IF_ERROR(CheckBrokerId(owner.broker_id()));
  const BrokerId id{owner.broker_id()};
  KVORUM_RETURN_IF_ERROR(
      CheckBrokerEpoch(context.image.brokers(), id, BrokerEpoch{owner.broker_epoch()}));
  if (context.image.brokers().Find(id)->is_fenced) {
    return MakeError(ErrorReason::kBrokerNotAvailable,
                     fmt::format("broker {} is fenced, it has no session that an entry could live "
                                 "with; heartbeat until it is unfenced",
                                 id));
  }
  const bool has_it_already = current != nullptr && current->has_owner() &&
                              current->owner().broker_id() == owner.broker_id();
  const size_t count = CountOwnedEntries(context.image.entries(), id) + (has_it_already ? 0 : 1);
  if (count > context.limits.max_owned_entries_per_broker) {
    return LimitExceeded(fmt::format("the entries of broker {}", id), static_cast<int64_t>(count),
                         static_cast<int64_t>(context.limits.max_owned_entries_per_broker));
  }
  return absl::OkStatus();
}

absl::Status UnknownKey(std::string_view key) {
  return MakeError(ErrorReason::kUnknownKey,
                   fmt::format("no key '{}'; put it first, or list what exists", key));
}

// Compare-and-set. `current_version` is 0 where the key does not exist.
absl::Status ValidateVersion(std::string_view key, int64_t expected, int64_t current_version) {
  if (expected == current_version) {
    return absl::OkStatus();
  }
  if (current_version == 0) {
    return MakeError(ErrorReason::kInvalidUpdateVersion,
                     fmt::format("key '{}' does not exist but version {} was expected; read again "
                                 "and decide anew",
                                 key, expected));
  }
  return MakeError(
      ErrorReason::kInvalidUpdateVersion,
      fmt::format("key '{}' is at version {} but {} was expected; read again and decide anew", key,
                  current_version, expected));
}

void FillEntry(const v1::EntryRecord& record, bool with_value, v1::Entry& entry) {
  entry.set_key(record.key());
  entry.set_version(record.version());
  entry.set_namespace_(record.namespace_());
  if (record.has_owner()) {
    *entry.mutable_owner() = record.owner();
  }
  if (with_value) {
    entry.set_value(record.value());
  }
}

}  // namespace

absl::StatusOr<CommandResult<v1::PutEntryResponse>> Execute(const CommandContext& context,
                                                            const v1::PutEntryRequest& request) {
  // A version of 0 means "absent"; offset 0 is the first leader's control record.
  KVORUM_CHECK(context.next_offset > Offset{0}, "next offset {}", context.next_offset);
  KVORUM_RETURN_IF_ERROR(ValidateName(request));
  if (request.value().size() > kMaxEntryValueBytes) {
    return MakeError(ErrorReason::kValueTooLarge,
                     fmt::format("value of key '{}' is {} bytes long; the limit is {}",
                                 request.key(), request.value().size(), kMaxEntryValueBytes));
  }
  const v1::EntryRecord* current =
      context.image.entries().Find(request.key(), request.namespace_());
  if (request.has_expected_version()) {
    if (request.expected_version() < 0) {
      return MakeError(ErrorReason::kInvalidRequest,
                       fmt::format("expected_version is {}; use a version, 0 for a key that must "
                                   "not exist, or leave it unset",
                                   request.expected_version()));
    }
    KVORUM_RETURN_IF_ERROR(ValidateVersion(request.key(), request.expected_version(),
                                           current == nullptr ? 0 : current->version()));
  }
  const size_t current_bytes =
      current == nullptr ? 0 : current->key().size() + current->value().size();
  KVORUM_RETURN_IF_ERROR(CheckEntryLimits(
      context, request.namespace_(),
      {current == nullptr ? 1 : 0, static_cast<int64_t>(request.key().size()) +
                                       static_cast<int64_t>(request.value().size()) -
                                       static_cast<int64_t>(current_bytes)}));
  if (request.has_owner()) {
    KVORUM_RETURN_IF_ERROR(ValidateOwner(context, request.owner(), current));
  }
  CommandResult<v1::PutEntryResponse> result;
  v1::EntryRecord& record = *result.records.emplace_back().mutable_entry();
  record.set_key(request.key());
  record.set_value(request.value());
  record.set_version(context.next_offset.value());
  record.set_namespace_(request.namespace_());
  if (request.has_owner()) {
    *record.mutable_owner() = request.owner();
  }
  result.response.set_version(context.next_offset.value());
  return result;
}

absl::StatusOr<CommandResult<v1::DeleteEntryResponse>> Execute(
    const CommandContext& context, const v1::DeleteEntryRequest& request) {
  KVORUM_RETURN_IF_ERROR(ValidateName(request));
  if (request.has_expected_version() && request.expected_version() <= 0) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("expected_version is {}; use the version to be deleted, or leave "
                                 "it unset",
                                 request.expected_version()));
  }
  const v1::EntryRecord* current =
      context.image.entries().Find(request.key(), request.namespace_());
  if (current == nullptr) {
    return UnknownKey(request.key());
  }
  if (request.has_expected_version()) {
    KVORUM_RETURN_IF_ERROR(
        ValidateVersion(request.key(), request.expected_version(), current->version()));
  }
  CommandResult<v1::DeleteEntryResponse> result;
  v1::RemoveEntryRecord& record = *result.records.emplace_back().mutable_remove_entry();
  record.set_key(request.key());
  record.set_namespace_(request.namespace_());
  return result;
}

absl::StatusOr<v1::GetEntryResponse> Query(const QueryContext& context,
                                           const v1::GetEntryRequest& request) {
  KVORUM_RETURN_IF_ERROR(ValidateName(request));
  const v1::EntryRecord* record = context.image.entries().Find(request.key(), request.namespace_());
  if (record == nullptr) {
    return UnknownKey(request.key());
  }
  v1::GetEntryResponse response;
  FillEntry(*record, /*with_value=*/true, *response.mutable_entry());
  return response;
}

absl::StatusOr<v1::ListEntriesResponse> Query(const QueryContext& context,
                                              const v1::ListEntriesRequest& request) {
  KVORUM_RETURN_IF_ERROR(ValidateNamespace(request.namespace_()));
  KVORUM_RETURN_IF_ERROR(ValidateKeyText("prefix", request.prefix()));
  // No namespace holds a '/'.
  KVORUM_ASSIGN_OR_RETURN(
      Page page, Page::Open(request.page(),
                            fmt::format("entries/{}/{}", request.namespace_(), request.prefix())));
  const auto& entries = context.image.entries().entries;
  auto next = page.after().empty()
                  ? entries.lower_bound(EntryKey{request.namespace_(), request.prefix()})
                  : entries.upper_bound(EntryKey{request.namespace_(), page.after()});
  v1::ListEntriesResponse response;
  for (; next != entries.end() && next->key.name_space == request.namespace_() &&
         next->key.key.starts_with(request.prefix());
       ++next) {
    v1::Entry entry;
    FillEntry(*next->value, !request.keys_only(), entry);
    if (!page.Admit(entry.ByteSizeLong())) {
      *response.mutable_page() = page.Continue(response.entries(response.entries_size() - 1).key());
      break;
    }
    *response.add_entries() = std::move(entry);
  }
  return response;
}

absl::StatusOr<v1::ListEntryNamespacesResponse> Query(
    const QueryContext& context, const v1::ListEntryNamespacesRequest& request) {
  KVORUM_ASSIGN_OR_RETURN(Page page, Page::Open(request.page(), "entry-namespaces"));
  const auto& usage = context.image.entries().usage;
  // A page token names the last one by its place: the default one has no name to be named by.
  const auto token_of = [](const std::string& name) { return "/" + name; };
  auto next = page.after().empty() ? usage.begin() : usage.upper_bound(page.after().substr(1));
  v1::ListEntryNamespacesResponse response;
  for (; next != usage.end(); ++next) {
    v1::ListEntryNamespacesResponse::Namespace name_space;
    name_space.set_name(next->key);
    name_space.set_entry_count(next->value.count);
    name_space.set_size_bytes(next->value.bytes);
    if (!page.Admit(name_space.ByteSizeLong())) {
      *response.mutable_page() =
          page.Continue(token_of(response.namespaces(response.namespaces_size() - 1).name()));
      break;
    }
    *response.add_namespaces() = std::move(name_space);
  }
  return response;
}

}  // namespace kvorum
