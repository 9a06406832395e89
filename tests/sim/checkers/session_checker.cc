#include "tests/sim/checkers/session_checker.h"

#include <map>
#include <variant>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "tests/sim/checkers/checks.h"

namespace kvorum::sim {
namespace {

// A wait ends so long before its deadline (server/node/node_reads.cc).
constexpr Duration kReplyMargin = std::chrono::milliseconds(50);

bool IsGood(SessionChecker::Token token) {
  return token == SessionChecker::Token::kOwn || token == SessionChecker::Token::kSubscribers;
}

}  // namespace

void SessionChecker::Learn(const v1::Position& position) {
  if (!position_.has_value() || position_->offset() < position.offset()) {
    position_ = position;
  }
}

void SessionChecker::OnWritten(const std::string& value, const v1::ResponseHeader& header) {
  const std::optional<Offset> offset = world_.ghost.index().OffsetOfValue(value);
  KVORUM_CHECK(offset.has_value() && header.applied().offset() > offset->value(),
               "invariant 27 SessionMonotone: a write at {} is answered from {}, which does not "
               "cover it",
               offset.value_or(Offset(-1)), header.applied().offset());
  Learn(header.applied());
}

bool SessionChecker::IsCommitted(const v1::Position& position) const {
  const GhostBatch* batch = world_.ghost.EndingAt(Offset(position.offset()));
  return batch != nullptr && batch->batch.epoch.value() == position.epoch();
}

void SessionChecker::OnReadAnswered(const SimProcess& process, const Read& read,
                                    const absl::StatusOr<controller::QueryReply>& answer) const {
  if (answer.ok()) {
    std::visit([&](const auto& reply) { CheckOk(process, read, reply.header()); }, *answer);
    return;
  }
  switch (GetErrorReason(answer.status())) {
    case ErrorReason::kUnknownKey:
      return CheckMissing(process, read);
    case ErrorReason::kPositionNotReached:
      return CheckNotReached(process, read, answer.status());
    case ErrorReason::kNotController:
    case ErrorReason::kLeaderNotAvailable:
    case ErrorReason::kClassShed:
    case ErrorReason::kShuttingDown:
      return;  // says nothing of the position
    default:
      return CheckRefused(process, read, answer.status());
  }
}

// An answer from the metadata: the position was reached.
void SessionChecker::CheckOk(const SimProcess& process, const Read& read,
                             const v1::ResponseHeader& header) const {
  KVORUM_CHECK(header.applied().offset() >= read.min_position.offset(),
               "invariant 27 SessionMonotone: {} answers from {}, and {} was asked for",
               process.id(), header.applied().offset(), read.min_position.offset());
  // What lies before the log is in a snapshot, in which epochs can't be told any more.
  const bool is_before_log =
      Offset(read.min_position.offset()) < world_.checks->HighestLogStart(process.id().node);
  switch (read.token) {
    case Token::kOwn:
    case Token::kSubscribers:
      world_.log.Hit(Mark::kSessionRead);
      return;
    case Token::kLostWrite:
      KVORUM_CHECK(is_before_log || world_.ghost.index().OffsetOfValue(read.lost_value),
                   "invariant 27 SessionMonotone: {} says that it reflects a write in epoch {} "
                   "below {}, which is lost",
                   process.id(), read.min_position.epoch(), read.min_position.offset());
      world_.log.Hit(Mark::kSessionLostWriteRead);
      return;
    case Token::kOtherEpoch:
      KVORUM_CHECK(is_before_log,
                   "invariant 27 SessionMonotone: {} answers a read of {} in epoch {}, which is no "
                   "place in the log",
                   process.id(), read.min_position.offset(), read.min_position.epoch());
      return;
    case Token::kFuture:
    case Token::kOtherGeneration:
    case Token::kNegative:
      break;
  }
  KVORUM_CHECK(false, "invariant 27 SessionMonotone: {} answers a read of {}", process.id(),
               read.min_position.ShortDebugString());
}

void SessionChecker::CheckMissing(const SimProcess& process, const Read& read) const {
  const std::string& key = std::get<v1::GetEntryRequest>(read.query).key();
  const RecordIndex& index = world_.ghost.index();
  const Offset floor(read.min_position.offset());
  const RecordIndex::KeyVersion* version =
      IsGood(read.token) ? index.KeyBelow(key, floor) : nullptr;
  const bool was_absent = version == nullptr || !version->value.has_value();
  KVORUM_CHECK(was_absent || index.RemovedSince(key, floor),
               "invariant 27 SessionMonotone: {} does not find {}, written at {}, {} was asked for",
               process.id(), key, version->offset, floor);
}

// The wait ended because the position was not there yet, and not before it had to.
void SessionChecker::CheckNotReached(const SimProcess& process, const Read& read,
                                     const absl::Status& status) const {
  const std::map<std::string, std::string> facts = GetErrorFacts(status);
  const Offset applied = process.node().committed_image()->provenance().end_offset;
  KVORUM_CHECK(facts.at("current_offset") == std::to_string(applied.value()),
               "invariant 27 SessionMonotone: {} has applied {} and says {}", process.id(), applied,
               facts.at("current_offset"));
  const bool is_local = std::visit(
      [](const auto& request) { return request.options().consistency() == v1::CONSISTENCY_LOCAL; },
      read.query);
  // Others wait for the leader's committed end as well.
  KVORUM_CHECK(!is_local || applied.value() < read.min_position.offset(),
               "invariant 27 SessionMonotone: {} has applied {}, and does not answer what asks for "
               "{}",
               process.id(), applied, read.min_position.offset());
  KVORUM_CHECK(process.LocalNow().now + kReplyMargin >= read.deadline,
               "invariant 27 SessionMonotone: {} waits for {} no longer, and there was time left",
               process.id(), read.min_position.offset());
  world_.log.Hit(Mark::kSessionNotReached);
}

void SessionChecker::CheckRefused(const SimProcess& process, const Read& read,
                                  const absl::Status& status) const {
  const ErrorReason reason = GetErrorReason(status);
  bool is_right = false;
  switch (read.token) {
    case Token::kOwn:
    case Token::kSubscribers:
    case Token::kFuture:
      break;
    case Token::kLostWrite:
    case Token::kOtherEpoch:
      is_right = reason == ErrorReason::kPositionDiscarded && !IsCommitted(read.min_position);
      break;
    case Token::kOtherGeneration:
      is_right = reason == ErrorReason::kGenerationMismatch;
      break;
    case Token::kNegative:
      is_right = reason == ErrorReason::kInvalidRequest;
      break;
  }
  KVORUM_CHECK(is_right, "invariant 27 SessionMonotone: {} refuses a read of {}: {}", process.id(),
               read.min_position.ShortDebugString(), Text(status));
  world_.log.Hit(Mark::kSessionRefused);
}

}  // namespace kvorum::sim
