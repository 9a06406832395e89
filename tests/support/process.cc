#include "tests/support/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "server/base/check.h"

namespace kvorum::testing {
namespace {

std::vector<char*> ToArgv(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  return argv;
}

// fork, with stdout and stderr on `output`; the child dies with this process.
pid_t Spawn(const std::vector<std::string>& arguments, int output) {
  std::vector<char*> argv = ToArgv(arguments);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  KVORUM_CHECK(pid >= 0, "fork failed");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
      _exit(127);
    }
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  return pid;
}

// Below the range from which the kernel takes ports for outgoing connections: a port stays free
// while the process that listens on it is being restarted.
constexpr int kFirstPort = 10'000;
constexpr int kStretch = 100;
constexpr int kStretches = 220;

// A socket that holds `port` of loopback; -1 if somebody else does.
int Bind(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  KVORUM_CHECK(fd >= 0, "socket failed");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    return fd;
  }
  close(fd);
  return -1;
}

bool IsFree(int port) {
  const int fd = Bind(port);
  if (fd >= 0) {
    close(fd);
  }
  return fd >= 0;
}

int ToExitCode(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Process::Process(const std::vector<std::string>& argv, const std::string& log_path) {
  const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  KVORUM_CHECK(log >= 0, "{} can't be opened", log_path);
  pid_ = Spawn(argv, log);
  close(log);
}

Process::~Process() {
  if (pid_ > 0 && !exit_code_.has_value()) {
    Signal(SIGKILL);
    Wait();
  }
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), exit_code_(other.exit_code_) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(exit_code_, other.exit_code_);
  return *this;
}

bool Process::is_running() {
  if (pid_ <= 0 || exit_code_.has_value()) {
    return false;
  }
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) {
    exit_code_ = ToExitCode(status);
    return false;
  }
  return true;
}

void Process::Signal(int signal) {
  if (is_running()) {
    kill(pid_, signal);
  }
}

int Process::Wait() {
  if (!exit_code_.has_value() && pid_ > 0) {
    int status = 0;
    waitpid(pid_, &status, 0);
    exit_code_ = ToExitCode(status);
  }
  return exit_code_.value_or(-1);
}

CommandResult RunCommand(const std::vector<std::string>& argv) {
  int ends[2];
  KVORUM_CHECK(pipe2(ends, O_CLOEXEC) == 0, "pipe failed");
  const pid_t pid = Spawn(argv, ends[1]);
  close(ends[1]);
  CommandResult result;
  std::array<char, 4096> buffer;
  ssize_t count = 0;
  while ((count = read(ends[0], buffer.data(), buffer.size())) > 0) {
    result.output.append(buffer.data(), static_cast<size_t>(count));
  }
  close(ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  result.exit_code = ToExitCode(status);
  return result;
}

PortStretch::PortStretch(int preferred) {
  for (int tries = 0; tries < kStretches && fd_ < 0; ++tries) {
    first_ = kFirstPort + (preferred + tries) % kStretches * kStretch;
    fd_ = Bind(first_);
  }
  KVORUM_CHECK(fd_ >= 0, "other test programs have all {} stretches of ports", kStretches);
  next_ = first_ + 1;
}

PortStretch::~PortStretch() { close(fd_); }

std::vector<int> PortStretch::Take(int count) {
  std::vector<int> ports;
  for (int tries = 0; ports.size() < static_cast<size_t>(count); ++tries) {
    KVORUM_CHECK(tries < kStretch, "no {} ports of those from {} are free", count, first_);
    const int port = next_;
    next_ = next_ + 1 == first_ + kStretch ? first_ + 1 : next_ + 1;
    if (IsFree(port)) {
      ports.push_back(port);
    }
  }
  return ports;
}

std::vector<int> FreePorts(int count) {
  static PortStretch stretch(static_cast<int>(getpid()) % kStretches);
  return stretch.Take(count);
}

TemporaryDirectory::TemporaryDirectory(const std::string& prefix) {
  const char* base = std::getenv("TMPDIR");
  path_ = std::string(base != nullptr ? base : "/tmp") + "/" + prefix + ".XXXXXX";
  KVORUM_CHECK(mkdtemp(path_.data()) != nullptr, "{} can't be made", path_);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace kvorum::testing
