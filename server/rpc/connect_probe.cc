#include "server/rpc/connect_probe.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

namespace kvorum::rpc {
namespace {

// A socket that is closed on every way out.
class Socket {
 public:
  explicit Socket(int family)
      : fd_(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int fd() const { return fd_; }

 private:
  const int fd_;
};

// The error a connection to `address` ends with; 0: connected, ETIMEDOUT: nothing in time.
int ConnectError(const addrinfo& address) {
  const Socket socket(address.ai_family);
  if (socket.fd() < 0) {
    return errno;
  }
  if (::connect(socket.fd(), address.ai_addr, address.ai_addrlen) == 0) {
    return 0;
  }
  if (errno != EINPROGRESS) {
    return errno;
  }
  pollfd writable{.fd = socket.fd(), .events = POLLOUT, .revents = 0};
  if (::poll(&writable, 1, ConnectProbe::kTimeLimitMs) <= 0) {
    return ETIMEDOUT;
  }
  int error = 0;
  socklen_t size = sizeof(error);
  return ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

ProbeResult ConnectOnce(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list) != 0) {
    return ProbeResult::kSilent;
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  // A name with several addresses is refused only if all of them are.
  ProbeResult result = ProbeResult::kSilent;
  bool all_refused = list != nullptr;
  for (const addrinfo* address = list; address != nullptr; address = address->ai_next) {
    const int error = ConnectError(*address);
    if (error == 0) {
      return ProbeResult::kConnected;
    }
    all_refused = all_refused && error == ECONNREFUSED;
  }
  if (all_refused) {
    result = ProbeResult::kRefused;
  }
  return result;
}

}  // namespace

ConnectProbe::ConnectProbe() : thread_([this] { Run(); }) {}

ConnectProbe::~ConnectProbe() { Stop(); }

void ConnectProbe::Probe(std::string host, uint16_t port, Done done) {
  {
    MutexLock lock(mutex_);
    if (!stopping_ && queue_.size() < kMaxQueued) {
      queue_.push_back({std::move(host), port, std::move(done)});
      wake_.NotifyOne();
      return;
    }
  }
  done(ProbeResult::kSilent);
}

void ConnectProbe::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyOne();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

void ConnectProbe::Run() {
  pthread_setname_np(pthread_self(), "kv-probe");
  for (;;) {
    Request request;
    bool stopping = false;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) {
        wake_.Wait(mutex_);
      }
      if (queue_.empty()) {
        return;
      }
      request = std::move(queue_.front());
      queue_.pop_front();
      stopping = stopping_;
    }
    request.done(stopping ? ProbeResult::kSilent : ConnectOnce(request.host, request.port));
  }
}

}  // namespace kvorum::rpc
