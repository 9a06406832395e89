#include "server/cmd/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>

#include "server/base/status_macros.h"
#include "server/cmd/dump_log.h"
#include "server/cmd/exit_codes.h"
#include "server/cmd/format.h"
#include "server/cmd/recover.h"
#include "server/cmd/run.h"
#include "server/cmd/verify.h"
#include "server/config/config_loader.h"
#include "server/config/settings.h"

namespace kvorum {
namespace {

int UsageError(const std::string& message) {
  fmt::print(stderr, "kvorumd: {}\n", message);
  return kExitUsage;
}

// A command that takes the whole configuration.
void AddConfigured(CLI::App& app, const std::string& name, const std::string& help,
                   ConfigFlags& flags, int& exit_code,
                   std::function<int(const LoadedConfig&)> run) {
  CLI::App* command = app.add_subcommand(name, help);
  flags.AddTo(*command);
  command->callback([&flags, &exit_code, run = std::move(run)] {
    const absl::StatusOr<LoadedConfig> loaded = flags.Load();
    exit_code = loaded.ok() ? run(*loaded) : UsageError(std::string(loaded.status().message()));
  });
}

int PrintConfig(const LoadedConfig& loaded) {
  for (const std::string& warning : loaded.warnings) {
    fmt::print(stderr, "kvorumd: {}\n", warning);
  }
  fmt::print("{}", DescribeConfig(loaded));
  return kExitOk;
}

struct FormatFlags {
  std::string data_dir;
  std::string cluster_id;
  int32_t node_id = -1;
  std::string initial_voters;
  std::string generation;
  bool no_initial_voters = false;
  std::string directory_id;
};

absl::StatusOr<FormatRequest> MakeFormatRequest(const FormatFlags& flags) {
  FormatRequest request{.data_dir = flags.data_dir,
                        .cluster_id = flags.cluster_id,
                        .node_id = flags.node_id,
                        .initial_voters = {},
                        .generation = std::nullopt,
                        .directory_id = flags.directory_id};
  KVORUM_ASSIGN_OR_RETURN(request.generation, ParseGeneration(flags.generation));
  if (!flags.no_initial_voters) {
    KVORUM_ASSIGN_OR_RETURN(request.initial_voters, ParseInitialVoters(flags.initial_voters));
  }
  return request;
}

int RunFormat(const FormatFlags& flags) {
  const absl::StatusOr<FormatRequest> request = MakeFormatRequest(flags);
  if (!request.ok()) {
    return UsageError(std::string(request.status().message()));
  }
  const absl::StatusOr<MetaProperties> properties = Format(*request);
  if (!properties.ok()) {
    fmt::print(stderr, "kvorumd: {}\n", std::string(properties.status().message()));
    return properties.status().code() == absl::StatusCode::kInvalidArgument ? kExitUsage
                                                                            : kExitBadDirectory;
  }
  fmt::print("formatted {} for node {} of cluster {} (generation {:016x}, directory {})\n",
             flags.data_dir, properties->node_id, properties->cluster_id, properties->generation,
             properties->directory_id);
  return kExitOk;
}

void AddFormat(CLI::App& app, FormatFlags& flags, int& exit_code) {
  CLI::App* command = app.add_subcommand("format", "Prepare a data directory; once per node");
  command->add_option("--data-dir", flags.data_dir, "Directory to prepare")->required();
  command->add_option("--cluster-id", flags.cluster_id, "Name of the cluster: [A-Za-z0-9_-]{1,64}")
      ->required();
  command->add_option("--node-id", flags.node_id, "Id of this node, from 0")->required();
  CLI::Option* voters = command->add_option(
      "--initial-voters", flags.initial_voters,
      "<node id>@<host>:<controller port>:<directory id>,… the same list on every node of a new "
      "quorum; `kvorumd random-id` draws a directory id");
  CLI::Option* generation =
      command->add_option("--generation", flags.generation,
                          "Of a cluster that was recovered, or that the node joins: 16 hexadecimal "
                          "digits, as `kvorumd recover apply`, `kvorumctl status` and `kvorumctl "
                          "quorum describe` print it");
  CLI::Option* none =
      command
          ->add_flag("--no-initial-voters", flags.no_initial_voters,
                     "For a node that joins a quorum: it begins as an observer; then see "
                     "`kvorumctl quorum add-voter`")
          ->excludes(voters)
          ->needs(generation);
  command
      ->add_option("--directory-id", flags.directory_id,
                   "Of the node that joins; else one is drawn")
      ->needs(none);
  command->callback([&flags, &exit_code] { exit_code = RunFormat(flags); });
}

// --output text|json
void AddOutput(CLI::App& command, bool& json) {
  command
      .add_option_function<std::string>(
          "--output", [&json](const std::string& format) { json = format == "json"; },
          "text, or json: one object per line, of protos/kvorum/v1/offline.proto [text]")
      ->check(CLI::IsMember({"text", "json"}));
}

void AddDumps(CLI::App& app, DumpOptions& options, int& exit_code) {
  CLI::App* log = app.add_subcommand("dump-log", "Print the log of a stopped node");
  log->add_flag("--batches-only", options.without_records, "Leave the records out");
  log->callback([&options, &exit_code] { exit_code = DumpLog(options); });
  CLI::App* snapshot =
      app.add_subcommand("dump-snapshot", "Print a snapshot of a stopped node, the newest");
  snapshot->add_option("--end", options.snapshot_end, "The one that ends at this offset");
  snapshot->add_flag("--summary", options.without_records, "Leave the records out");
  snapshot->callback([&options, &exit_code] { exit_code = DumpSnapshot(options); });
  for (CLI::App* command : {log, snapshot}) {
    command->add_option("--data-dir", options.data_dir, "Directory of the node, or a copy of it")
        ->required();
    AddOutput(*command, options.json);
  }
}

void AddVerify(CLI::App& app, VerifyOptions& options, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "verify", "Check everything that a stopped node has on disk, without changing it");
  command->add_option("--data-dir", options.data_dir, "Directory of the node, or a copy of it")
      ->required();
  AddOutput(*command, options.json);
  command->callback([&options, &exit_code] { exit_code = Verify(options); });
}

struct RecoverFlags {
  RecoverInspectOptions inspect;
  RecoverApplyOptions apply;
};

void AddRecover(CLI::App& app, RecoverFlags& flags, int& exit_code) {
  CLI::App* recover =
      app.add_subcommand("recover", "After a majority of the controllers is lost for good");
  recover->require_subcommand(1);
  CLI::App* inspect = recover->add_subcommand(
      "inspect", "Compare the surviving directories: which is best, and what may be lost");
  inspect
      ->add_option("--data-dir", flags.inspect.data_dirs,
                   "Directory of a stopped node, or a copy of it; once for each that survives")
      ->required()
      ->allow_extra_args(false);
  AddOutput(*inspect, flags.inspect.json);
  inspect->callback([&flags, &exit_code] { exit_code = RecoverInspect(flags.inspect); });
  CLI::App* apply = recover->add_subcommand(
      "apply", "Make the node of a directory the only voter, in a new generation of the cluster");
  apply->add_option("--data-dir", flags.apply.data_dir, "Directory of the stopped node")
      ->required();
  apply->add_flag("--yes-lose-data", flags.apply.yes_lose_data,
                  "What only the other voters had is lost; they can never come back");
  apply->add_flag("--accept-quarantine", flags.apply.accept_quarantine,
                  "Even though this directory is known to have lost something itself");
  apply->callback([&flags, &exit_code] { exit_code = RecoverApply(flags.apply); });
}

// What CLI11 says, and for a mistyped flag the nearest one.
int ExplainParseError(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  const int code = app.exit(error);  // prints help too
  if (code == 0) {
    return kExitOk;
  }
  for (int i = 1; i < argc; ++i) {
    const std::string argument(argv[i]);
    if (!argument.starts_with("--")) {
      continue;
    }
    const std::string name = argument.substr(2, argument.find('=') - 2);
    if (const std::string_view nearest = NearestSetting(name);
        FindSetting(name) == nullptr && !nearest.empty() &&
        std::string_view(error.what()).find(argument) != std::string_view::npos) {
      fmt::print(stderr, "kvorumd: --{}: did you mean --{}?\n", name, nearest);
    }
  }
  return kExitUsage;
}

}  // namespace

int RunCommandLine(int argc, char** argv) {
  CLI::App app("kvorumd: a controller of a Kvorum metadata quorum");
  app.require_subcommand(1);
  int exit_code = kExitOk;
  ConfigFlags run_flags;
  ConfigFlags dev_flags;
  ConfigFlags config_flags;
  FormatFlags format_flags;
  DumpOptions dump_options;
  VerifyOptions verify_options;
  RecoverFlags recover_flags;
  AddConfigured(app, "run", "Serve from a data directory; with --observer, streams and reads alone",
                run_flags, exit_code, Run);
  AddFormat(app, format_flags, exit_code);
  app.add_subcommand("random-id", "Print a random UUID")->callback([] {
    fmt::print("{}\n", RandomId());
  });
  AddConfigured(app, "dev", "One controller on loopback, without any preparation", dev_flags,
                exit_code, RunDev);
  AddDumps(app, dump_options, exit_code);
  AddVerify(app, verify_options, exit_code);
  AddRecover(app, recover_flags, exit_code);
  AddConfigured(app, "config", "Print every setting, its value and where it came from",
                config_flags, exit_code, PrintConfig);
  app.add_subcommand("version", "Print the version")->callback([] {
    fmt::print("kvorumd {}\n", KVORUM_VERSION);
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return ExplainParseError(app, error, argc, argv);
  }
  return exit_code;
}

}  // namespace kvorum
