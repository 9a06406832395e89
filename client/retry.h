#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>

#include "client/endpoints.h"
#include "client/status.h"

namespace kvorum::client {

// Whether a request may be carried out twice.
enum class CallKind {
  kRead,        // changes nothing
  kIdempotent,  // the second time changes nothing
  kOnce,        // carries a request_id: carried out once, however often it is sent
  kWrite,       // sent again only when it is known not to have been executed
};

// Exponential back-off with jitter, so that the clients of a failed leader do not come back in
// step. Not thread-safe; one per call or loop.
class Backoff {
 public:
  Backoff(std::chrono::milliseconds initial, std::chrono::milliseconds max, uint64_t seed);

  // Between half of the current step and all of it; the step doubles up to the maximum.
  std::chrono::milliseconds Next();
  void Reset() { step_ = initial_; }

 private:
  const std::chrono::milliseconds initial_;
  const std::chrono::milliseconds max_;
  std::chrono::milliseconds step_;
  std::minstd_rand random_;
};

// A seed that differs between processes and calls.
uint64_t RandomSeed();

enum class NextStep {
  kGiveUp,
  kMoveOn,   // at once, to the leader that the error names or to another node
  kBackOff,  // later: nobody can serve it now
};

// What may follow a failed attempt. Uses outcome, advice and code only.
NextStep DecideNextStep(const CallError& error, CallKind kind);

// One request, as the retry loop sees it.
struct CallPlan {
  CallKind kind = CallKind::kWrite;
  TimePoint deadline;  // of all attempts together
  // Of one attempt of a request that may be sent again: a node that hangs must not eat the whole
  // time. Writes get all that is left, since they could not be repeated anyway.
  std::chrono::milliseconds attempt_timeout{3000};
  // Set: this endpoint only, one attempt.
  std::string pinned_endpoint;
};

using Attempt =
    std::function<grpc::Status(const std::shared_ptr<grpc::Channel>&, grpc::ClientContext&)>;

// Runs `attempt` until it succeeds, fails for good, or the deadline comes; returns the endpoint
// that answered. A connection is made before anything is sent, so a node that is down costs a
// write nothing. Blocks the calling thread; thread-safe.
Result<std::string> RunCall(Endpoints& endpoints, const CallPlan& plan, const Attempt& attempt);

}  // namespace kvorum::client
