#include <fmt/core.h>

#include <string>

#include "client/cli/cli.h"

namespace kvorum::client::cli {
namespace {

// Each controller has snapshots of its own: all that were named are asked, and the first failure is
// the command's, after the others have been asked too.
ExitCode Make(const CommandContext& context) {
  Table table({"CONTROLLER", ">NODE", ">END", ">BYTES", "STATE-HASH"});
  ExitCode exit_code = ExitCode::kOk;
  for (const std::string& endpoint : context.endpoints->configured()) {
    const Result<v1::TriggerSnapshotResponse> made =
        context.client->TriggerSnapshot({}, {std::nullopt, endpoint});
    if (!made.ok()) {
      const ExitCode failed = context.Fail(made.error());
      exit_code = exit_code == ExitCode::kOk ? failed : exit_code;
    } else if (context.json()) {
      context.out << ToJson(*made, /*on_one_line=*/true);
    } else {
      table.Add({endpoint, fmt::format("{}", made->header().node_id()),
                 fmt::format("{}", made->end().offset()), fmt::format("{}", made->size_bytes()),
                 made->state_hash()});
    }
  }
  if (!context.json()) {
    table.Print(context.out);
  }
  return exit_code;
}

}  // namespace

void AddSnapshotCommands(CLI::App& app, CommandContext& context) {
  CLI::App* snapshot = app.add_subcommand("snapshot", "Snapshots of the controllers' state");
  snapshot->require_subcommand(1);
  CLI::App* make = snapshot->add_subcommand(
      "make", "Make one now on every controller of --endpoints; the log before it may then go");
  make->callback([&context] { context.action = [&context] { return Make(context); }; });
}

}  // namespace kvorum::client::cli
