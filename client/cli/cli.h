#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
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

  bool json() const { return format == OutputFormat::kJson; }
  // Prints the error and returns the exit code for it.
  ExitCode Fail(const CallError& error) const;
  // Prints `message` as JSON and returns kOk.
  ExitCode PrintJson(const google::protobuf::Message& message) const;
};

// Each noun adds its verbs; see the file of its name.
void AddStatusCommand(CLI::App& app, CommandContext& context);
void AddQuorumCommands(CLI::App& app, CommandContext& context);
void AddBrokerCommands(CLI::App& app, CommandContext& context);
void AddTopicCommands(CLI::App& app, CommandContext& context);
void AddEntryCommands(CLI::App& app, CommandContext& context);
void AddWatchCommand(CLI::App& app, CommandContext& context);

// The whole of kvorumctl, without the process around it. `args` without the program's name.
ExitCode RunCli(const std::vector<std::string>& args, std::ostream& out, std::ostream& err);

// "500ms", "10s", "2m"; zero: malformed, or not within 1 ms to 1 h.
std::chrono::milliseconds ParseDuration(const std::string& text);

// Asks for page after page until there are no more or `limit` items are there. `call` gets a page
// token; `merge` adds a page's items into the response it is given and returns how many that has.
template <typename Response, typename Call, typename Merge>
Result<Response> CollectPages(int limit, const Call& call, const Merge& merge) {
  Response all;
  std::string token;
  while (true) {
    const Result<Response> page = call(token);
    if (!page.ok()) {
      return page;
    }
    token = page->page().next_page_token();
    const int count = merge(all, page.value());
    if (token.empty() || count >= limit) {
      return all;
    }
  }
}

// Items a list command shows unless told otherwise.
inline constexpr int kDefaultListLimit = 10'000;
inline constexpr int kMaxListLimit = 1'000'000;

}  // namespace kvorum::client::cli
