#include "tests/sim/runner.h"

#include <fmt/format.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include "server/base/check.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/simulation.h"

namespace kvorum::sim {
namespace {

// One seed in so many is run twice, and its hashes compared.
constexpr uint64_t kDeterminismSample = 64;
constexpr int kExitSignalled = 128;

using SteadyClock = std::chrono::steady_clock;

// What a worker tells its parent about a seed; small enough to be written to a pipe in one piece.
struct SeedReport {
  uint64_t seed = 0;
  uint64_t events = 0;
  int64_t committed = 0;
  Marks marks;
};

std::string ReplayCommand(uint64_t seed, Duration fault_phase) {
  return fmt::format("kvorum_sim --seed {} --seconds {}", seed,
                     std::chrono::duration_cast<std::chrono::seconds>(fault_phase).count());
}

RunResult RunSeed(uint64_t seed, const RunnerOptions& options) {
  SetCheckFailureHook([seed, fault_phase = options.fault_phase](const std::string&) {
    std::fprintf(stderr, "FAILED replay with: %s --log\n",
                 ReplayCommand(seed, fault_phase).c_str());
  });
  SimOptions drawn = DrawOptions(seed, options.fault_phase);
  drawn.print_events = options.print_events;
  const RunResult result = Simulation(drawn).Run();
  if (options.check_determinism || seed % kDeterminismSample == 0) {
    drawn.print_events = false;
    const RunResult again = Simulation(drawn).Run();
    KVORUM_CHECK(again.hash == result.hash && again.events == result.events,
                 "two runs of seed {} differ: hash {:016x} and {:016x}, events {} and {}", seed,
                 result.hash, again.hash, result.events, again.events);
  }
  return result;
}

// How many marks were never reached.
uint64_t PrintMarks(const Marks& marks) {
  std::string never;
  uint64_t missing = 0;
  for (size_t i = 0; i < kMarkCount; ++i) {
    const Mark mark = static_cast<Mark>(i);
    if (marks.Count(mark) == 0) {
      never += fmt::format(" {}", MarkName(mark));
      ++missing;
    } else {
      fmt::print("  {:<34} {}\n", MarkName(mark), marks.Count(mark));
    }
  }
  fmt::print("marks never reached:{}\n", never.empty() ? " none" : never);
  return missing;
}

// One forked worker: seeds first, first + step, … below end.
struct Worker {
  pid_t pid = -1;
  int pipe = -1;
  uint64_t next = 0;  // the seed it is working on
};

class Campaign {
 public:
  explicit Campaign(const RunnerOptions& options)
      : options_(options), end_(options.base + options.seeds), started_(SteadyClock::now()) {}

  uint64_t Run() {
    std::vector<Worker> workers;
    const auto jobs = static_cast<uint64_t>(options_.jobs);
    for (uint64_t i = 0; i < jobs && i < options_.seeds; ++i) {
      workers.push_back(Spawn(options_.base + i));
    }
    while (!workers.empty()) {
      for (size_t i = 0; i < workers.size();) {
        if (ReadReport(workers[i])) {
          ++i;
          continue;
        }
        Replace(workers, i);
      }
    }
    const uint64_t missing = PrintMarks(marks_);
    Summarise();
    return failed_ + (options_.require_marks ? missing : 0);
  }

 private:
  Worker Spawn(uint64_t first) {
    int ends[2];
    KVORUM_CHECK(pipe(ends) == 0, "pipe: errno {}", errno);
    std::fflush(nullptr);
    const pid_t pid = fork();
    KVORUM_CHECK(pid >= 0, "fork: errno {}", errno);
    if (pid == 0) {
      close(ends[0]);
      Work(first, ends[1]);
      std::_Exit(0);
    }
    close(ends[1]);
    return {.pid = pid, .pipe = ends[0], .next = first};
  }

  void Work(uint64_t first, int out) const {
    for (uint64_t seed = first; seed < end_; seed += static_cast<uint64_t>(options_.jobs)) {
      const RunResult result = RunSeed(seed, options_);
      const SeedReport report{.seed = seed,
                              .events = result.events,
                              .committed = result.committed,
                              .marks = result.marks};
      const ssize_t written = write(out, &report, sizeof(report));
      KVORUM_CHECK(written == static_cast<ssize_t>(sizeof(report)), "write: errno {}", errno);
    }
  }

  // False: the worker has ended.
  bool ReadReport(Worker& worker) {
    SeedReport report;
    const ssize_t got = read(worker.pipe, &report, sizeof(report));
    if (got != static_cast<ssize_t>(sizeof(report))) {
      return false;
    }
    worker.next = report.seed + static_cast<uint64_t>(options_.jobs);
    ++done_;
    events_ += report.events;
    committed_ += report.committed;
    marks_.Add(report.marks);
    if (done_ % 500 == 0) {
      fmt::print("{} seeds, {:.0f} per minute\n", done_, PerMinute());
      std::fflush(stdout);
    }
    return true;
  }

  void Replace(std::vector<Worker>& workers, size_t index) {
    Worker ended = workers[index];
    close(ended.pipe);
    int status = 0;
    waitpid(ended.pid, &status, 0);
    workers.erase(workers.begin() + static_cast<int64_t>(index));
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : kExitSignalled;
    if (code == 0) {
      return;
    }
    ++failed_;
    if (code == kExitSignalled) {
      // A worker that was killed by a signal could not say so itself.
      fmt::print(stderr, "FAILED (signal {}) replay with: {} --log\n",
                 WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                 ReplayCommand(ended.next, options_.fault_phase));
    }
    if (!options_.keep_going) {
      end_ = options_.base;  // starts no more; the others finish their share
      StopAll(workers);
      return;
    }
    const uint64_t next = ended.next + static_cast<uint64_t>(options_.jobs);
    if (next < end_) {
      workers.push_back(Spawn(next));
    }
  }

  static void StopAll(std::vector<Worker>& workers) {
    for (const Worker& worker : workers) {
      kill(worker.pid, SIGKILL);
      waitpid(worker.pid, nullptr, 0);
      close(worker.pipe);
    }
    workers.clear();
  }

  double PerMinute() const {
    const double seconds = std::chrono::duration<double>(SteadyClock::now() - started_).count();
    return static_cast<double>(done_) * 60 / std::max(seconds, 1e-3);
  }

  void Summarise() const {
    fmt::print(
        "seeds {} from {} on: {} passed, {} failed; {} events, {} offsets committed; {:.0f} "
        "seeds per minute with {} jobs\n",
        options_.seeds, options_.base, done_, failed_, events_, committed_, PerMinute(),
        options_.jobs);
  }

  RunnerOptions options_;
  uint64_t end_;
  SteadyClock::time_point started_;
  uint64_t done_ = 0;
  uint64_t failed_ = 0;
  uint64_t events_ = 0;
  int64_t committed_ = 0;
  Marks marks_;
};

}  // namespace

void RunOneSeed(const RunnerOptions& options) {
  fmt::print("seed={} {}\nfaults={}\n", options.base,
             ToText(DrawOptions(options.base, options.fault_phase)),
             Nemesis::Describe(options.base));
  std::fflush(stdout);
  const RunResult result = RunSeed(options.base, options);
  PrintMarks(result.marks);
  fmt::print("seed={} hash={:016x} events={} committed={}\n", options.base, result.hash,
             result.events, result.committed);
}

uint64_t RunManySeeds(const RunnerOptions& options) { return Campaign(options).Run(); }

uint64_t RunRegressions(const std::string& path) {
  std::ifstream file(path);
  KVORUM_CHECK(file.good(), "no file {}", path);
  uint64_t failed = 0;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line.substr(0, line.find('#')));
    uint64_t seed = 0;
    int64_t fault_seconds = 0;
    if (!(words >> seed >> fault_seconds)) {
      continue;
    }
    RunnerOptions options;
    options.base = seed;
    options.jobs = 1;
    options.fault_phase = std::chrono::seconds(fault_seconds);
    failed += RunManySeeds(options);
  }
  return failed;
}

}  // namespace kvorum::sim
