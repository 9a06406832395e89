#include "tests/sim/sim_client.h"

#include <iterator>
#include <utility>
#include <vector>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

constexpr int kTopicNames = 12;
constexpr int kLargeTopics = 2;
constexpr int kPartitionsOfLargeTopic = 5000;
constexpr int kMaxAwaits = 10;
constexpr Duration kAwaitPause = std::chrono::milliseconds(100);

Mark MarkOfError(ErrorReason reason) {
  switch (reason) {
    case ErrorReason::kNotController:
      return Mark::kClientNotController;
    case ErrorReason::kLeaderNotAvailable:
      return Mark::kClientLeaderNotAvailable;
    case ErrorReason::kOutcomeUnknown:
      return Mark::kClientOutcomeUnknown;
    case ErrorReason::kClassShed:
      return Mark::kClientShed;
    case ErrorReason::kShuttingDown:
      return Mark::kClientShuttingDown;
    case ErrorReason::kDeadlineExceeded:
      return Mark::kClientDeadlineExceeded;
    default:
      return Mark::kClientConflict;
  }
}

}  // namespace

SimClient::SimClient(World& world, ClientChecker& checker, int actor, Random random)
    : world_(world),
      checker_(checker),
      actor_(actor),
      random_(random),
      finder_(world, random_.Fork()) {}

void SimClient::Start() { ScheduleNext(); }

void SimClient::ScheduleNext() {
  is_busy_ = false;
  if (is_stopped_ && !is_final_put_) {
    return;
  }
  const Duration mean = world_.options.workload.mean_think_time;
  world_.queue.After(DrawBetween(random_, {}, mean * 2), [this] { Next(); });
}

void SimClient::Next() {
  if (is_busy_ || is_acknowledged_ || (is_stopped_ && !is_final_put_)) {
    return;
  }
  is_busy_ = true;
  if (is_final_put_) {
    SendCommand(DrawPut());
  } else if (random_.OneIn(2, 5)) {
    SendQuery(DrawQuery());
  } else {
    SendCommand(DrawCommand());
  }
}

void SimClient::PutUntilAcknowledged() {
  is_final_put_ = true;
  is_acknowledged_ = false;
  if (!is_busy_) {
    ScheduleNext();
  }
}

NodeId SimClient::RandomController() {
  auto it = world_.controllers.begin();
  std::advance(it, static_cast<int64_t>(random_.Below(world_.controllers.size())));
  return it->first;
}

std::string SimClient::DrawKey() {
  return fmt::format("key-{}", random_.Below(static_cast<uint64_t>(world_.options.workload.keys)));
}

std::string SimClient::DrawTopicName() {
  return fmt::format("topic-{}", random_.Below(kTopicNames));
}

v1::PutEntryRequest SimClient::DrawPut() {
  v1::PutEntryRequest put;
  put.set_cluster_id(world_.options.cluster_id);
  put.set_key(DrawKey());
  std::string value = fmt::format("{}/{}/", actor_, ++operations_);
  value.resize(value.size() + random_.Below(world_.options.workload.max_value_bytes), 'x');
  put.set_value(std::move(value));
  if (random_.OneIn(1, 6)) {
    put.mutable_options()->set_wait(v1::WAIT_APPLIED_BY_ALL);
    put.mutable_options()->mutable_wait_timeout()->set_seconds(1);
  }
  if (world_.options.workload.waits && !is_final_put_ && random_.OneIn(1, 3)) {
    DrawWait(*put.mutable_options());
  }
  return put;
}

void SimClient::DrawWait(v1::WriteOptions& options) {
  options.Clear();
  const int64_t ms = random_.OneIn(1, 8) ? 0 : LogUniform(random_, 10, 20'000);
  options.mutable_wait_timeout()->set_seconds(ms / 1000);
  options.mutable_wait_timeout()->set_nanos(static_cast<int32_t>(ms % 1000 * 1'000'000));
  const auto brokers = static_cast<uint64_t>(world_.options.brokers);
  switch (random_.Below(3)) {
    case 0:
      options.set_wait(v1::WAIT_APPLIED_BY_ALL);
      break;
    case 1:
      options.set_wait(v1::WAIT_APPLIED_BY_COUNT);
      options.set_wait_count(1 + static_cast<int32_t>(random_.Below(brokers)));
      break;
    default: {
      options.set_wait(v1::WAIT_APPLIED_BY);
      // One that there may never be, too.
      const auto first = static_cast<int32_t>(random_.Below(brokers + 1));
      for (int32_t id = first; id <= world_.options.brokers; ++id) {
        if (id == first || random_.OneIn(1, 2)) {
          options.add_wait_broker_ids(id);
        }
      }
      break;
    }
  }
}

controller::Command SimClient::DrawCommand() {
  const uint64_t kind = random_.Below(20);
  if (kind < 8) {
    return DrawPut();
  }
  if (kind < 12) {
    v1::PutEntryRequest put = DrawPut();
    const auto known = versions_.find(put.key());
    put.set_expected_version(known == versions_.end() ? 0 : known->second);
    return put;
  }
  if (kind < 14) {
    v1::DeleteEntryRequest request;
    request.set_key(DrawKey());
    return request;
  }
  if (kind == 14 && random_.OneIn(1, 8)) {
    v1::UnregisterBrokerRequest request;
    request.set_broker_id(
        static_cast<int32_t>(random_.Below(static_cast<uint64_t>(world_.options.brokers))));
    world_.log.Hit(Mark::kBrokerUnregistered);
    return request;
  }
  return DrawTopicCommand();
}

// Topics of so many partitions that their records do not fit one batch.
controller::Command SimClient::DrawLargeCommand() {
  world_.log.Hit(Mark::kLargeCommand);
  v1::CreateTopicsRequest request;
  for (int i = 0; i < kLargeTopics; ++i) {
    v1::NewTopic& topic = *request.add_topics();
    topic.set_name(fmt::format("large-{}-{}", actor_, i));
    topic.set_partition_count(kPartitionsOfLargeTopic);
    topic.set_replication_factor(1);
  }
  return request;
}

controller::Command SimClient::DrawTopicCommand() {
  if (world_.options.workload.large_commands && !std::exchange(has_sent_large_, true)) {
    return DrawLargeCommand();
  }
  switch (random_.Below(5)) {
    case 0: {
      v1::DeleteTopicsRequest request;
      request.add_topics()->set_name(DrawTopicName());
      return request;
    }
    case 1: {
      v1::CreatePartitionsRequest request;
      v1::CreatePartitionsRequest::Item& item = *request.add_topics();
      item.set_name(DrawTopicName());
      item.set_new_partition_count(static_cast<int32_t>(random_.Between(1, 12)));
      return request;
    }
    default: {
      v1::CreateTopicsRequest request;
      const uint64_t count = 1 + random_.Below(3);
      for (uint64_t i = 0; i < count; ++i) {
        v1::NewTopic& topic = *request.add_topics();
        topic.set_name(DrawTopicName());
        topic.set_partition_count(static_cast<int32_t>(random_.Between(1, 6)));
        topic.set_replication_factor(static_cast<int32_t>(random_.Between(-1, 3)));
      }
      request.set_all_or_nothing(random_.OneIn(1, 4));
      return request;
    }
  }
}

controller::Query SimClient::DrawQuery() {
  const v1::Consistency consistency =
      random_.OneIn(2, 3) ? v1::CONSISTENCY_LINEARIZABLE : v1::CONSISTENCY_LOCAL;
  const auto with = [consistency](auto request) {
    request.mutable_options()->set_consistency(consistency);
    return controller::Query(std::move(request));
  };
  switch (random_.Below(8)) {
    case 0:
      return with(v1::ListEntriesRequest());
    case 1:
      return with(v1::ListBrokersRequest());
    case 2:
      return with(v1::ListTopicsRequest());
    case 3: {
      v1::GetTopicRequest request;
      request.mutable_topic()->set_name(DrawTopicName());
      return with(std::move(request));
    }
    default: {
      v1::GetEntryRequest request;
      request.set_key(DrawKey());
      return with(std::move(request));
    }
  }
}

template <typename T>
void SimClient::OnResult(const CallResult<T>& result) {
  world_.log.Line(
      "client {} hears of {}: {}", actor_, finder_.target(),
      result.kind == CallResult<T>::Kind::kAnswered ? Text(result.answer.status()) : "nothing");
  switch (result.kind) {
    case CallResult<T>::Kind::kTimedOut:
      world_.log.Hit(Mark::kClientTimeout);
      finder_.TryAnother();
      break;
    case CallResult<T>::Kind::kRefused:
      world_.log.Hit(Mark::kClientConnectionRefused);
      finder_.TryAnother();
      break;
    case CallResult<T>::Kind::kAnswered:
      if (result.answer.ok()) {
        world_.log.Hit(Mark::kClientOk);
      } else {
        OnError(result.answer.status());
      }
      break;
  }
  ScheduleNext();
}

void SimClient::OnError(const absl::Status& status) {
  world_.log.Hit(MarkOfError(GetErrorReason(status)));
  finder_.OnError(status);
}

void SimClient::SendCommand(controller::Command command) {
  ClientCall<controller::CommandReply> call =
      MakeCommandCall(world_, actor_, finder_.target(), command);
  call.on_leave = [this, command, before = world_.ghost.end_offset()](
                      SimProcess& process, const absl::StatusOr<controller::CommandReply>& reply) {
    checker_.OnWriteAnswered(process, command, before, reply);
  };
  call.on_result = [this, command](const CallResult<controller::CommandReply>& result) {
    OnCommandResult(command, result);
  };
  StartCall(world_, random_, std::move(call));
}

void SimClient::OnCommandResult(const controller::Command& command,
                                const CallResult<controller::CommandReply>& result) {
  if (result.kind == CallResult<controller::CommandReply>::Kind::kRefused) {
    checker_.OnWriteRefused(command);
  }
  if (result.answer.ok()) {
    is_acknowledged_ = is_final_put_;
    NoteReply(command, *result.answer);
    if (GoesOnWaiting(command, *result.answer)) {
      return;
    }
  }
  OnResult(result);
}

bool SimClient::GoesOnWaiting(const controller::Command& command,
                              const controller::CommandReply& reply) {
  const auto* put = std::get_if<v1::PutEntryRequest>(&command);
  if (put == nullptr || !world_.options.workload.waits || is_final_put_) {
    return false;
  }
  const v1::Propagation& propagation = std::get<v1::PutEntryResponse>(reply).header().propagation();
  if (propagation.outcome() != v1::Propagation::OUTCOME_LEADER_CHANGED) {
    return false;
  }
  v1::AwaitAppliedRequest request;
  request.set_cluster_id(world_.options.cluster_id);
  *request.mutable_position() = propagation.position();
  request.set_wait(put->options().wait());
  *request.mutable_wait_timeout() = put->options().wait_timeout();
  request.set_wait_count(put->options().wait_count());
  *request.mutable_wait_broker_ids() = put->options().wait_broker_ids();
  AwaitApplied(std::move(request), kMaxAwaits);
  return true;
}

void SimClient::AwaitApplied(v1::AwaitAppliedRequest request, int attempts_left) {
  ClientCall<v1::AwaitAppliedResponse> call;
  call.actor = actor_;
  call.to = finder_.target();
  call.timeout = world_.options.workload.call_timeout;
  call.invoke = [request](SimProcess& process, Now now, TimePoint deadline, auto done) {
    process.node().HandleAwaitApplied(now, request, deadline, std::move(done));
  };
  const controller::AppliedWait wait = *controller::ParseAppliedWait(request);
  call.on_leave = [this, wait](SimProcess& process,
                               const absl::StatusOr<v1::AwaitAppliedResponse>& reply) {
    checker_.OnAwaitAnswered(process, wait, reply);
  };
  call.on_result = [this, request,
                    attempts_left](const CallResult<v1::AwaitAppliedResponse>& result) {
    const bool is_over = result.answer.ok() && result.answer->header().propagation().outcome() !=
                                                   v1::Propagation::OUTCOME_LEADER_CHANGED;
    if (is_over) {
      world_.log.Hit(Mark::kWaitWentOn);
    } else if (result.kind != CallResult<v1::AwaitAppliedResponse>::Kind::kAnswered) {
      finder_.TryAnother();
    } else if (!result.answer.ok()) {
      finder_.OnError(result.answer.status());
    }
    if (is_over || attempts_left == 0) {
      ScheduleNext();
    } else {
      world_.queue.After(kAwaitPause, [this, request, attempts_left] {
        AwaitApplied(request, attempts_left - 1);
      });
    }
  };
  StartCall(world_, random_, std::move(call));
}

void SimClient::NoteReply(const controller::Command& command,
                          const controller::CommandReply& reply) {
  if (const auto* put = std::get_if<v1::PutEntryRequest>(&command)) {
    versions_[put->key()] = std::get<v1::PutEntryResponse>(reply).version();
    if (put->has_expected_version()) {
      world_.log.Hit(Mark::kCompareAndSetOk);
    }
  } else if (const auto* removal = std::get_if<v1::DeleteEntryRequest>(&command)) {
    versions_.erase(removal->key());
  } else if (const auto* created = std::get_if<v1::CreateTopicsResponse>(&reply)) {
    if (created->results(0).status().code() == 0) {
      world_.log.Hit(Mark::kTopicCreated);
    }
  } else if (const auto* deleted = std::get_if<v1::DeleteTopicsResponse>(&reply)) {
    if (deleted->results(0).status().code() == 0) {
      world_.log.Hit(Mark::kTopicDeleted);
    }
  } else if (const auto* grown = std::get_if<v1::CreatePartitionsResponse>(&reply)) {
    if (grown->results(0).status().code() == 0) {
      world_.log.Hit(Mark::kTopicGrown);
    }
  }
}

void SimClient::SendQuery(controller::Query query) {
  ClientCall<controller::QueryReply> call;
  call.actor = actor_;
  // Not only where the active controller seems to be: a leader that was deposed must not answer.
  call.to = random_.OneIn(1, 3) ? RandomController() : finder_.target();
  call.timeout = world_.options.workload.call_timeout;
  call.invoke = [query](SimProcess& process, Now now, TimePoint, auto done) {
    process.node().HandleQuery(now, query, std::move(done));
  };
  call.on_leave = [this, query, floor = checker_.acknowledged_end()](
                      SimProcess& process, const absl::StatusOr<controller::QueryReply>& reply) {
    checker_.OnReadAnswered(process, query, floor, reply);
  };
  call.on_result = [this](const CallResult<controller::QueryReply>& result) { OnResult(result); };
  StartCall(world_, random_, std::move(call));
}

}  // namespace kvorum::sim
