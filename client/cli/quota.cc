#include <fmt/core.h>

#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/cli.h"
#include "client/record_text.h"

namespace kvorum::client::cli {
namespace {

// One part of an entity: named, the default, or not said.
struct PartArgs {
  std::string name;
  bool is_default = false;

  bool is_said() const { return is_default || !name.empty(); }
};

struct QuotaArgs {
  PartArgs user;
  PartArgs client_id;
  PartArgs ip;
  std::vector<std::string> pairs;
  std::vector<std::string> keys;
  bool strict = false;
  int limit = kDefaultListLimit;
};

// Calls `add(type, part)` for each part that is said.
template <typename Function>
void ForEachPart(const QuotaArgs& args, const Function& add) {
  for (const auto& [type, part] : {std::pair(v1::QUOTA_ENTITY_TYPE_USER, &args.user),
                                   std::pair(v1::QUOTA_ENTITY_TYPE_CLIENT_ID, &args.client_id),
                                   std::pair(v1::QUOTA_ENTITY_TYPE_IP, &args.ip)}) {
    if (part->is_said()) {
      add(type, *part);
    }
  }
}

// "12.5"; for CLI11, which reports what it returns.
std::string ValidateLimit(const std::string& text) {
  const std::string value = SplitPair(text).second;
  double number = 0;
  const char* end = value.data() + value.size();
  const auto [next, error] = std::from_chars(value.data(), end, number);
  return ValidatePair(text).empty() && error == std::errc() && next == end
             ? std::string()
             : fmt::format("{} is not KEY=NUMBER", text);
}

ExitCode Alter(const CommandContext& context, const QuotaArgs& args) {
  v1::AlterClientQuotasRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  v1::AlterClientQuotasRequest::Item& item = *request.add_entities();
  ForEachPart(args, [&](v1::QuotaEntityType type, const PartArgs& part) {
    v1::QuotaEntity& added = *item.add_entity();
    added.set_type(type);
    if (!part.is_default) {
      added.set_name(part.name);
    }
  });
  for (const std::string& pair : args.pairs) {
    const auto [key, value] = SplitPair(pair);
    item.add_operations()->set_key(key);
    double number = 0;
    std::from_chars(value.data(), value.data() + value.size(), number);  // was validated
    item.mutable_operations(item.operations_size() - 1)->set_value(number);
  }
  for (const std::string& key : args.keys) {
    item.add_operations()->set_key(key);
  }
  return Finish(context, context.client->AlterClientQuotas(std::move(request)),
                [](const v1::AlterClientQuotasResponse::Result& result) {
                  return fmt::format("changed quotas of {}", QuotaEntityText(result.entity()));
                });
}

ExitCode List(const CommandContext& context, const QuotaArgs& args) {
  using Response = v1::DescribeClientQuotasResponse;
  const Result<Response> answer = CollectPages<Response>(
      args.limit,
      [&](const v1::PageRequest& page) {
        v1::DescribeClientQuotasRequest request;
        ForEachPart(args, [&](v1::QuotaEntityType type, const PartArgs& part) {
          v1::QuotaFilter& filter = *request.add_filters();
          filter.set_type(type);
          if (part.is_default) {
            filter.set_is_default(true);
          } else if (part.name == "*") {
            filter.set_any(true);
          } else {
            filter.set_name(part.name);
          }
        });
        request.set_strict(args.strict);
        *request.mutable_page() = page;
        return context.client->DescribeClientQuotas(std::move(request));
      },
      [](Response& all, const Response& page) {
        all.mutable_quotas()->MergeFrom(page.quotas());
        return all.quotas_size();
      });
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  Table table({"ENTITY", "KEY", ">VALUE"});
  for (const Response::Quota& quota : answer->quotas()) {
    for (const Response::Value& value : quota.values()) {
      table.Add({QuotaEntityText(quota.entity()), value.key(), fmt::format("{}", value.value())});
    }
  }
  table.Print(context.out);
  return ExitCode::kOk;
}

using Args = std::shared_ptr<QuotaArgs>;

CLI::Option_group* AddEntity(CLI::App& command, const Args& args) {
  CLI::Option_group* entity = command.add_option_group("entity");
  const auto add = [&](const std::string& name, PartArgs& part) {
    CLI::Option* named = entity->add_option("--" + name, part.name, "By name; * in list: any");
    entity->add_flag("--" + name + "-default", part.is_default, "The default of all that have none")
        ->excludes(named);
  };
  add("user", args->user);
  add("client-id", args->client_id);
  add("ip", args->ip);
  return entity;
}

}  // namespace

void AddQuotaCommands(CLI::App& app, CommandContext& context) {
  CLI::App* quota = app.add_subcommand("quota", "Limits of users, client ids and addresses");
  quota->require_subcommand(1);
  const auto args = std::make_shared<QuotaArgs>();

  CLI::App* list = AddVerb(*quota, context, "list", "List quotas", List, args);
  AddEntity(*list, args);
  list->add_flag("--strict", args->strict, "Only entities without other parts");
  list->add_option("--limit", args->limit, "Items at most")
      ->check(CLI::Range(1, kMaxListLimit))
      ->capture_default_str();

  CLI::App* set = AddVerb(*quota, context, "set", "Set quotas of one entity", Alter, args);
  AddEntity(*set, args)->require_option(1, 0);
  set->add_option("PAIRS", args->pairs, "KEY=NUMBER, for example producer_byte_rate=1048576")
      ->required()
      ->check(CLI::Validator(ValidateLimit, ""));

  CLI::App* unset = AddVerb(*quota, context, "unset", "Remove quotas of one entity", Alter, args);
  AddEntity(*unset, args)->require_option(1, 0);
  unset->add_option("KEYS", args->keys)->required();
}

}  // namespace kvorum::client::cli
