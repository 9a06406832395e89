#pragma once

#include <deque>
#include <functional>
#include <string>
#include <thread>

#include "server/base/mutex.h"

namespace kvorum::rpc {

enum class ProbeResult {
  kConnected,  // somebody listens there
  kRefused,    // the host is up and nobody listens: the process is gone
  kSilent,     // neither within the time limit, or the name does not resolve
};

// Makes fresh TCP connections to find out why a call failed: a reset connection says nothing about
// the process behind it, a refused one does, and only the socket's own error tells them apart
// reliably (never the text of a gRPC status). Owned by PeerClient; one thread of its own, Probe may
// be called by any thread.
class ConnectProbe {
 public:
  static constexpr int kTimeLimitMs = 100;
  // Each peer has at most one probe outstanding, and there are few peers; more are dropped as
  // silent.
  static constexpr size_t kMaxQueued = 256;

  using Done = std::function<void(ProbeResult)>;

  ConnectProbe();
  ~ConnectProbe();
  ConnectProbe(const ConnectProbe&) = delete;
  ConnectProbe& operator=(const ConnectProbe&) = delete;

  // `done` is called once, on the probe's thread; inside the call if the probe is stopped or full.
  void Probe(std::string host, uint16_t port, Done done) EXCLUDES_LOCK(mutex_);

  // Answers what is queued, then ends the thread. Idempotent.
  void Stop() EXCLUDES_LOCK(mutex_);

 private:
  struct Request {
    std::string host;
    uint16_t port = 0;
    Done done;
  };

  void Run() EXCLUDES_LOCK(mutex_);

  Mutex mutex_;
  CondVar wake_;
  std::deque<Request> queue_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace kvorum::rpc
