#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdint>
#include <string>

#include "server/base/mutants.h"
#include "tests/sim/exhaustive.h"
#include "tests/sim/runner.h"

namespace {

CLI::Option* AddExhaustive(CLI::App& app, bool& is_wanted,
                           kvorum::sim::ExhaustiveOptions& options) {
  CLI::Option* wanted = app.add_flag("--exhaustive", is_wanted,
                                     "Try every order of events on bare raft cores, up to a depth");
  app.add_option("--nodes", options.nodes, "Of the exhaustive search: voters")
      ->check(CLI::Range(1, 5));
  app.add_option("--ops", options.ops, "… appends");
  app.add_option("--crashes", options.crashes, "… crashes");
  app.add_option("--timeouts", options.timeouts, "… timers that fire early");
  app.add_option("--depth", options.depth, "… events")->check(CLI::Range(1, 200));
  app.add_option("--max-states", options.max_states, "… ends after so many states");
  app.add_flag("--must-commit", options.must_commit, "… fails if it reaches no commit");
  app.add_flag("--must-truncate", options.must_truncate, "… fails if it reaches no truncation");
  app.add_flag("--diverged", options.diverged, "… begins with logs that differ");
  return wanted;
}

}  // namespace

// kvorum_sim: the whole of Kvorum's controller in a virtual world, run from a seed. README.md says
// how to use it.
int main(int argc, char** argv) {
  CLI::App app("Deterministic simulation of a Kvorum cluster");
  kvorum::sim::RunnerOptions options;
  uint64_t seed = 0;
  int64_t fault_seconds = 30;
  std::string regressions;
  CLI::Option* one = app.add_option("--seed", seed, "Run this seed and print its trace hash");
  CLI::Option* many = app.add_option("--seeds", options.seeds, "Run so many seeds");
  app.add_option("--base", options.base, "The first of them");
  app.add_option("--jobs", options.jobs, "Worker processes")->check(CLI::Range(1, 256));
  app.add_option("--seconds", fault_seconds, "Virtual length of the phase with faults")
      ->check(CLI::Range(1, 3600));
  app.add_flag("--log", options.print_events, "Print every event");
  app.add_flag("--keep-going", options.keep_going, "Go on after a failing seed");
  app.add_flag("--require-marks", options.require_marks, "Fail if a rare path was never reached");
  app.add_flag("--twice", options.check_determinism, "Run each seed twice and compare");
  CLI::Option* replay = app.add_option("--regressions", regressions, "Replay the seeds of a file");
  kvorum::sim::ExhaustiveOptions exhaustive;
  bool is_exhaustive = false;
  CLI::Option* search = AddExhaustive(app, is_exhaustive, exhaustive);
#ifdef KVORUM_MUTANTS
  app.add_option_function<std::string>(
      "--mutant", [](const std::string& name) { kvorum::SelectMutant(name); },
      "Run with this bug of tests/sim/mutants.txt");
#endif
  one->excludes(many);
  replay->excludes(one)->excludes(many);
  search->excludes(one)->excludes(many)->excludes(replay);
  CLI11_PARSE(app, argc, argv);

  if (is_exhaustive) {
    return kvorum::sim::RunExhaustive(exhaustive) ? 0 : 1;
  }
  options.fault_phase = std::chrono::seconds(fault_seconds);
  if (replay->count() > 0) {
    return kvorum::sim::RunRegressions(regressions) == 0 ? 0 : 1;
  }
  if (many->count() > 0) {
    return kvorum::sim::RunManySeeds(options) == 0 ? 0 : 1;
  }
  options.base = one->count() > 0 ? seed : options.base;
  kvorum::sim::RunOneSeed(options);
  return 0;
}
