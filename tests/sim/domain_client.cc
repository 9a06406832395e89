#include "tests/sim/domain_client.h"

#include <fmt/format.h>

#include <utility>
#include <variant>

#include "server/base/errors.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

// In a run of any length, so that a node that fetches a batch at a time can catch up afterwards.
constexpr int64_t kMaxOperations = 300;

// What may become something else when the same is sent again.
bool IsForNow(ErrorReason reason) {
  switch (reason) {
    case ErrorReason::kNotController:
    case ErrorReason::kLeaderNotAvailable:
    case ErrorReason::kOutcomeUnknown:
    case ErrorReason::kDeadlineExceeded:
    case ErrorReason::kClassShed:
    case ErrorReason::kShuttingDown:
      return true;
    default:
      return false;
  }
}

}  // namespace

DomainClient::DomainClient(World& world, ClientChecker& clients, ModelChecker& model, int actor,
                           Random random)
    : world_(world),
      clients_(clients),
      model_(model),
      actor_(actor),
      random_(random),
      finder_(world, random_.Fork()) {}

void DomainClient::ScheduleNext() {
  if (is_stopped_) {
    return;
  }
  const Duration mean = world_.options.workload.mean_think_time;
  world_.queue.After(DrawBetween(random_, {}, mean * 2), [this] { Next(); });
}

void DomainClient::Next() {
  if (is_stopped_ || (!command_.has_value() && operations_ == kMaxOperations)) {
    return;
  }
  if (!command_.has_value()) {
    id_ = Uuid::FromRandom(random_);
    attempts_ = 0;
    first_sent_ = world_.queue.now();
    command_ = DrawCommand();
    std::visit([this](auto& request) { DrawOptions(request); }, *command_);
    model_.OnSent(id_, *command_);
  }
  Send();
}

void DomainClient::Send() {
  ++attempts_;
  ClientCall<controller::CommandReply> call =
      MakeCommandCall(world_, actor_, finder_.target(), *command_);
  call.on_leave = [this, command = *command_, id = id_, attempt = attempts_,
                   before = world_.ghost.end_offset()](
                      SimProcess& process, const absl::StatusOr<controller::CommandReply>& reply) {
    // A refusal says nothing of the attempts before and after it. And an answer to a retry may tell
    // of what was committed before this attempt was made.
    if (reply.ok()) {
      clients_.OnWriteAnswered(process, command, attempt == 1 ? before : Offset(0), reply);
      model_.OnAcknowledged(process, id, *reply);
    }
  };
  call.on_result = [this](const CallResult<controller::CommandReply>& result) { OnResult(result); };
  StartCall(world_, random_, std::move(call));
}

bool DomainClient::MustRetry(const CallResult<controller::CommandReply>& result) {
  using Kind = CallResult<controller::CommandReply>::Kind;
  if (result.kind != Kind::kAnswered) {
    finder_.TryAnother();
    return true;
  }
  if (result.answer.ok()) {
    world_.log.Hit(attempts_ > 1 ? Mark::kRetryAnswered : Mark::kDomainOperationOk);
    return random_.OneIn(1, 6);  // a duplicate of what is done
  }
  finder_.OnError(result.answer.status());
  return IsForNow(GetErrorReason(result.answer.status()));
}

void DomainClient::OnResult(const CallResult<controller::CommandReply>& result) {
  if (MustRetry(result)) {
    if (world_.queue.now() - first_sent_ > kLongestRetry) {
      command_.reset();  // whatever became of it
    }
  } else {
    // It was answered.
    if (result.answer.ok() && std::holds_alternative<v1::CommitRequest>(*command_)) {
      world_.log.Hit(Mark::kTransactionCommitted);
    } else if (!result.answer.ok() && attempts_ == 1) {
      model_.OnRefused(id_);
    }
    command_.reset();
  }
  ScheduleNext();
}

template <typename Request>
void DomainClient::DrawOptions(Request& request) {
  request.set_cluster_id(world_.options.cluster_id);
  v1::WriteOptions& options = *request.mutable_options();
  options.set_request_id(id_.ToString());
  if (random_.OneIn(1, 5)) {
    options.set_reason(fmt::format("operation {}", operations_));
  }
  if (random_.OneIn(1, 5)) {
    // What a read came with, some operations ago.
    v1::Position& since = *options.mutable_if_unchanged_since();
    since.set_generation(world_.generation);
    since.set_epoch(last_read_.last_epoch.value());
    since.set_offset(last_read_.end_offset.value());
  }
  if (random_.OneIn(1, 3)) {
    last_read_ = world_.ghost.image()->provenance();
  }
}

}  // namespace kvorum::sim
