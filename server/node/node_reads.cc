// The half of Node that answers reads: at once, after the leadership was confirmed, behind a
// barrier of the leader, or when enough is applied.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"
#include "server/metadata/commands.h"
#include "server/metadata/request_checks.h"
#include "server/node/node.h"

namespace kvorum {
namespace {

// Of queries that wait on this node, whatever for.
constexpr size_t kMaxWaitingQueries = 20'000;
// A wait ends so long before the call's deadline, for the answer to get there in time.
constexpr Duration kReplyMargin = std::chrono::milliseconds(50);

const v1::ReadOptions& OptionsOf(const controller::Query& query) {
  return std::visit([](const auto& request) -> const v1::ReadOptions& { return request.options(); },
                    query);
}

template <typename Request>
concept IsList = requires(const Request& request) {
  request.page().page_token();
};

// Answered also with what only the active controller knows, however new the metadata is elsewhere.
bool NeedsSoftState(const controller::Query& query) {
  return std::holds_alternative<v1::ListBrokersRequest>(query) ||
         std::holds_alternative<v1::GetBrokerRequest>(query);
}

bool IsForReplica(const v1::RaftRequestHeader& header, const raft::RaftConfig& config) {
  return header.cluster_id() == config.cluster_id && header.generation() == config.generation &&
         header.receiver().node_id() == config.self.node_id.value() &&
         header.receiver().directory_id() == config.self.directory_id.ToBytes();
}

}  // namespace

absl::Status Node::CheckQuery(const controller::Query& query) const {
  KVORUM_RETURN_IF_ERROR(CheckCluster(controller::ClusterIdOf(query)));
  const v1::ReadOptions& options = OptionsOf(query);
  KVORUM_RETURN_IF_ERROR(CheckReadOptions(options));
  return options.has_min_position() ? CheckIsPosition(options.min_position()) : absl::OkStatus();
}

absl::Status Node::CheckIsReached(const v1::Position& position) const {
  // What lies below the log's start is in a snapshot, and committed beyond doubt.
  return Offset(position.offset()) < core_.log_start_offset() ? absl::OkStatus()
                                                              : CheckIsOnLog(position);
}

void Node::HandleQuery(Now now, controller::Query query, Done<controller::QueryReply> done,
                       TimePoint deadline) {
  absl::Status status = CheckQuery(query);
  if (status.ok() && waiting_queries_.size() + before_barrier_.size() + behind_barrier_.size() >=
                         kMaxWaitingQueries) {
    status = MakeError(
        ErrorReason::kClassShed,
        fmt::format("{} reads wait on this controller, the most it keeps", kMaxWaitingQueries));
  }
  if (!status.ok()) {
    done(std::move(status));
    return;
  }
  deadline = deadline == kNever ? now.now + config_.controller.default_command_timeout
                                : deadline - kReplyMargin;
  WaitingQuery waiting{std::move(query), std::move(done), deadline};
  if (OptionsOf(waiting.query).consistency() == v1::CONSISTENCY_LOCAL) {
    if (has_caught_up_) {
      AnswerAt(now, Offset(0), std::move(waiting));
    } else {
      // After a restart nothing is known to be committed yet: an empty answer would be a lie.
      waiting.done(
          MakeError(ErrorReason::kLeaderNotAvailable,
                    "this controller does not yet know what is committed; try again shortly"));
    }
    return;
  }
  if (!core_.is_leader()) {
    if (NeedsSoftState(waiting.query)) {
      waiting.done(NotLeader());
    } else {
      ReadBehindBarrier(now, std::move(waiting));
    }
    return;
  }
  ConfirmLeadership(now, [this, waiting = std::move(waiting)](
                             Now confirmed, absl::StatusOr<Offset> read_offset) mutable {
    if (read_offset.ok()) {
      AnswerAt(confirmed, *read_offset, std::move(waiting));
    } else {
      waiting.done(read_offset.status());
    }
  });
}

void Node::AnswerAt(Now now, Offset offset, WaitingQuery waiting) {
  const v1::ReadOptions& options = OptionsOf(waiting.query);
  if (options.has_min_position() && !KVORUM_MUTANT(MinPositionIgnored)) {
    offset = std::max(offset, Offset(options.min_position().offset()));
  }
  if (offset <= applier_.applied_end()) {
    AnswerQuery(now, waiting.query, waiting.done);
  } else if (is_raft_stopping_) {
    waiting.done(ShuttingDown());
  } else {
    next_query_deadline_ = std::min(next_query_deadline_, std::max(waiting.deadline, now.now));
    waiting_queries_.emplace(offset, std::move(waiting));
  }
}

void Node::AnswerQuery(Now now, const controller::Query& query,
                       const Done<controller::QueryReply>& done) {
  if (const v1::ReadOptions& options = OptionsOf(query); options.has_min_position() &&
                                                         !KVORUM_MUTANT(PositionUnchecked) &&
                                                         !KVORUM_MUTANT(MinPositionIgnored)) {
    if (absl::Status status = CheckIsReached(options.min_position()); !status.ok()) {
      done(std::move(status));
      return;
    }
  }
  done(std::visit([&](const auto& request) { return AnswerFromImage(now, request); }, query));
}

// The first page of a list is of the image at hand, the next ones are of the same.
template <typename Request>
absl::StatusOr<controller::QueryReply> Node::AnswerFromImage(Now now, const Request& request) {
  std::shared_ptr<const MetadataImage> image = applier_.image();
  std::optional<Request> unpinned;
  if constexpr (IsList<Request>) {
    if (!request.page().page_token().empty()) {
      unpinned = request;
      KVORUM_ASSIGN_OR_RETURN(
          image, pages_.Open(now.now, image, *unpinned->mutable_page()->mutable_page_token()));
    }
    if (const OffsetAndEpoch at = image->provenance().position();
        request.options().has_min_position() &&
        request.options().min_position().offset() > at.offset.value()) {
      return MakeError(ErrorReason::kInvalidRequest,
                       fmt::format("options.min_position: the page_token is of a list as of offset "
                                   "{}, which cannot reflect {}; begin it anew",
                                   at.offset, request.options().min_position().offset()));
    }
  }
  const QueryContext context{*image, controller_.liveness()};
  KVORUM_ASSIGN_OR_RETURN(auto response,
                          kvorum::Query(context, unpinned.has_value() ? *unpinned : request));
  *response.mutable_header() = MakeHeader();
  if constexpr (IsList<Request>) {
    const OffsetAndEpoch at = image->provenance().position();
    response.mutable_header()->mutable_applied()->set_epoch(at.epoch.value());
    response.mutable_header()->mutable_applied()->set_offset(at.offset.value());
    if (const std::string& next = response.page().next_page_token(); !next.empty()) {
      response.mutable_page()->set_next_page_token(
          pages_.Pin(now.now, std::move(image), std::string(next)));
    }
  }
  return controller::QueryReply(std::move(response));
}

void Node::AnswerWaitingQueries(Now now) {
  while (!waiting_queries_.empty() && !KVORUM_MUTANT(WaitUnanswered) &&
         waiting_queries_.begin()->first <= applier_.applied_end()) {
    const WaitingQuery waiting = std::move(waiting_queries_.begin()->second);
    waiting_queries_.erase(waiting_queries_.begin());
    AnswerQuery(now, waiting.query, waiting.done);
  }
  if (waiting_queries_.empty()) {
    next_query_deadline_ = kNever;
  }
}

void Node::ExpireQueries(Now now) {
  if (now.now < next_query_deadline_) {
    return;
  }
  next_query_deadline_ = kNever;
  for (auto it = waiting_queries_.begin(); it != waiting_queries_.end();) {
    if (it->second.deadline > now.now) {
      next_query_deadline_ = std::min(next_query_deadline_, it->second.deadline);
      ++it;
      continue;
    }
    absl::Status status =
        MakeError(ErrorReason::kPositionNotReached,
                  fmt::format("offset {} is to be applied here and {} is; ask again, or another "
                              "controller",
                              it->first, applier_.applied_end()));
    SetErrorFact(status, "current_offset", std::to_string(applier_.applied_end().value()));
    const WaitingQuery waiting = std::move(it->second);
    it = waiting_queries_.erase(it);
    waiting.done(std::move(status));
  }
}

void Node::FailWaitingQueries(const absl::Status& status) {
  next_query_deadline_ = kNever;
  for (auto& [offset, waiting] : std::exchange(waiting_queries_, {})) {
    waiting.done(status);
  }
  for (const WaitingQuery& waiting : std::exchange(before_barrier_, {})) {
    waiting.done(status);
  }
  for (const WaitingQuery& waiting : std::exchange(behind_barrier_, {})) {
    waiting.done(status);
  }
}

void Node::ConfirmLeadership(Now now, ReadWaiter waiter) {
  if (is_draining_ || executor_.failed()) {
    waiter(now, ShuttingDown());
    return;
  }
  if (!core_.is_leader()) {
    waiter(now, NotLeader());
    return;
  }
  ++last_read_;
  confirming_.emplace(last_read_, std::move(waiter));
  Step(now, raft::ConfirmLeadership{last_read_});
}

void Node::OnReadConfirmed(Now now, const raft::ReadConfirmed& read) {
  const auto it = confirming_.find(read.token);
  KVORUM_CHECK(it != confirming_.end(), "read {} was confirmed twice", read.token);
  const ReadWaiter waiter = std::move(it->second);
  confirming_.erase(it);
  if (read.confirmed) {
    waiter(now, read.read_offset);
  } else {
    waiter(now, NotLeader());
  }
}

// --- reads on a follower ---

void Node::ReadBehindBarrier(Now now, WaitingQuery waiting) {
  if (is_draining_ || executor_.failed()) {
    waiting.done(ShuttingDown());
    return;
  }
  before_barrier_.push_back(std::move(waiting));
  MaybeSendBarrier(now);
}

void Node::MaybeSendBarrier(Now) {
  if (is_barrier_in_flight_ || before_barrier_.empty()) {
    return;
  }
  const std::optional<NodeId> leader_id = core_.leader_id();
  const raft::Voter* leader = leader_id.has_value() ? core_.voters().Find(*leader_id) : nullptr;
  bool is_sent = false;
  if (leader != nullptr && leader->key != config_.raft.self) {
    v1::ReadBarrierRequest request;
    v1::RaftRequestHeader& header = *request.mutable_header();
    header.set_cluster_id(config_.raft.cluster_id);
    header.set_generation(config_.raft.generation);
    header.mutable_sender()->set_node_id(config_.raft.self.node_id.value());
    header.mutable_sender()->set_directory_id(config_.raft.self.directory_id.ToBytes());
    header.mutable_receiver()->set_node_id(leader->key.node_id.value());
    header.mutable_receiver()->set_directory_id(leader->key.directory_id.ToBytes());
    header.set_client_endpoint(config_.client_endpoint);
    is_sent = ports_.transport.SendReadBarrier(
        *leader, std::move(request), [this](absl::StatusOr<v1::ReadBarrierResponse> response) {
          ports_.host.Post(
              [this, response = std::move(response)](Now later) { OnBarrier(later, response); });
        });
  }
  // What comes from now on waits for the next one: this one may be answered before it arrives.
  std::vector<WaitingQuery> waiting = std::exchange(before_barrier_, {});
  if (is_sent) {
    is_barrier_in_flight_ = true;
    behind_barrier_ = std::move(waiting);
    return;
  }
  for (const WaitingQuery& query : waiting) {
    query.done(NotLeader());
  }
}

void Node::OnBarrier(Now now, const absl::StatusOr<v1::ReadBarrierResponse>& response) {
  is_barrier_in_flight_ = false;
  if (executor_.failed()) {
    return;
  }
  const bool is_good = response.ok() && response->header().error() == v1::RAFT_ERROR_NONE &&
                       response->read_offset() >= 0;
  for (WaitingQuery& waiting : std::exchange(behind_barrier_, {})) {
    if (is_good) {
      AnswerAt(now, Offset(response->read_offset()), std::move(waiting));
    } else {
      waiting.done(NotLeader());
    }
  }
  MaybeSendBarrier(now);
}

void Node::HandleReadBarrier(Now now, const v1::ReadBarrierRequest& request,
                             Done<v1::ReadBarrierResponse> done) {
  const auto answer = [this, done = std::move(done)](v1::RaftError error, Offset read_offset) {
    v1::ReadBarrierResponse response;
    v1::RaftResponseHeader& header = *response.mutable_header();
    header.set_error(error);
    header.set_leader_epoch(core_.epoch().value());
    header.set_leader_id(core_.leader_id().value_or(NodeId(-1)).value());
    header.set_client_endpoint(config_.client_endpoint);
    response.set_read_offset(read_offset.value());
    done(std::move(response));
  };
  if (!IsForReplica(request.header(), config_.raft)) {
    answer(request.header().cluster_id() == config_.raft.cluster_id
               ? v1::RAFT_ERROR_INVALID_VOTER_KEY
               : v1::RAFT_ERROR_INCONSISTENT_CLUSTER_ID,
           Offset(-1));
    return;
  }
  ConfirmLeadership(now, [answer](Now, absl::StatusOr<Offset> read_offset) {
    if (read_offset.ok()) {
      answer(v1::RAFT_ERROR_NONE, *read_offset);
    } else {
      answer(v1::RAFT_ERROR_NOT_LEADER_OR_FOLLOWER, Offset(-1));
    }
  });
}

}  // namespace kvorum
