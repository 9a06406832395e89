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

// Consecutive TCP ports of 127.0.0.1 that this test program has for itself for as long as this
// object lives: programs that run side by side must not choose the same before they listen, nor one
// whose process another is about to restart. One thread.
class PortStretch {
 public:
  // The stretch `preferred` (from 0), or the next one that nobody has.
  explicit PortStretch(int preferred);
  ~PortStretch();
  PortStretch(const PortStretch&) = delete;
  PortStretch& operator=(const PortStretch&) = delete;

  // `count` of them that nothing listens on at the moment; in turn, so that those of a process that
  // is down are not given away at once.
  std::vector<int> Take(int count);

 private:
  int first_ = 0;  // held by fd_: it says that the stretch is taken
  int fd_ = -1;
  int next_ = 0;
};

// `count` ports of this program's stretch that nothing listens on at the moment.
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
