#include "client/cli/cli.h"

#include <fmt/core.h>

#include <charconv>
#include <map>
#include <string_view>
#include <utility>

namespace kvorum::client::cli {
namespace {

using std::chrono::milliseconds;

constexpr char kFooter[] =
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict or precondition, 5 unavailable "
    "or "
    "no leader,\n6 timed out or outcome unknown, 7 unhealthy.";

void AddGlobalOptions(CLI::App& app, CommandContext& context) {
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(kFooter);
  app.add_option("--endpoints", context.endpoints_text, "Controllers, host:port,host:port")
      ->envname("KVORUM_ENDPOINTS")
      ->capture_default_str();
  const std::map<std::string, OutputFormat> formats{{"table", OutputFormat::kTable},
                                                    {"json", OutputFormat::kJson}};
  app.add_option("--output,-o", context.format, "table or json")
      ->transform(CLI::CheckedTransformer(formats).description(""))
      ->envname("KVORUM_OUTPUT");
  app.add_option("--timeout", context.timeout_text,
                 "Of the whole command, with a unit: 500ms, 10s, 2m")
      ->envname("KVORUM_TIMEOUT")
      ->capture_default_str();
}

void AddVersionCommand(CLI::App& app, CommandContext& context) {
  CLI::App* version = app.add_subcommand("version", "Print the version of kvorumctl");
  version->callback([&context] {
    context.action = [&context] {
      context.out << (context.json()
                          ? fmt::format("{{\"version\": {}}}\n", JsonString(KVORUM_VERSION))
                          : fmt::format("kvorumctl {}\n", KVORUM_VERSION));
      return ExitCode::kOk;
    };
  });
}

ExitCode UsageError(std::ostream& err, const std::string& message) {
  err << "error: " << message << "\n";
  return ExitCode::kUsage;
}

ExitCode RunAction(CommandContext& context) {
  context.timeout = ParseDuration(context.timeout_text);
  if (context.timeout == milliseconds(0)) {
    return UsageError(context.err,
                      fmt::format("--timeout {}: say a number with its unit, 1ms to 1h, for "
                                  "example 500ms or 10s",
                                  context.timeout_text));
  }
  const Result<std::vector<std::string>> endpoints = ParseEndpoints(context.endpoints_text);
  if (!endpoints.ok()) {
    return UsageError(context.err, "--endpoints: " + endpoints.error().message);
  }
  context.endpoints = std::make_shared<Endpoints>(*endpoints);
  ControllerClientOptions options;
  options.timeout = context.timeout;
  context.client = std::make_unique<ControllerClient>(context.endpoints, std::move(options));
  return context.action();
}

}  // namespace

ExitCode CommandContext::Fail(const CallError& error) const {
  PrintError(err, error);
  return ExitCodeFor(error);
}

ExitCode CommandContext::PrintJson(const google::protobuf::Message& message) const {
  out << ToJson(message, /*on_one_line=*/false);
  return ExitCode::kOk;
}

milliseconds ParseDuration(const std::string& text) {
  constexpr milliseconds kMax = std::chrono::hours(1);
  int64_t count = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, count);
  const std::string_view unit(end, static_cast<size_t>(last - end));
  if (error != std::errc() || count < 1 || count > kMax.count()) {
    return milliseconds(0);
  }
  int64_t factor = 0;
  if (unit == "ms") {
    factor = 1;
  } else if (unit == "s") {
    factor = 1000;
  } else if (unit == "m") {
    factor = 60'000;
  }
  const milliseconds duration(count * factor);
  return duration <= kMax ? duration : milliseconds(0);
}

ExitCode RunCli(const std::vector<std::string>& args, std::ostream& out, std::ostream& err) {
  CommandContext context{out, err};
  CLI::App app("Talks to a Kvorum metadata quorum.", "kvorumctl");
  AddGlobalOptions(app, context);
  AddStatusCommand(app, context);
  AddQuorumCommands(app, context);
  AddClusterCommands(app, context);
  AddSnapshotCommands(app, context);
  AddBrokerCommands(app, context);
  AddTopicCommands(app, context);
  AddEntryCommands(app, context);
  AddWatchCommand(app, context);
  AddVersionCommand(app, context);
  // CLI11 takes a vector from its end.
  std::vector<std::string> reversed(args.rbegin(), args.rend());
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    return app.exit(error, out, err) == 0 ? ExitCode::kOk : ExitCode::kUsage;
  }
  return RunAction(context);
}

}  // namespace kvorum::client::cli
