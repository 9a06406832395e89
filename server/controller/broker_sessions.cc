#include "server/controller/broker_sessions.h"

#include <algorithm>
#include <utility>

namespace kvorum::controller {

void BrokerSessions::Begin(BrokerId broker, BrokerEpoch epoch) {
  sessions_[broker] = Session{epoch, now_, std::nullopt, std::nullopt, {}};
}

void BrokerSessions::Touch(BrokerId broker, BrokerEpoch epoch,
                           std::optional<Offset> applied_offset) {
  const auto it = sessions_.find(broker);
  if (it == sessions_.end() || it->second.epoch != epoch) {
    Begin(broker, epoch);
  }
  Session& session = sessions_[broker];
  session.last_contact = now_;
  if (applied_offset.has_value()) {
    // Reports may overtake each other; what was applied stays applied.
    session.applied_offset =
        std::max(session.applied_offset.value_or(*applied_offset), *applied_offset);
  }
}

void BrokerSessions::SetRejection(BrokerId broker, std::string message) {
  sessions_[broker].last_rejection = std::move(message);
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

}  // namespace kvorum::controller
