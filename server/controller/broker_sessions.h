#pragma once

#include <map>
#include <optional>
#include <string>

#include "server/base/ids.h"
#include "server/base/time.h"
#include "server/metadata/command.h"

namespace kvorum::controller {

// What brokers told the active controller lately: contact times, applied offsets, rejections. Owned
// by ActiveController; loop thread only. Soft state: lost on failover by design (KIP-631), where
// every unfenced broker gets a full session of grace.
class BrokerSessions : public BrokerLiveness {
 public:
  explicit BrokerSessions(Duration session_timeout) : session_timeout_(session_timeout) {}

  // Time for the BrokerLiveness questions. Never goes back.
  void Advance(TimePoint now) { now_ = now; }
  TimePoint now() const { return now_; }

  void Clear() { sessions_.clear(); }
  void Remove(BrokerId broker) { sessions_.erase(broker); }

  // Starts (or restarts, for another epoch) a session with contact now.
  void Begin(BrokerId broker, BrokerEpoch epoch);
  // A sign of life of `epoch`; begins the session if there is none of that epoch.
  void Touch(BrokerId broker, BrokerEpoch epoch, std::optional<Offset> applied_offset);
  // The process of `epoch` is gone, as far as this controller can see. A sign of life takes it
  // back.
  void MarkGone(BrokerId broker, BrokerEpoch epoch);
  // The broker cannot apply the record at `offset` (-1: a snapshot).
  void SetRejection(BrokerId broker, Offset offset, std::string message);

  // The offset a fenced broker must have applied to be unfenced: fixed at its first heartbeat,
  // since a moving target would never be met (KAFKA-13955). Set once per session and fencing.
  Offset UnfenceTarget(BrokerId broker, Offset committed_end);
  void ClearUnfenceTarget(BrokerId broker);
  // Fenced, with an unfence target, and not silent: it will serve once it has applied that much.
  bool IsComingBack(BrokerId broker) const;

  // How far the other brokers must have applied the log before `broker` may leave: set once per
  // controlled shutdown, so that its later heartbeats do not raise it. Gone with its fencing.
  Offset ControlledShutdownOffset(BrokerId broker, Offset log_end);
  void ClearControlledShutdownOffset(BrokerId broker);

  // Time in which this controller did not run, and so heard nobody, does not count as silence.
  void Excuse(Duration stall);

  // The broker, among those `tracked` says yes to, whose session ended longest ago; nullopt: none.
  template <typename Predicate>
  std::optional<BrokerId> OldestExpired(Predicate tracked) const {
    std::optional<BrokerId> oldest;
    TimePoint oldest_contact = kNever;
    for (const auto& [broker, session] : sessions_) {
      if (session.last_contact + session_timeout_ <= now_ &&
          session.last_contact < oldest_contact && tracked(broker)) {
        oldest = broker;
        oldest_contact = session.last_contact;
      }
    }
    return oldest;
  }

  std::optional<BrokerEpoch> EpochOf(BrokerId broker) const;
  bool HasLiveSession(BrokerId broker) const override;
  bool IsKnownGone(BrokerId broker) const override;
  std::optional<Offset> AppliedOffset(BrokerId broker) const override;
  std::optional<int64_t> HeartbeatAgeMs(BrokerId broker) const override;
  std::string LastRejection(BrokerId broker) const override;
  // Of the record that the broker cannot apply (-1: a snapshot); nullopt: none, or it has applied
  // more since.
  std::optional<Offset> RejectedOffset(BrokerId broker) const;

 private:
  struct Session {
    BrokerEpoch epoch;
    TimePoint last_contact;
    bool is_gone = false;  // its process, since the last contact
    std::optional<Offset> applied_offset;
    std::optional<Offset> unfence_target;
    std::optional<Offset> controlled_shutdown_offset;
    std::string last_rejection;
    Offset rejected_offset;
    std::optional<Offset> applied_at_rejection;  // set: there was one
  };

  const Session* Find(BrokerId broker) const;

  Duration session_timeout_;
  TimePoint now_{};
  std::map<BrokerId, Session> sessions_;
};

}  // namespace kvorum::controller
