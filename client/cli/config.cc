#include <fmt/core.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/cli.h"
#include "client/record_text.h"

namespace kvorum::client::cli {
namespace {

struct ConfigArgs {
  // Exactly one of these names the resource.
  std::string topic;
  std::optional<int32_t> broker;
  bool broker_default = false;
  std::string client_metrics;
  std::string group;

  std::vector<std::string> names;
  std::vector<std::string> set;  // KEY=VALUE, as the next two
  std::vector<std::string> append;
  std::vector<std::string> subtract;
  std::optional<int32_t> on_broker;
  bool all = false;
  bool synonyms = false;
  bool documentation = false;
  bool validate_only = false;
};

void SetResource(const ConfigArgs& args, v1::ConfigResource& resource) {
  if (!args.topic.empty()) {
    resource.set_type(v1::CONFIG_RESOURCE_TYPE_TOPIC);
    resource.set_name(args.topic);
  } else if (!args.client_metrics.empty()) {
    resource.set_type(v1::CONFIG_RESOURCE_TYPE_CLIENT_METRICS);
    resource.set_name(args.client_metrics);
  } else if (!args.group.empty()) {
    resource.set_type(v1::CONFIG_RESOURCE_TYPE_GROUP);
    resource.set_name(args.group);
  } else {
    resource.set_type(v1::CONFIG_RESOURCE_TYPE_BROKER);
    resource.set_name(args.broker.has_value() ? fmt::format("{}", *args.broker) : "");
  }
}

std::string ResourceText(const v1::ConfigResource& resource) {
  return fmt::format("{} {}", EnumText(v1::ConfigResourceType_Name(resource.type())),
                     resource.name().empty() ? "(default)" : resource.name());
}

void AddOperations(const std::vector<std::string>& pairs, v1::ConfigOperation operation,
                   v1::AlterConfigsRequest::Item& item) {
  for (const std::string& pair : pairs) {
    auto [name, value] = SplitPair(pair);
    v1::AlterConfigsRequest::Operation& added = *item.add_operations();
    added.set_name(std::move(name));
    added.set_operation(operation);
    added.set_value(std::move(value));
  }
}

ExitCode Alter(const CommandContext& context, const ConfigArgs& args) {
  v1::AlterConfigsRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  v1::AlterConfigsRequest::Item& item = *request.add_resources();
  SetResource(args, *item.mutable_resource());
  AddOperations(args.set, v1::CONFIG_OPERATION_SET, item);
  AddOperations(args.append, v1::CONFIG_OPERATION_APPEND, item);
  AddOperations(args.subtract, v1::CONFIG_OPERATION_SUBTRACT, item);
  AddOperations(args.names, v1::CONFIG_OPERATION_DELETE, item);
  if (item.operations().empty()) {
    context.err << "error: nothing to do: give KEY=VALUE, --append or --subtract\n";
    return ExitCode::kUsage;
  }
  request.mutable_options()->set_validate_only(args.validate_only);
  return Finish(context, context.client->AlterConfigs(std::move(request)),
                [&](const v1::AlterConfigsResponse::Result& result) {
                  return fmt::format("{} configs of {}",
                                     args.validate_only ? "would change" : "changed",
                                     ResourceText(result.resource()));
                });
}

ExitCode Get(const CommandContext& context, const ConfigArgs& args) {
  v1::DescribeConfigsRequest request;
  v1::DescribeConfigsRequest::Item& item = *request.add_resources();
  SetResource(args, *item.mutable_resource());
  item.mutable_names()->Assign(args.names.begin(), args.names.end());
  request.set_include_synonyms(args.synonyms);
  request.set_include_documentation(args.documentation);
  if (args.on_broker.has_value()) {
    request.set_broker_id(*args.on_broker);
  }
  const Result<v1::DescribeConfigsResponse> answer =
      context.client->DescribeConfigs(std::move(request));
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  const v1::DescribeConfigsResponse::Result& result = answer->results(0);
  if (context.json()) {
    context.PrintJson(*answer);
  }
  if (result.status().code() != 0) {
    return context.Fail(ItemError(result.status()));
  }
  if (context.json()) {
    return ExitCode::kOk;
  }
  const bool is_all = args.all || !args.names.empty();
  Table table({"NAME", "VALUE", "SOURCE", args.documentation ? "DOCUMENTATION" : ""});
  for (const v1::ConfigEntry& entry : result.configs()) {
    if (!is_all && entry.source() == v1::CONFIG_SOURCE_STATIC_DEFAULT) {
      continue;
    }
    table.Add({entry.name(), ValueText(entry.value()),
               EnumText(v1::ConfigSource_Name(entry.source())), entry.documentation()});
    for (const v1::ConfigSynonym& synonym : entry.synonyms()) {
      table.Add({"  " + synonym.name(), ValueText(synonym.value()),
                 EnumText(v1::ConfigSource_Name(synonym.source())), ""});
    }
  }
  table.Print(context.out);
  return ExitCode::kOk;
}

using Args = std::shared_ptr<ConfigArgs>;

void AddResource(CLI::App& command, const Args& args) {
  CLI::Option_group* resource = command.add_option_group("resource");
  resource->add_option("--topic", args->topic, "A topic's name");
  resource->add_option("--broker", args->broker, "A broker's id");
  resource->add_flag("--broker-default", args->broker_default, "The default of all brokers");
  resource->add_option("--client-metrics", args->client_metrics, "A subscription's name");
  resource->add_option("--group", args->group, "A group's name");
  resource->require_option(1);
}

void AddValidateOnly(CLI::App& command, const Args& args) {
  command.add_flag("--validate-only", args->validate_only, "Check, and change nothing");
}

}  // namespace

void AddConfigCommands(CLI::App& app, CommandContext& context) {
  CLI::App* config = app.add_subcommand("config", "Configs of topics, brokers and groups");
  config->require_subcommand(1);
  const auto args = std::make_shared<ConfigArgs>();
  const CLI::Validator is_pair(ValidatePair, "");

  CLI::App* get = AddVerb(*config, context, "get", "Show what is in effect and why", Get, args);
  AddResource(*get, args);
  get->add_option("KEYS", args->names, "Only these; default: what is set");
  get->add_flag("--all", args->all, "Static defaults, too");
  get->add_flag("--synonyms", args->synonyms, "Everything that a value falls back to");
  get->add_flag("--documentation", args->documentation, "What each config means");
  get->add_option("--on-broker", args->on_broker, "Whose configs a topic falls back to");

  CLI::App* set = AddVerb(*config, context, "set", "Set configs", Alter, args);
  AddResource(*set, args);
  set->add_option("PAIRS", args->set, "KEY=VALUE")->check(is_pair);
  set->add_option("--append", args->append, "Add items to a list: KEY=ITEM,ITEM")->check(is_pair);
  set->add_option("--subtract", args->subtract, "Remove items: KEY=ITEM,ITEM")->check(is_pair);
  AddValidateOnly(*set, args);

  CLI::App* unset = AddVerb(*config, context, "unset", "Back to the default", Alter, args);
  AddResource(*unset, args);
  unset->add_option("KEYS", args->names)->required();
  AddValidateOnly(*unset, args);
}

}  // namespace kvorum::client::cli
