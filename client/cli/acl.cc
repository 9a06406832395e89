#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "client/cli/cli.h"
#include "client/record_text.h"

namespace kvorum::client::cli {
namespace {

struct AclArgs {
  v1::AclResourceType resource_type = v1::ACL_RESOURCE_TYPE_ANY;
  std::optional<std::string> resource_name;
  v1::AclPatternType pattern_type = v1::ACL_PATTERN_TYPE_ANY;
  std::optional<std::string> principal;
  std::optional<std::string> host;
  v1::AclOperation operation = v1::ACL_OPERATION_ANY;
  v1::AclPermission permission = v1::ACL_PERMISSION_ANY;
  bool is_denied = false;
  bool is_sure = false;
  int limit = kDefaultListLimit;
};

// "topic" → ACL_RESOURCE_TYPE_TOPIC and so on, from the enum's own names.
template <typename Enum>
std::map<std::string, Enum> ValuesByName(const google::protobuf::EnumDescriptor& descriptor,
                                         int first) {
  std::map<std::string, Enum> values;
  for (int i = 0; i < descriptor.value_count(); ++i) {
    const auto& value = *descriptor.value(i);
    if (value.number() >= first) {
      std::string name = EnumText(value.name());
      std::transform(name.begin(), name.end(), name.begin(),
                     [](char c) { return c == '_' ? '-' : static_cast<char>(std::tolower(c)); });
      values[name] = static_cast<Enum>(value.number());
    }
  }
  return values;
}

v1::AclFilter ToFilter(const AclArgs& args) {
  v1::AclFilter filter;
  filter.set_resource_type(args.resource_type);
  filter.set_pattern_type(args.pattern_type);
  filter.set_operation(args.operation);
  filter.set_permission(args.permission);
  if (args.resource_name.has_value()) {
    filter.set_resource_name(*args.resource_name);
  }
  if (args.principal.has_value()) {
    filter.set_principal(*args.principal);
  }
  if (args.host.has_value()) {
    filter.set_host(*args.host);
  }
  return filter;
}

ExitCode Create(const CommandContext& context, const AclArgs& args) {
  v1::CreateAclsRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  v1::AclBinding& binding = *request.add_acls();
  binding.set_resource_type(args.resource_type);
  binding.set_resource_name(args.resource_name.value_or(""));
  binding.set_pattern_type(args.pattern_type == v1::ACL_PATTERN_TYPE_ANY
                               ? v1::ACL_PATTERN_TYPE_LITERAL
                               : args.pattern_type);
  binding.set_principal(args.principal.value_or(""));
  binding.set_host(args.host.value_or("*"));
  binding.set_operation(args.operation);
  binding.set_permission(args.is_denied ? v1::ACL_PERMISSION_DENY : v1::ACL_PERMISSION_ALLOW);
  const std::string text = AclText(binding);
  return Finish(context, context.client->CreateAcls(std::move(request)),
                [&](const v1::CreateAclsResponse::Result& result) {
                  return fmt::format("created {} {}", result.id(), text);
                });
}

ExitCode Delete(const CommandContext& context, const AclArgs& args) {
  if (!args.is_sure) {
    context.err << "error: this deletes all that match; look with 'acl list', then say --yes\n";
    return ExitCode::kUsage;
  }
  v1::DeleteAclsRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  *request.add_filters() = ToFilter(args);
  return Finish(context, context.client->DeleteAcls(std::move(request)),
                [](const v1::DeleteAclsResponse::Result& result) {
                  return fmt::format("deleted {} entries", result.ids_size());
                });
}

ExitCode List(const CommandContext& context, const AclArgs& args) {
  using Response = v1::DescribeAclsResponse;
  const Result<Response> answer = CollectPages<Response>(
      args.limit,
      [&](const v1::PageRequest& page) {
        v1::DescribeAclsRequest request;
        *request.mutable_filter() = ToFilter(args);
        *request.mutable_page() = page;
        return context.client->DescribeAcls(std::move(request));
      },
      [](Response& all, const Response& page) {
        all.mutable_acls()->MergeFrom(page.acls());
        return all.acls_size();
      });
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  Table table(
      {"ID", "PERMISSION", "PRINCIPAL", "HOST", "OPERATION", "RESOURCE", "PATTERN", "NAME"});
  for (const v1::Acl& acl : answer->acls()) {
    const v1::AclBinding& binding = acl.binding();
    table.Add({acl.id(), EnumText(v1::AclPermission_Name(binding.permission())),
               binding.principal(), binding.host(),
               EnumText(v1::AclOperation_Name(binding.operation())),
               EnumText(v1::AclResourceType_Name(binding.resource_type())),
               EnumText(v1::AclPatternType_Name(binding.pattern_type())), binding.resource_name()});
  }
  table.Print(context.out);
  return ExitCode::kOk;
}

using Args = std::shared_ptr<AclArgs>;

template <typename Enum>
CLI::Option* AddEnum(CLI::App& command, const std::string& name, Enum& value,
                     const std::map<std::string, Enum>& values) {
  return command.add_option(name, value)
      ->transform(CLI::CheckedTransformer(values, CLI::ignore_case));
}

// The options that bindings and filters share; `first`: 1 with ANY, 2 without.
void AddBinding(CLI::App& command, const Args& args, int first) {
  const bool is_filter = first == v1::ACL_RESOURCE_TYPE_ANY;
  CLI::Option* type =
      AddEnum(command, "--resource-type", args->resource_type,
              ValuesByName<v1::AclResourceType>(*v1::AclResourceType_descriptor(), first));
  CLI::Option* name = command.add_option("--name", args->resource_name, "The resource's name");
  const int first_pattern = is_filter ? first : int{v1::ACL_PATTERN_TYPE_LITERAL};
  AddEnum(command, "--pattern", args->pattern_type,
          ValuesByName<v1::AclPatternType>(*v1::AclPatternType_descriptor(), first_pattern));
  CLI::Option* principal =
      command.add_option("--principal", args->principal, "Type:name, as User:alice");
  command.add_option("--host", args->host, "An address, * for any");
  CLI::Option* operation =
      AddEnum(command, "--operation", args->operation,
              ValuesByName<v1::AclOperation>(*v1::AclOperation_descriptor(), first));
  if (is_filter) {
    AddEnum(command, "--permission", args->permission,
            ValuesByName<v1::AclPermission>(*v1::AclPermission_descriptor(), first));
    return;
  }
  for (CLI::Option* option : {type, name, principal, operation}) {
    option->required();
  }
}

}  // namespace

void AddAclCommands(CLI::App& app, CommandContext& context) {
  CLI::App* acl = app.add_subcommand("acl", "Who may do what");
  acl->require_subcommand(1);
  const auto args = std::make_shared<AclArgs>();

  CLI::App* create = AddVerb(*acl, context, "create", "Allow or deny something", Create, args);
  AddBinding(*create, args, v1::ACL_RESOURCE_TYPE_TOPIC);
  create->add_flag("--deny", args->is_denied, "Deny; default: allow");

  CLI::App* list = AddVerb(*acl, context, "list", "List entries", List, args);
  AddBinding(*list, args, v1::ACL_RESOURCE_TYPE_ANY);
  list->add_option("--limit", args->limit, "Items at most")
      ->check(CLI::Range(1, kMaxListLimit))
      ->capture_default_str();

  CLI::App* remove = AddVerb(*acl, context, "delete", "Delete all that match", Delete, args);
  AddBinding(*remove, args, v1::ACL_RESOURCE_TYPE_ANY);
  remove->add_flag("--yes", args->is_sure, "Without it nothing is deleted");
}

}  // namespace kvorum::client::cli
