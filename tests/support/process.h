#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace kvorum::testing {

// A child process with its output in a file. Killed (SIGKILL) when destroyed. One thread.
class Process {
 public:
  Process() = default;
  // Starts `argv` with stdout and stderr appended to `log_path`. Aborts the test program if that
  // fails.
  Process(const std::vector<std::string>& argv, const std::string& log_path);
  ~Process();
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;

  bool is_running();
  pid_t pid() const { return pid_; }
  void Signal(int signal);
  // Waits for the end: the exit code, or 128 + the signal.
  int Wait();

 private:
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

// Runs `argv` to its end; its exit code and what it printed on stdout and stderr.
struct CommandResult {
  int exit_code = 0;
  std::string output;
};
CommandResult RunCommand(const std::vector<std::string>& argv);

// `count` TCP ports of 127.0.0.1 that nothing listens on at the moment.
std::vector<int> FreePorts(int count);

// A new directory under $TMPDIR, removed with everything in it when destroyed.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& prefix);
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace kvorum::testing
