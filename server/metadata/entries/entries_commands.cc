#include "server/metadata/entries/entries_commands.h"

#include <fmt/format.h>

#include <string_view>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
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
  if (with_value) {
    entry.set_value(record.value());
  }
}

}  // namespace

absl::StatusOr<CommandResult<v1::PutEntryResponse>> Execute(const CommandContext& context,
                                                            const v1::PutEntryRequest& request) {
  // A version of 0 means "absent"; offset 0 is the first leader's control record.
  KVORUM_CHECK(context.next_offset > Offset{0}, "next offset {}", context.next_offset);
  KVORUM_RETURN_IF_ERROR(ValidateKey(request.key()));
  if (request.value().size() > kMaxEntryValueBytes) {
    return MakeError(ErrorReason::kValueTooLarge,
                     fmt::format("value of key '{}' is {} bytes long; the limit is {}",
                                 request.key(), request.value().size(), kMaxEntryValueBytes));
  }
  if (request.has_expected_version()) {
    if (request.expected_version() < 0) {
      return MakeError(ErrorReason::kInvalidRequest,
                       fmt::format("expected_version is {}; use a version, 0 for a key that must "
                                   "not exist, or leave it unset",
                                   request.expected_version()));
    }
    const v1::EntryRecord* current = context.image.entries().Find(request.key());
    KVORUM_RETURN_IF_ERROR(ValidateVersion(request.key(), request.expected_version(),
                                           current == nullptr ? 0 : current->version()));
  }
  CommandResult<v1::PutEntryResponse> result;
  v1::EntryRecord& record = *result.records.emplace_back().mutable_entry();
  record.set_key(request.key());
  record.set_value(request.value());
  record.set_version(context.next_offset.value());
  result.response.set_version(context.next_offset.value());
  return result;
}

absl::StatusOr<CommandResult<v1::DeleteEntryResponse>> Execute(
    const CommandContext& context, const v1::DeleteEntryRequest& request) {
  KVORUM_RETURN_IF_ERROR(ValidateKey(request.key()));
  if (request.has_expected_version() && request.expected_version() <= 0) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("expected_version is {}; use the version to be deleted, or leave "
                                 "it unset",
                                 request.expected_version()));
  }
  const v1::EntryRecord* current = context.image.entries().Find(request.key());
  if (current == nullptr) {
    return UnknownKey(request.key());
  }
  if (request.has_expected_version()) {
    KVORUM_RETURN_IF_ERROR(
        ValidateVersion(request.key(), request.expected_version(), current->version()));
  }
  CommandResult<v1::DeleteEntryResponse> result;
  result.records.emplace_back().mutable_remove_entry()->set_key(request.key());
  return result;
}

absl::StatusOr<v1::GetEntryResponse> Query(const QueryContext& context,
                                           const v1::GetEntryRequest& request) {
  KVORUM_RETURN_IF_ERROR(ValidateKey(request.key()));
  const v1::EntryRecord* record = context.image.entries().Find(request.key());
  if (record == nullptr) {
    return UnknownKey(request.key());
  }
  v1::GetEntryResponse response;
  FillEntry(*record, /*with_value=*/true, *response.mutable_entry());
  return response;
}

absl::StatusOr<v1::ListEntriesResponse> Query(const QueryContext& context,
                                              const v1::ListEntriesRequest& request) {
  KVORUM_RETURN_IF_ERROR(ValidateKeyText("prefix", request.prefix()));
  KVORUM_ASSIGN_OR_RETURN(Page page, Page::Open(request.page(), "entries/" + request.prefix()));
  const auto& entries = context.image.entries().entries;
  auto next = page.after().empty() ? entries.lower_bound(std::string_view(request.prefix()))
                                   : entries.upper_bound(std::string_view(page.after()));
  v1::ListEntriesResponse response;
  for (; next != entries.end() && next->key.starts_with(request.prefix()); ++next) {
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

}  // namespace kvorum
