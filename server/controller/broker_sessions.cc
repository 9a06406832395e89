#include "server/controller/broker_sessions.h"

#include <algorithm>
#include <utility>

namespace kvorum::controller {

void BrokerSessions::Begin(BrokerId broker, BrokerEpoch epoch) {
  sessions_[broker] = Session{.epoch = epoch,
                              .last_contact = now_,
                              .is_gone = false,
                              .applied_offset = std::nullopt,
                              .unfence_target = std::nullopt,
                              .controlled_shutdown_offset = std::nullopt,
                              .last_rejection = {},
                              .rejected_offset = Offset(0),
                              .applied_at_rejection = std::nullopt};
}

void BrokerSessions::Touch(BrokerId broker, BrokerEpoch epoch,
                           std::optional<Offset> applied_offset) {
  const auto it = sessions_.find(broker);
  if (it == sessions_.end() || it->second.epoch != epoch) {
    Begin(broker, epoch);
  }
  Session& session = sessions_[broker];
  if (session.last_contact + session_timeout_ <= now_) {
    // Nobody waited for it any more, so what was written since is not behind the old target.
    session.unfence_target.reset();
  }
  session.last_contact = now_;
  session.is_gone = false;
  if (applied_offset.has_value()) {
    // Reports may overtake each other; what was applied stays applied.
    session.applied_offset =
        std::max(session.applied_offset.value_or(*applied_offset), *applied_offset);
  }
}

void BrokerSessions::MarkGone(BrokerId broker, BrokerEpoch epoch) {
  const auto it = sessions_.find(broker);
  if (it != sessions_.end() && it->second.epoch == epoch) {
    it->second.is_gone = true;
  }
}

void BrokerSessions::SetRejection(BrokerId broker, Offset offset, std::string message) {
  Session& session = sessions_[broker];
  session.last_rejection = std::move(message);
  session.rejected_offset = offset;
  session.applied_at_rejection = session.applied_offset.value_or(Offset(0));
}

Offset BrokerSessions::UnfenceTarget(BrokerId broker, Offset committed_end) {
  std::optional<Offset>& target = sessions_[broker].unfence_target;
  if (!target.has_value()) {
    target = committed_end;
  }
  return *target;
}

void BrokerSessions::ClearUnfenceTarget(BrokerId broker) {
  if (const auto it = sessions_.find(broker); it != sessions_.end()) {
    it->second.unfence_target.reset();
  }
}

bool BrokerSessions::IsComingBack(BrokerId broker) const {
  const Session* session = Find(broker);
  return session != nullptr && session->unfence_target.has_value() && HasLiveSession(broker);
}

void BrokerSessions::ClearControlledShutdownOffset(BrokerId broker) {
  if (const auto it = sessions_.find(broker); it != sessions_.end()) {
    it->second.controlled_shutdown_offset.reset();
  }
}

Offset BrokerSessions::ControlledShutdownOffset(BrokerId broker, Offset log_end) {
  std::optional<Offset>& offset = sessions_[broker].controlled_shutdown_offset;
  if (!offset.has_value()) {
    offset = log_end;
  }
  return *offset;
}

void BrokerSessions::Excuse(Duration stall) {
  for (auto& [broker, session] : sessions_) {
    if (session.last_contact + session_timeout_ <= now_) {
      // What was written while it looked silent did not wait for it.
      session.unfence_target.reset();
    }
    session.last_contact = std::min(now_, session.last_contact + stall);
  }
}

const BrokerSessions::Session* BrokerSessions::Find(BrokerId broker) const {
  const auto it = sessions_.find(broker);
  return it == sessions_.end() ? nullptr : &it->second;
}

std::optional<BrokerEpoch> BrokerSessions::EpochOf(BrokerId broker) const {
  const Session* session = Find(broker);
  return session == nullptr ? std::nullopt : std::optional(session->epoch);
}

bool BrokerSessions::HasLiveSession(BrokerId broker) const {
  const Session* session = Find(broker);
  return session != nullptr && session->last_contact + session_timeout_ > now_;
}

bool BrokerSessions::IsKnownGone(BrokerId broker) const {
  const Session* session = Find(broker);
  return session != nullptr && session->is_gone;
}

std::optional<Offset> BrokerSessions::AppliedOffset(BrokerId broker) const {
  const Session* session = Find(broker);
  return session == nullptr ? std::nullopt : session->applied_offset;
}

std::optional<int64_t> BrokerSessions::HeartbeatAgeMs(BrokerId broker) const {
  const Session* session = Find(broker);
  if (session == nullptr) {
    return std::nullopt;
  }
  return std::chrono::duration_cast<std::chrono::milliseconds>(now_ - session->last_contact)
      .count();
}

std::string BrokerSessions::LastRejection(BrokerId broker) const {
  const Session* session = Find(broker);
  return session == nullptr ? std::string() : session->last_rejection;
}

std::optional<Offset> BrokerSessions::RejectedOffset(BrokerId broker) const {
  const Session* session = Find(broker);
  const bool is_current = session != nullptr && session->applied_at_rejection.has_value() &&
                          session->applied_offset <= session->applied_at_rejection;
  return is_current ? std::optional(session->rejected_offset) : std::nullopt;
}

}  // namespace kvorum::controller
