#include "tests/sim/exhaustive.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "server/base/check.h"

namespace kvorum::sim {
namespace {

// Which of Actions() was taken at each step.
using Path = std::vector<uint16_t>;

ExhaustiveModel Replay(const ExhaustiveOptions& options, const Path& path) {
  ExhaustiveModel model(options);
  for (const uint16_t choice : path) {
    model.Do(model.Actions().at(choice));
  }
  return model;
}

std::string Describe(const ExhaustiveOptions& options, const Path& path) {
  // The last step is what failed: it is told, not done again.
  ExhaustiveModel model(options);
  std::string text;
  for (size_t i = 0; i < path.size(); ++i) {
    const ExhaustiveModel::Action action = model.Actions().at(path[i]);
    text += fmt::format("  {}\n", model.ToText(action));
    if (i + 1 < path.size()) {
      model.Do(action);
    }
  }
  return text;
}

}  // namespace

bool RunExhaustive(const ExhaustiveOptions& options) {
  const auto started = std::chrono::steady_clock::now();
  std::unordered_set<uint64_t> seen;
  std::vector<Path> frontier = {{}};
  seen.insert(ExhaustiveModel(options).Hash());
  uint64_t transitions = 0;
  ExhaustiveModel::Reached reached;
  int depth = 0;
  Path current;
  SetCheckFailureHook([&](const std::string&) {
    std::fprintf(stderr, "FAILED after\n%s", Describe(options, current).c_str());
  });
  for (; depth < options.depth && !frontier.empty() && seen.size() < options.max_states; ++depth) {
    std::vector<Path> next;
    for (const Path& path : frontier) {
      const size_t count = Replay(options, path).Actions().size();
      for (size_t choice = 0; choice < count && seen.size() < options.max_states; ++choice) {
        current = path;
        current.push_back(static_cast<uint16_t>(choice));
        const ExhaustiveModel model = Replay(options, current);
        ++transitions;
        if (seen.insert(model.Hash()).second) {
          reached.elections += model.reached().elections > 0 ? 1 : 0;
          reached.commits += model.reached().commits > 0 ? 1 : 0;
          reached.truncations += model.reached().truncations > 0 ? 1 : 0;
          next.push_back(current);
        }
      }
    }
    frontier = std::move(next);
    fmt::print("depth {}: {} states, {} new\n", depth + 1, seen.size(), frontier.size());
    std::fflush(stdout);
  }
  SetCheckFailureHook(nullptr);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  fmt::print(
      "exhaustive: {} nodes, {} ops, {} crashes, {} timeouts, to depth {}{}: {} states, {} "
      "transitions, {:.1f} s; states after an election {}, a commit {}, a truncation {}\n",
      options.nodes, options.ops, options.crashes, options.timeouts, depth,
      seen.size() >= options.max_states ? " (stopped by --max-states)" : "", seen.size(),
      transitions, seconds, reached.elections, reached.commits, reached.truncations);
  const bool is_blind = (options.must_commit && reached.commits == 0) ||
                        (options.must_truncate && reached.truncations == 0);
  if (is_blind) {
    fmt::print("exhaustive: too shallow: {} is wanted\n",
               reached.commits == 0 && options.must_commit ? "a commit" : "a truncation");
  }
  return !is_blind;
}

}  // namespace kvorum::sim
