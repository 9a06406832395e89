#include "tests/sim/sim_publisher.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"
#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

publish::PublisherConfig MakeConfig(const World& world, NodeId node) {
  publish::PublisherConfig config;
  config.cluster_id = world.options.cluster_id;
  config.generation = world.generation;
  config.node_id = node;
  config.bookmark_interval = world.options.bookmark_interval;
  config.stall_timeout = world.options.stream_stall_timeout;
  config.ahead_timeout = world.options.stream_ahead_timeout;
  config.tail_max_bytes = world.options.tail_max_bytes;
  config.max_message_bytes = world.options.max_message_bytes;
  config.filtered_tail_max_bytes = world.options.filtered_tail_max_bytes;
  config.filter_linger = world.options.filter_linger;
  return config;
}

void CheckFirst(bool& answered) {
  KVORUM_CHECK(!std::exchange(answered, true), "invariant 40 Bounded: two answers to a publisher");
}

}  // namespace

SimPublisher::SimPublisher(World& world, SimProcess& process, Random random)
    : world_(world),
      process_(process),
      random_(random),
      publisher_(MakeConfig(world, process.id().node), *this) {}

TimePoint SimPublisher::LocalNow() const { return process_.LocalNow().now; }

void SimPublisher::OnCommit(publish::CommittedUpdate update) {
  world_.checks->OnCommitFed(process_, update);
  Post([this, update = std::move(update)](TimePoint) { publisher_.OnCommit(update); });
}

void SimPublisher::OnImage(std::shared_ptr<const MetadataImage> image) {
  world_.checks->OnImageFed(process_, *image);
  Post([this, image = std::move(image)](TimePoint now) { publisher_.OnImage(now, image); });
}

void SimPublisher::OnLeader(publish::LeaderView leader) {
  Post([this, leader = std::move(leader)](TimePoint) {
    leader_id_ = leader.leader_id;
    publisher_.OnLeader(leader);
  });
}

void SimPublisher::ReadCommitted(OffsetAndEpoch from, size_t max_bytes, ReadDone done) {
  world_.log.Hit(Mark::kPublisherLogRead);
  process_.Post([this, from, max_bytes, done = std::move(done)](Now now) {
    process_.node().HandleReadCommitted(
        now, from, max_bytes,
        [this, done, answered = std::make_shared<bool>(false)](
            const absl::StatusOr<std::vector<publish::CommittedUpdate>>& result) {
          CheckFirst(*answered);
          Post([done, result](TimePoint) { done(result); });
        });
  });
}

void SimPublisher::ConfirmCommittedEnd(EndDone done) {
  process_.Post([this, done = std::move(done)](Now now) {
    process_.node().HandleConfirmCommittedEnd(
        now, [this, done,
              answered = std::make_shared<bool>(false)](const absl::StatusOr<Offset>& result) {
          CheckFirst(*answered);
          Post([done, result](TimePoint) { done(result); });
        });
  });
}

void SimPublisher::Subscribe(std::shared_ptr<SimStream> stream, v1::SubscribeRequest request) {
  Post([this, stream = std::move(stream), request = std::move(request)](TimePoint now) {
    streams_.emplace(stream->serial(), stream);
    stream->id = publisher_.Subscribe(now, request, *stream);
    KVORUM_CHECK(request.source() != v1::SOURCE_LEADER || stream->closed_by_server() ||
                     leader_id_ == process_.id().node,
                 "invariant 32 StreamResume: {} serves a stream of the leader only, and takes {} "
                 "for the leader",
                 process_.id(), leader_id_.value_or(NodeId(-1)));
  });
}

void SimPublisher::OnReady(const std::shared_ptr<SimStream>& stream) {
  Post([this, stream](TimePoint now) {
    if (!stream->closed_by_server() && streams_.contains(stream->serial())) {
      publisher_.OnReady(now, *stream->id);
    }
  });
}

void SimPublisher::OnDisconnected(const std::shared_ptr<SimStream>& stream) {
  Post([this, stream](TimePoint) {
    if (!stream->closed_by_server() && streams_.contains(stream->serial())) {
      publisher_.OnClosed(*stream->id);
    }
    streams_.erase(stream->serial());
  });
}

void SimPublisher::Post(std::function<void(TimePoint)> event) {
  events_.push_back(std::move(event));
  ScheduleTurnAt(world_.queue.now() + DrawBetween(random_, {}, world_.options.max_turn_delay));
}

void SimPublisher::ScheduleTurnAt(TimePoint when) {
  when = std::max({when, paused_until_, world_.queue.now()});
  if (when >= next_turn_) {
    return;
  }
  next_turn_ = when;
  world_.queue.At(when, [&world = world_, id = process_.id(), generation = ++turn_generation_] {
    SimProcess* process = world.FindProcess(id);
    if (process != nullptr && process->publisher().turn_generation_ == generation) {
      process->publisher().RunTurn();
    }
  });
}

void SimPublisher::RunTurn() {
  next_turn_ = kNever;
  if (process_.has_failed()) {
    return;
  }
  const TimePoint now = LocalNow();
  int budget = world_.options.max_turn_events;
  while (budget-- > 0 && !events_.empty()) {
    const std::function<void(TimePoint)> event = std::move(events_.front());
    events_.pop_front();
    event(now);
  }
  if (publisher_.NextDeadline() <= now) {
    publisher_.HandleTimer(now);
  }
  world_.log.MixNow();
  world_.checks->OnPublisherTurn(publisher_);
  if (!events_.empty()) {
    ScheduleTurnAt(world_.queue.now());
  }
  if (publisher_.NextDeadline() != kNever) {
    ScheduleTurnAt(process_.machine().clock().ToReal(publisher_.NextDeadline()));
  }
}

void SimPublisher::PauseUntil(TimePoint when) {
  paused_until_ = when;
  next_turn_ = kNever;
  ++turn_generation_;
  ScheduleTurnAt(when);
}

void SimPublisher::BeginShutdown() {
  Post([this](TimePoint now) { publisher_.BeginShutdown(now); });
}

void SimPublisher::Die() {
  for (const auto& [serial, stream] : streams_) {
    stream->OnServerDied();
  }
  streams_.clear();
}

}  // namespace kvorum::sim
