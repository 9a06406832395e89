#include "client/cli/cli.h"

#include <fmt/core.h>

#include <charconv>
#include <map>
#include <string_view>
#include <utility>

namespace kvorum::client::cli {
namespace {

using std::chrono::milliseconds;

// The longest wait that a controller accepts.
constexpr int64_t kMaxWaitSeconds = 300;

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
  const std::map<std::string, bool> waits{{"committed", false}, {"applied", true}};
  app.add_option("--wait", context.waits_for_brokers,
                 "Of a write: until it is committed, or applied by every broker that serves")
      ->transform(CLI::CheckedTransformer(waits).description(""))
      ->envname("KVORUM_WAIT")
      ->default_str("committed");
  app.add_option("--reason", context.reason, "Of a write: why, kept in the log")
      ->envname("KVORUM_REASON");
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

v1::WriteOptions CommandContext::MakeWriteOptions() const {
  v1::WriteOptions options;
  options.set_reason(reason);
  if (waits_for_brokers) {
    options.set_wait(v1::WAIT_APPLIED_BY_ALL);
    // The call's own deadline ends the wait in time to hear of it.
    options.mutable_wait_timeout()->set_seconds(kMaxWaitSeconds);
  }
  return options;
}

ExitCode CommandContext::ReportPropagation(const v1::ResponseHeader& header) const {
  if (!header.has_propagation()) {
    return ExitCode::kOk;
  }
  using Status = v1::Propagation::BrokerStatus;
  const v1::Propagation& propagation = header.propagation();
  const int64_t end = propagation.position().offset();
  int applied = 0;
  for (const Status& broker : propagation.brokers()) {
    switch (broker.state()) {
      case Status::STATE_APPLIED:
        ++applied;
        break;
      case Status::STATE_PENDING:
        err << fmt::format("broker {} has not applied it yet: is at {} of {}\n", broker.broker_id(),
                           CountText(broker.applied_offset()), end);
        break;
      case Status::STATE_REJECTED:
        err << fmt::format("broker {} rejects it: {}\n", broker.broker_id(), broker.message());
        break;
      default:
        err << fmt::format("broker {} is fenced and was not waited for\n", broker.broker_id());
    }
  }
  const bool is_reached = propagation.outcome() == v1::Propagation::OUTCOME_APPLIED;
  if (!json()) {
    out << fmt::format("committed at {}, applied by {} of {} brokers\n", end, applied,
                       propagation.brokers_size());
  }
  if (is_reached) {
    return ExitCode::kOk;
  }
  err << "it is committed, whatever the brokers do; see `kvorumctl broker lag`\n";
  return propagation.outcome() == v1::Propagation::OUTCOME_NOT_REACHABLE ? ExitCode::kFailed
                                                                         : ExitCode::kTimedOut;
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

std::pair<std::string, std::string> SplitPair(const std::string& text) {
  const size_t at = std::min(text.find('='), text.size());
  return {text.substr(0, at), text.substr(std::min(at + 1, text.size()))};
}

std::string ValidatePair(const std::string& text) {
  const size_t at = text.find('=');
  return at != std::string::npos && at > 0 ? std::string()
                                           : fmt::format("{} is not KEY=VALUE", text);
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
  AddPartitionCommands(app, context);
  AddEntryCommands(app, context);
  AddConfigCommands(app, context);
  AddQuotaCommands(app, context);
  AddAclCommands(app, context);
  AddCredentialCommands(app, context);
  AddFeatureCommands(app, context);
  AddProducerIdCommands(app, context);
  AddCommitCommand(app, context);
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
