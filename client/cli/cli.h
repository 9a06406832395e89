#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/output.h"
#include "client/controller_client.h"

namespace kvorum::client::cli {

// What every command works with. Owned by RunCli; one thread.
struct CommandContext {
  std::ostream& out;
  std::ostream& err;
  std::string endpoints_text = "localhost:7400";
  std::string timeout_text = "10s";
  OutputFormat format = OutputFormat::kTable;

  // Set once the command line is understood.
  std::chrono::milliseconds timeout{0};
  std::shared_ptr<Endpoints> endpoints;
  std::unique_ptr<ControllerClient> client;
  // What the chosen subcommand does.
  std::function<ExitCode()> action;

  bool waits_for_brokers = false;  // --wait applied
  std::string reason;              // --reason, of a write

  // What every mutation is sent with.
  v1::WriteOptions MakeWriteOptions() const;
  // How far the brokers are, for people; the exit code of a mutation that was carried out.
  ExitCode ReportPropagation(const v1::ResponseHeader& header) const;

  bool json() const { return format == OutputFormat::kJson; }
  // Prints the error and returns the exit code for it.
  ExitCode Fail(const CallError& error) const;
  // Prints `message` as JSON and returns kOk.
  ExitCode PrintJson(const google::protobuf::Message& message) const;
};

// Each noun adds its verbs; see the file of its name.
void AddStatusCommand(CLI::App& app, CommandContext& context);
void AddQuorumCommands(CLI::App& app, CommandContext& context);
void AddClusterCommands(CLI::App& app, CommandContext& context);
// Verbs of `quorum` that change it.
void AddQuorumChangeCommands(CLI::App& quorum, CommandContext& context);
// The leader's answer where it can be had: only it knows the replicas' progress.
Result<v1::DescribeQuorumResponse> DescribeLeader(const CommandContext& context);
void AddSnapshotCommands(CLI::App& app, CommandContext& context);
void AddBrokerCommands(CLI::App& app, CommandContext& context);
void AddTopicCommands(CLI::App& app, CommandContext& context);
void AddPartitionCommands(CLI::App& app, CommandContext& context);
void AddEntryCommands(CLI::App& app, CommandContext& context);
void AddConfigCommands(CLI::App& app, CommandContext& context);
void AddQuotaCommands(CLI::App& app, CommandContext& context);
void AddAclCommands(CLI::App& app, CommandContext& context);
void AddCredentialCommands(CLI::App& app, CommandContext& context);
void AddFeatureCommands(CLI::App& app, CommandContext& context);
void AddProducerIdCommands(CLI::App& app, CommandContext& context);
void AddCommitCommand(CLI::App& app, CommandContext& context);
void AddWatchCommand(CLI::App& app, CommandContext& context);

// The whole of kvorumctl, without the process around it. `args` without the program's name.
ExitCode RunCli(const std::vector<std::string>& args, std::ostream& out, std::ostream& err);

// "500ms", "10s", "2m"; zero: malformed, or not within 1 ms to 1 h.
std::chrono::milliseconds ParseDuration(const std::string& text);

// One attempt of CollectPages.
template <typename Response, typename Call, typename Merge>
Result<Response> CollectPagesOnce(int limit, const Call& call, const Merge& merge) {
  constexpr int kPageSize = 1000;
  Response all;
  v1::PageRequest next;
  int count = 0;
  do {
    next.set_page_size(std::min(kPageSize, limit - count));
    const Result<Response> page = call(next);
    if (!page.ok()) {
      return page;
    }
    next.set_page_token(page->page().next_page_token());
    *all.mutable_header() = page->header();
    count = merge(all, page.value());
  } while (!next.page_token().empty() && count < limit);
  all.mutable_page()->set_next_page_token(next.page_token());
  return all;
}

// Asks for page after page until there are no more or `limit` items are there; then the response
// carries the token of the next page. `call` gets a page request; `merge` adds a page's items to
// the response it is given and returns how many that has. All pages are of one state of the
// metadata: where a node no longer has it, as after a change of the leader, the list is begun anew,
// a few times.
template <typename Response, typename Call, typename Merge>
Result<Response> CollectPages(int limit, const Call& call, const Merge& merge) {
  constexpr int kAttempts = 3;
  Result<Response> all = CollectPagesOnce<Response>(limit, call, merge);
  for (int attempt = 1;
       attempt < kAttempts && !all.ok() && all.error().reason == v1::PAGE_TOKEN_EXPIRED;
       ++attempt) {
    all = CollectPagesOnce<Response>(limit, call, merge);
  }
  return all;
}

// Prints a batch's answer and finds the first failed item, whose code becomes the command's.
template <typename Response, typename Describe>
ExitCode Finish(const CommandContext& context, const Result<Response>& answer,
                const Describe& describe) {
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    context.PrintJson(*answer);
  }
  ExitCode exit_code = ExitCode::kOk;
  for (const auto& result : answer->results()) {
    if (result.status().code() != 0) {
      const ExitCode code = context.Fail(ItemError(result.status()));
      exit_code = exit_code == ExitCode::kOk ? code : exit_code;
    } else if (!context.json()) {
      context.out << describe(result) << "\n";
    }
  }
  const ExitCode propagated = context.ReportPropagation(answer->header());
  return exit_code == ExitCode::kOk ? propagated : exit_code;
}

// "a=b=c" → a and b=c.
std::pair<std::string, std::string> SplitPair(const std::string& text);
// For CLI11, which reports what it returns: a key, '=' and anything.
std::string ValidatePair(const std::string& text);

// Adds `name` to a noun: what it does is `run`, with the arguments its options fill.
template <typename Args>
CLI::App* AddVerb(CLI::App& noun, CommandContext& context, const std::string& name,
                  const std::string& help, ExitCode (*run)(const CommandContext&, const Args&),
                  const std::shared_ptr<Args>& args) {
  CLI::App* command = noun.add_subcommand(name, help);
  command->callback([&context, args, run] {
    context.action = [&context, args, run] { return run(context, *args); };
  });
  return command;
}

// Items a list command shows unless told otherwise.
inline constexpr int kDefaultListLimit = 10'000;
inline constexpr int kMaxListLimit = 1'000'000;

}  // namespace kvorum::client::cli
