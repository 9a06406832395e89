#include <fmt/core.h>

#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/cli.h"
#include "client/cli/scram.h"
#include "client/record_text.h"

namespace kvorum::client::cli {
namespace {

struct CredentialArgs {
  std::string user;
  std::vector<std::string> users;
  v1::ScramMechanism mechanism = v1::SCRAM_MECHANISM_SHA_256;
  int32_t iterations = 4'096;
  std::string password_file;
  int limit = kDefaultListLimit;
};

// The first line of the file ("-": standard input): never an argument, which others can see.
std::optional<std::string> ReadPassword(const std::string& path) {
  std::string password;
  if (path == "-") {
    return std::getline(std::cin, password) ? std::optional(password) : std::nullopt;
  }
  std::ifstream file(path);
  return std::getline(file, password) ? std::optional(password) : std::nullopt;
}

ExitCode PrintAltered(const CommandContext& context, const std::string& what,
                      const Result<v1::AlterUserScramCredentialsResponse>& answer) {
  return Finish(context, answer, [&](const v1::AlterUserScramCredentialsResponse::Result& result) {
    return fmt::format("{} credential of {}", what, result.user());
  });
}

ExitCode Set(const CommandContext& context, const CredentialArgs& args) {
  const std::optional<std::string> password = ReadPassword(args.password_file);
  const std::string salt = DrawSalt();
  if (!password.has_value() || password->empty() || salt.empty()) {
    context.err << fmt::format("error: no password in the first line of {}, or no randomness\n",
                               args.password_file);
    return ExitCode::kUsage;
  }
  v1::AlterUserScramCredentialsRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  v1::AlterUserScramCredentialsRequest::Upsertion& upsertion = *request.add_upsertions();
  upsertion.set_user(args.user);
  upsertion.set_mechanism(args.mechanism);
  upsertion.set_iterations(args.iterations);
  upsertion.set_salt(salt);
  ScramKeys keys = DeriveScramKeys(args.mechanism, *password, salt, args.iterations);
  upsertion.set_stored_key(std::move(keys.stored_key));
  upsertion.set_server_key(std::move(keys.server_key));
  return PrintAltered(context, "set",
                      context.client->AlterUserScramCredentials(std::move(request)));
}

ExitCode Delete(const CommandContext& context, const CredentialArgs& args) {
  v1::AlterUserScramCredentialsRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  request.add_deletions()->set_user(args.user);
  request.mutable_deletions(0)->set_mechanism(args.mechanism);
  return PrintAltered(context, "deleted",
                      context.client->AlterUserScramCredentials(std::move(request)));
}

ExitCode List(const CommandContext& context, const CredentialArgs& args) {
  using Response = v1::DescribeUserScramCredentialsResponse;
  const Result<Response> answer = CollectPages<Response>(
      args.limit,
      [&](const v1::PageRequest& page) {
        v1::DescribeUserScramCredentialsRequest request;
        request.mutable_users()->Assign(args.users.begin(), args.users.end());
        *request.mutable_page() = page;
        return context.client->DescribeUserScramCredentials(std::move(request));
      },
      [](Response& all, const Response& page) {
        all.mutable_results()->MergeFrom(page.results());
        return all.results_size();
      });
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    context.PrintJson(*answer);
  }
  ExitCode exit_code = ExitCode::kOk;
  Table table({"USER", "MECHANISM", ">ITERATIONS"});
  for (const Response::Result& result : answer->results()) {
    if (result.status().code() != 0) {
      exit_code = context.Fail(ItemError(result.status()));
    }
    for (const Response::Credential& credential : result.credentials()) {
      table.Add({result.user(), EnumText(v1::ScramMechanism_Name(credential.mechanism())),
                 CountText(credential.iterations())});
    }
  }
  if (!context.json()) {
    table.Print(context.out);
  }
  return exit_code;
}

using Args = std::shared_ptr<CredentialArgs>;

void AddMechanism(CLI::App& command, const Args& args) {
  const std::map<std::string, v1::ScramMechanism> mechanisms{
      {"SHA-256", v1::SCRAM_MECHANISM_SHA_256}, {"SHA-512", v1::SCRAM_MECHANISM_SHA_512}};
  command.add_option("--mechanism", args->mechanism, "SHA-256 (default) or SHA-512")
      ->transform(CLI::CheckedTransformer(mechanisms, CLI::ignore_case).description(""));
}

}  // namespace

void AddCredentialCommands(CLI::App& app, CommandContext& context) {
  CLI::App* credential = app.add_subcommand("credential", "SCRAM credentials of users");
  credential->require_subcommand(1);
  const auto args = std::make_shared<CredentialArgs>();

  CLI::App* set = AddVerb(*credential, context, "set", "Set a user's credential", Set, args);
  set->add_option("USER", args->user)->required();
  set->add_option("--password-file", args->password_file, "Its first line; - is stdin")->required();
  AddMechanism(*set, args);
  set->add_option("--iterations", args->iterations, "4096 to 16384")->capture_default_str();

  CLI::App* remove = AddVerb(*credential, context, "delete", "Delete a credential", Delete, args);
  remove->add_option("USER", args->user)->required();
  AddMechanism(*remove, args);

  CLI::App* list = AddVerb(*credential, context, "list", "List mechanisms of users", List, args);
  list->add_option("USERS", args->users, "Only these");
  list->add_option("--limit", args->limit, "Users at most")
      ->check(CLI::Range(1, kMaxListLimit))
      ->capture_default_str();
}

}  // namespace kvorum::client::cli
