#include "server/cmd/run.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>

#include "server/base/log.h"
#include "server/cmd/bootstrap.h"
#include "server/cmd/exit_codes.h"
#include "server/cmd/format.h"
#include "server/cmd/observer_join.h"
#include "server/rpc/library_setup.h"

namespace kvorum {
namespace {

constexpr char kDevClusterId[] = "dev";
constexpr int32_t kDevNodeId = 1;

// Between two rounds of asking the controllers.
constexpr std::chrono::milliseconds kJoinPause{200};

constexpr int kInitialized = SIGUSR2;  // from the process to itself

// The signals the main thread waits for. Blocked before any thread exists, so that no other thread
// ever gets them.
class SignalWaiter {
 public:
  SignalWaiter() {
    sigemptyset(&set_);
    for (const int signal : {SIGTERM, SIGINT, SIGUSR1, kInitialized}) {
      sigaddset(&set_, signal);
    }
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
  }

  // `signal` for Wait(), from any thread.
  static void Raise(int signal) { ::kill(::getpid(), signal); }

  int Wait() const {
    int signal = 0;
    sigwait(&set_, &signal);
    return signal;
  }

  // As Wait, for `limit` at most: 0 then.
  int WaitFor(std::chrono::milliseconds limit) const {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
    const timespec time{.tv_sec = seconds.count(),
                        .tv_nsec = std::chrono::nanoseconds(limit - seconds).count()};
    return std::max(sigtimedwait(&set_, nullptr, &time), 0);
  }

  // From now on each of them ends the process at once.
  void Release() const { pthread_sigmask(SIG_UNBLOCK, &set_, nullptr); }

 private:
  sigset_t set_{};
};

// Every connection is a descriptor; the soft limit of 1,024 is a default of long ago.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

void PrintLine(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

// A node that belongs to no cluster yet, until it is told one: nullopt. Otherwise the process ends,
// with this exit code.
std::optional<int> WaitForCluster(const ServerConfig& config, const SignalWaiter& signals) {
  const auto bootstrap = Bootstrap::Start(config, [] { SignalWaiter::Raise(kInitialized); });
  if (!bootstrap.ok()) {
    fmt::print(stderr, "kvorumd: {}\n", std::string(bootstrap.status().message()));
    return absl::IsUnavailable(bootstrap.status()) ? kExitPortTaken : kExitBadDirectory;
  }
  PrintLine("kvorumd waiting " + (*bootstrap)->Text());
  LogWarning("node",
             "{} is empty: this node belongs to no cluster and serves nothing. For a new cluster "
             "run `kvorumctl cluster init`; if there was data, its disk is not mounted",
             config.data_dir);
  while (!(*bootstrap)->is_initialized()) {
    const int signal = signals.Wait();
    if (signal == SIGTERM || signal == SIGINT) {
      (*bootstrap)->Stop();
      return kExitOk;
    }
    LogInfo("node", "waiting to be initialized: {}", (*bootstrap)->Text());
  }
  (*bootstrap)->Stop();
  return std::nullopt;
}

// An observer that has no directory yet, until a controller has told it what it follows: nullopt.
// Otherwise the process ends, with this exit code.
std::optional<int> JoinAsObserver(const ServerConfig& config, const SignalWaiter& signals) {
  const auto fail = [](const absl::Status& status) {
    fmt::print(stderr, "kvorumd: {}\n", std::string(status.message()));
    return kExitBadDirectory;
  };
  const auto join = ObserverJoin::Start(config);
  if (!join.ok()) {
    return fail(join.status());
  }
  PrintLine("kvorumd waiting " + (*join)->Text());
  std::string logged;
  while (true) {
    const absl::Status status = (*join)->Try();
    if (status.ok()) {
      return std::nullopt;
    }
    if (!absl::IsUnavailable(status)) {
      return fail(status);
    }
    if (logged != status.message()) {
      logged = std::string(status.message());
      LogWarning("node", "waiting for a controller: {}", logged);
    }
    if (const int signal = signals.WaitFor(kJoinPause); signal == SIGTERM || signal == SIGINT) {
      return kExitOk;
    }
  }
}

// `greeting` is printed once the daemon listens.
int Serve(const ServerConfig& asked, const std::string& greeting) {
  const SignalWaiter signals;
  RaiseDescriptorLimit();
  rpc::SetUpLibraries();
  SetLogLevel(asked.log_level);
  const ServerConfig config = WithFreePorts(asked);
  if (MustWaitForCluster(config)) {
    if (const std::optional<int> exit_code = WaitForCluster(config, signals)) {
      return *exit_code;
    }
  }
  if (MustJoinAsObserver(config)) {
    if (const std::optional<int> exit_code = JoinAsObserver(config, signals)) {
      return *exit_code;
    }
  }
  const Daemon::StartResult started = Daemon::Start(config);
  if (started.daemon == nullptr) {
    fmt::print(stderr, "kvorumd: {}\n", std::string(started.status.message()));
    return started.exit_code;
  }
  Daemon& daemon = *started.daemon;
  PrintLine("kvorumd ready " + daemon.Describe());
  if (!greeting.empty()) {
    PrintLine(greeting);
  }
  for (int signal = signals.Wait(); signal != SIGTERM && signal != SIGINT;
       signal = signals.Wait()) {
    daemon.LogState();
  }
  LogInfo("node", "stopping; a second signal stops at once");
  signals.Release();
  if (!daemon.Shutdown()) {
    LogWarning("node", "the orderly stop took too long; ending without it");
    std::_Exit(kExitOk);  // as safe as a crash: everything acknowledged is on disk
  }
  LogInfo("node", "stopped");
  return kExitOk;
}

void PrintWarnings(const LoadedConfig& loaded) {
  for (const std::string& warning : loaded.warnings) {
    LogWarning("config", "{}", warning);
  }
}

// A directory below the system's temporary one, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::error_code error;
    std::string pattern =
        std::filesystem::temp_directory_path(error).string() + "/kvorum-dev-XXXXXX";
    if (!error && ::mkdtemp(pattern.data()) != nullptr) {
      path_ = pattern;
    }
  }
  ~TemporaryDirectory() {
    std::error_code error;
    if (!path_.empty()) {
      std::filesystem::remove_all(path_, error);
    }
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }  // empty: it could not be made

 private:
  std::string path_;
};

// Formats `config.data_dir` for a quorum of one, unless it is formatted.
absl::Status FormatForDev(const ServerConfig& config) {
  const absl::StatusOr<MetaProperties> existing = ReadMetaProperties(config.data_dir);
  if (existing.ok() || !absl::IsNotFound(existing.status())) {
    return existing.status();
  }
  const InitialVoter self{{NodeId(kDevNodeId), *Uuid::Parse(RandomId())},
                          config.controller_listener.host,
                          config.controller_listener.port};
  return Format({.data_dir = config.data_dir,
                 .cluster_id = kDevClusterId,
                 .node_id = kDevNodeId,
                 .initial_voters = {self}})
      .status();
}

std::string DevGreeting(const ServerConfig& config, bool is_temporary) {
  const std::string endpoint = config.client_listener.ToString();
  return fmt::format(
      "\nOne controller, for development. Try in another terminal:\n"
      "  kvorumctl --endpoints {0} status\n"
      "  kvorumctl --endpoints {0} topic create orders --partitions 3\n"
      "  kvorumctl --endpoints {0} entry put greeting hello\n"
      "  kvorumctl --endpoints {0} watch\n"
      "Data: {1}{2}. Stop with Ctrl-C.\n",
      endpoint, config.data_dir, is_temporary ? " (removed at the end; --data-dir keeps it)" : "");
}

}  // namespace

int Run(const LoadedConfig& loaded) {
  PrintWarnings(loaded);
  if (loaded.config.data_dir.empty()) {
    fmt::print(stderr,
               "kvorumd: data-dir is not set; name the directory of this node, or try `kvorumd "
               "dev`\n");
    return kExitUsage;
  }
  return Serve(loaded.config, "");
}

int RunDev(const LoadedConfig& loaded) {
  PrintWarnings(loaded);
  ServerConfig config = loaded.config;
  if (config.observer) {
    fmt::print(stderr, "kvorumd: `dev` is a quorum of its own and observes none\n");
    return kExitUsage;
  }
  // Nothing of a development controller is reachable from outside unless asked for.
  for (const auto& [key, listener] : {std::pair{"client-listener", &config.client_listener},
                                      {"controller-listener", &config.controller_listener}}) {
    if (!loaded.sources.contains(key)) {
      listener->host = "127.0.0.1";
    }
  }
  if (!loaded.sources.contains("log-level")) {
    config.log_level = LogLevel::kWarning;
  }
  std::unique_ptr<TemporaryDirectory> temporary;
  if (config.data_dir.empty()) {
    temporary = std::make_unique<TemporaryDirectory>();
    config.data_dir = temporary->path();
  }
  if (config.data_dir.empty()) {
    fmt::print(stderr, "kvorumd: no temporary directory can be made; name one with --data-dir\n");
    return kExitBadDirectory;
  }
  if (const absl::Status status = FormatForDev(config); !status.ok()) {
    fmt::print(stderr, "kvorumd: {}\n", std::string(status.message()));
    return kExitBadDirectory;
  }
  return Serve(config, DevGreeting(config, temporary != nullptr));
}

}  // namespace kvorum
