#include "client/retry.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace kvorum::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

constexpr milliseconds kInitialBackoff{20};
constexpr milliseconds kMaxBackoff{250};
// How long one endpoint may take to connect while there are others to try.
constexpr milliseconds kConnectSlice{300};
// Least number of moves to another node before a pause, so that a hint is followed at once also
// when a single endpoint is configured.
constexpr size_t kMinFreeMoves = 2;

bool MayBeTransport(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::DEADLINE_EXCEEDED ||
         code == grpc::StatusCode::CANCELLED;
}

CallError NotConnected(const std::string& endpoint) {
  CallError error = LocalError(grpc::StatusCode::UNAVAILABLE,
                               fmt::format("no connection to {}; is it running?", endpoint));
  error.retry = RetryAdvice::kOtherNode;
  return error;
}

// A write that got lost on the way: says so in the fields that callers decide by. The code must
// not be UNAVAILABLE, which stock retry policies replay.
CallError MarkUnknown(CallError error) {
  if (!error.from_server()) {
    error.reason = v1::OUTCOME_UNKNOWN;
    error.retry = RetryAdvice::kReadAgainFirst;
    if (error.code != grpc::StatusCode::DEADLINE_EXCEEDED) {
      error.code = grpc::StatusCode::UNKNOWN;
    }
  }
  return error;
}

// The state of one RunCall.
class CallLoop {
 public:
  CallLoop(Endpoints& endpoints, const CallPlan& plan, const Attempt& attempt)
      : endpoints_(endpoints),
        plan_(plan),
        attempt_(attempt),
        backoff_(kInitialBackoff, kMaxBackoff, RandomSeed()),
        free_moves_(MaxFreeMoves()) {}

  Result<std::string> Run() {
    while (true) {
      const std::string endpoint = Pick();
      if (endpoint.empty()) {
        return LocalError(grpc::StatusCode::INVALID_ARGUMENT, "no endpoints are configured");
      }
      ++attempt_count_;
      std::optional<CallError> error = Try(endpoint);
      if (!error.has_value()) {
        return endpoint;
      }
      got_lost_ =
          got_lost_ || (plan_.kind == CallKind::kOnce && error->outcome == Outcome::kUnknown);
      const NextStep step = DecideNextStep(*error, plan_.kind);
      if (step == NextStep::kGiveUp || !plan_.pinned_endpoint.empty()) {
        if (error->reason == v1::UNKNOWN) {
          endpoints_.Avoid(endpoint);  // it did not answer: the next call begins elsewhere
        }
        return Final(*std::move(error));
      }
      Steer(endpoint, *error);
      if (!PauseIfNeeded(step, *error)) {
        error->message += fmt::format(" (gave up after {} attempts)", attempt_count_);
        return Final(*std::move(error));
      }
    }
  }

 private:
  size_t MaxFreeMoves() const { return std::max(endpoints_.configured().size(), kMinFreeMoves); }

  std::string Pick() const {
    return plan_.pinned_endpoint.empty() ? endpoints_.Preferred() : plan_.pinned_endpoint;
  }

  std::optional<CallError> Try(const std::string& endpoint) {
    const TimePoint now = system_clock::now();
    const bool pinned = !plan_.pinned_endpoint.empty();
    const std::shared_ptr<grpc::Channel> channel = endpoints_.Connect(
        endpoint, pinned ? plan_.deadline : std::min(plan_.deadline, now + kConnectSlice));
    if (channel == nullptr) {
      return NotConnected(endpoint);
    }
    grpc::ClientContext context;
    const bool is_alone = plan_.kind == CallKind::kWrite ||
                          plan_.attempt_timeout >= plan_.deadline - system_clock::now();
    context.set_deadline(is_alone ? plan_.deadline : system_clock::now() + plan_.attempt_timeout);
    const grpc::Status status = attempt_(channel, context);
    if (status.ok()) {
      return std::nullopt;
    }
    return ParseStatus(status);
  }

  CallError Final(CallError error) const {
    // Nobody who could know the request was reached since it got lost.
    if (got_lost_ && error.outcome == Outcome::kNotExecuted &&
        (error.retry == RetryAdvice::kOtherNode || error.retry == RetryAdvice::kSameNode)) {
      error.outcome = Outcome::kUnknown;
      error.reason = v1::UNKNOWN;
      error.reason_name.clear();
    }
    const bool changes = plan_.kind == CallKind::kWrite || plan_.kind == CallKind::kOnce;
    return changes && error.outcome == Outcome::kUnknown ? MarkUnknown(std::move(error)) : error;
  }

  void Steer(const std::string& endpoint, const CallError& error) {
    endpoints_.Avoid(endpoint);
    if (!error.leader_endpoint.empty() && error.leader_endpoint != endpoint) {
      endpoints_.FollowLeader(error.leader_endpoint);
    }
  }

  // Returns false when the deadline comes first. A few moves are free; then the whole round has
  // been asked (or two nodes point at each other) and only time can help.
  bool PauseIfNeeded(NextStep step, const CallError& error) {
    if (step == NextStep::kMoveOn && free_moves_ > 0) {
      --free_moves_;
      return system_clock::now() < plan_.deadline;
    }
    free_moves_ = MaxFreeMoves();
    const milliseconds pause =
        std::max(backoff_.Next(), error.retry_delay.value_or(milliseconds(0)));
    if (system_clock::now() + pause >= plan_.deadline) {
      return false;
    }
    endpoints_.Pause(system_clock::now() + pause);
    return true;
  }

  Endpoints& endpoints_;
  const CallPlan& plan_;
  const Attempt& attempt_;
  Backoff backoff_;
  size_t free_moves_;
  int attempt_count_ = 0;
  bool got_lost_ = false;  // an attempt may have been carried out
};

}  // namespace

Backoff::Backoff(milliseconds initial, milliseconds max, uint64_t seed)
    : initial_(initial),
      max_(max),
      step_(initial),
      random_(static_cast<std::minstd_rand::result_type>(seed)) {}

milliseconds Backoff::Next() {
  const milliseconds step = std::exchange(step_, std::min(max_, step_ * 2));
  std::uniform_int_distribution<int64_t> jitter(step.count() / 2, step.count());
  return milliseconds(jitter(random_));
}

uint64_t RandomSeed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

NextStep DecideNextStep(const CallError& error, CallKind kind) {
  if (error.outcome == Outcome::kCommitted) {
    return NextStep::kGiveUp;
  }
  if (error.outcome == Outcome::kUnknown) {
    if (kind == CallKind::kWrite) {
      return NextStep::kGiveUp;
    }
    // The advice of such errors ("read again first") is meant for writes.
    const bool lost =
        error.from_server() ? error.retry != RetryAdvice::kNo : MayBeTransport(error.code);
    return lost ? NextStep::kMoveOn : NextStep::kGiveUp;
  }
  switch (error.retry) {
    case RetryAdvice::kOtherNode:
      return NextStep::kMoveOn;
    case RetryAdvice::kSameNode:
      return NextStep::kBackOff;
    case RetryAdvice::kNo:
    case RetryAdvice::kReadAgainFirst:
      return NextStep::kGiveUp;
  }
  return NextStep::kGiveUp;
}

Result<std::string> RunCall(Endpoints& endpoints, const CallPlan& plan, const Attempt& attempt) {
  return CallLoop(endpoints, plan, attempt).Run();
}

}  // namespace kvorum::client
