#include <fmt/core.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "client/cli/cli.h"
#include "client/record_text.h"

namespace kvorum::client::cli {
namespace {

struct EntryArgs {
  std::string key;
  std::string value;
  std::string value_file;
  std::optional<int64_t> expected_version;
  bool raw = false;
  std::string name_space;
  std::optional<int32_t> owner_broker;
  std::optional<int64_t> owner_epoch;
  std::string prefix;
  bool keys_only = false;
  int limit = kDefaultListLimit;
};

// The value given, or the contents of --value-file ("-": standard input).
std::optional<std::string> ReadValue(const EntryArgs& args) {
  if (args.value_file.empty()) {
    return args.value;
  }
  if (args.value_file == "-") {
    return std::string(std::istreambuf_iterator<char>(std::cin), {});
  }
  std::ifstream file(args.value_file, std::ios::binary);
  if (!file) {
    return std::nullopt;
  }
  return std::string(std::istreambuf_iterator<char>(file), {});
}

ExitCode Put(const CommandContext& context, const EntryArgs& args) {
  std::optional<std::string> value = ReadValue(args);
  if (!value.has_value()) {
    context.err << fmt::format("error: cannot read {}\n", args.value_file);
    return ExitCode::kUsage;
  }
  v1::PutEntryRequest request;
  request.set_key(args.key);
  request.set_value(*std::move(value));
  request.set_namespace_(args.name_space);
  if (args.owner_broker.has_value()) {
    request.mutable_owner()->set_broker_id(*args.owner_broker);
    request.mutable_owner()->set_broker_epoch(*args.owner_epoch);
  }
  if (args.expected_version.has_value()) {
    request.set_expected_version(*args.expected_version);
  }
  *request.mutable_options() = context.MakeWriteOptions();
  const Result<v1::PutEntryResponse> answer = context.client->PutEntry(std::move(request));
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    context.PrintJson(*answer);
  } else {
    context.out << fmt::format("put {} version {}\n", args.key, answer->version());
  }
  return context.ReportPropagation(answer->header());
}

ExitCode Get(const CommandContext& context, const EntryArgs& args) {
  v1::GetEntryRequest request;
  request.set_key(args.key);
  request.set_namespace_(args.name_space);
  const Result<v1::GetEntryResponse> answer = context.client->GetEntry(std::move(request));
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  if (args.raw) {
    context.out << answer->entry().value();
    return ExitCode::kOk;
  }
  Table table({"KEY", ">VERSION", "VALUE"});
  table.Add({answer->entry().key(), CountText(answer->entry().version()),
             ValueText(answer->entry().value())});
  table.Print(context.out);
  return ExitCode::kOk;
}

ExitCode Delete(const CommandContext& context, const EntryArgs& args) {
  v1::DeleteEntryRequest request;
  request.set_key(args.key);
  request.set_namespace_(args.name_space);
  if (args.expected_version.has_value()) {
    request.set_expected_version(*args.expected_version);
  }
  *request.mutable_options() = context.MakeWriteOptions();
  const Result<v1::DeleteEntryResponse> answer = context.client->DeleteEntry(std::move(request));
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    context.PrintJson(*answer);
  } else {
    context.out << fmt::format("deleted {}\n", args.key);
  }
  return context.ReportPropagation(answer->header());
}

ExitCode List(const CommandContext& context, const EntryArgs& args) {
  const Result<v1::ListEntriesResponse> answer = CollectPages<v1::ListEntriesResponse>(
      args.limit,
      [&](const v1::PageRequest& page) {
        v1::ListEntriesRequest request;
        request.set_prefix(args.prefix);
        request.set_namespace_(args.name_space);
        request.set_keys_only(args.keys_only);
        *request.mutable_page() = page;
        return context.client->ListEntries(std::move(request));
      },
      [](v1::ListEntriesResponse& all, const v1::ListEntriesResponse& page) {
        all.mutable_entries()->MergeFrom(page.entries());
        return all.entries_size();
      });
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  Table table({"KEY", ">VERSION", "VALUE"});
  for (const v1::Entry& entry : answer->entries()) {
    table.Add(
        {entry.key(), CountText(entry.version()), args.keys_only ? "-" : ValueText(entry.value())});
  }
  table.Print(context.out);
  return ExitCode::kOk;
}

ExitCode Namespaces(const CommandContext& context, const EntryArgs& args) {
  using Response = v1::ListEntryNamespacesResponse;
  const Result<Response> answer = CollectPages<Response>(
      args.limit,
      [&](const v1::PageRequest& page) {
        v1::ListEntryNamespacesRequest request;
        *request.mutable_page() = page;
        return context.client->ListEntryNamespaces(std::move(request));
      },
      [](Response& all, const Response& page) {
        all.mutable_namespaces()->MergeFrom(page.namespaces());
        return all.namespaces_size();
      });
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  Table table({"NAMESPACE", ">ENTRIES", ">BYTES"});
  for (const Response::Namespace& found : answer->namespaces()) {
    table.Add({found.name().empty() ? "(default)" : found.name(), CountText(found.entry_count()),
               CountText(found.size_bytes())});
  }
  table.Print(context.out);
  return ExitCode::kOk;
}

using Args = std::shared_ptr<EntryArgs>;

void AddNamespace(CLI::App& command, const Args& args) {
  command.add_option("--namespace", args->name_space, "Where the key is; default: the default one");
}

void AddLimit(CLI::App& command, const Args& args) {
  command.add_option("--limit", args->limit, "Items at most")
      ->check(CLI::Range(1, kMaxListLimit))
      ->capture_default_str();
}

}  // namespace

void AddEntryCommands(CLI::App& app, CommandContext& context) {
  CLI::App* entry = app.add_subcommand("entry", "Small keys and values of your own");
  entry->require_subcommand(1);
  const auto args = std::make_shared<EntryArgs>();

  CLI::App* put = AddVerb(*entry, context, "put", "Write a key", Put, args);
  put->add_option("KEY", args->key)->required();
  CLI::Option* value = put->add_option("VALUE", args->value);
  put->add_option("--value-file", args->value_file, "Read the value from a file; - is stdin")
      ->excludes(value);
  put->add_option("--expected-version", args->expected_version,
                  "Write only over this version; 0: only if there is none");
  CLI::Option* owner = put->add_option("--owner-broker", args->owner_broker,
                                       "The entry goes when this broker's session ends");
  CLI::Option* epoch =
      put->add_option("--owner-epoch", args->owner_epoch, "The broker's epoch, see broker list");
  owner->needs(epoch);
  epoch->needs(owner);

  CLI::App* get = AddVerb(*entry, context, "get", "Read a key", Get, args);
  get->add_option("KEY", args->key)->required();
  get->add_flag("--raw", args->raw, "The value's bytes and nothing else");

  CLI::App* remove = AddVerb(*entry, context, "delete", "Delete a key", Delete, args);
  remove->add_option("KEY", args->key)->required();
  remove->add_option("--expected-version", args->expected_version, "Delete only this version");

  CLI::App* list = AddVerb(*entry, context, "list", "List keys in order", List, args);
  list->add_option("--prefix", args->prefix, "Only keys that start with this");
  list->add_flag("--keys-only", args->keys_only, "Without the values");
  AddLimit(*list, args);

  CLI::App* namespaces = AddVerb(*entry, context, "namespaces",
                                 "List namespaces and what they hold", Namespaces, args);
  AddLimit(*namespaces, args);

  for (CLI::App* command : {put, get, remove, list}) {
    AddNamespace(*command, args);
  }
}

}  // namespace kvorum::client::cli
