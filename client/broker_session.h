#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "client/controller_client.h"
#include "kvorum/v1/broker.pb.h"

namespace kvorum::client {

struct BrokerSessionOptions {
  int32_t broker_id = -1;
  std::vector<v1::Endpoint> endpoints;  // where the broker's own clients reach it; 1 to 32
  std::string rack;                     // empty: none
  // What this broker can work with; see UpdateFeatures. Names unique.
  std::vector<v1::SupportedFeature> features;
  // Well below the server's session timeout (9 s unless configured).
  std::chrono::milliseconds heartbeat_interval{2000};
  // While fenced, the first heartbeats come this fast; then their distance grows to the above.
  std::chrono::milliseconds fenced_interval{100};
  // What was applied is acknowledged at most this often, in one call.
  std::chrono::milliseconds acknowledge_interval{100};
  // Of one heartbeat, registration or acknowledgement with all its attempts.
  std::chrono::milliseconds call_timeout{3000};
  // How long Stop waits for the controller to let the broker go.
  std::chrono::milliseconds shutdown_timeout{2000};
};

struct BrokerSessionStatus {
  int64_t epoch = -1;  // -1: not registered
  bool fenced = true;
  bool caught_up = false;
  bool should_shutdown = false;  // the controller says so
  int64_t registration_count = 0;
  int64_t heartbeat_count = 0;       // that were answered
  int64_t acknowledge_count = 0;     // that were answered
  int64_t acknowledged_offset = -1;  // last told to the controller
  std::string last_error;            // of the last call that failed; empty after one that did not
  std::string fatal_error;  // set: the registration was refused for good, and the session ended
};

// Keeps a broker registered and alive: registers a new incarnation, heartbeats with what the broker
// has applied, acknowledges between heartbeats, and registers anew when the controller does not
// know its epoch any more (KIP-631). Keeps a call open by which the controller notices when this
// process is gone, so that the next one need not wait (HoldSession). Owned by the broker; runs a
// thread of its own. Public methods are thread-safe, Start and Stop excepted.
class BrokerSession {
 public:
  // Called on the session's thread after each registration.
  using OnRegistered = std::function<void(int64_t broker_epoch)>;

  // `client` must outlive the session.
  BrokerSession(ControllerClient& client, BrokerSessionOptions options,
                OnRegistered on_registered = {});
  ~BrokerSession();  // ends the thread without a word to the controller, unless stopped before
  BrokerSession(const BrokerSession&) = delete;
  BrokerSession& operator=(const BrokerSession&) = delete;

  void Start();
  // Tells the controller that the broker leaves, waits for its consent (up to shutdown_timeout),
  // and ends the thread.
  void Stop();

  // The broker has applied everything below `offset`. Cheap: reported by the session's thread.
  void SetApplied(int64_t offset);
  // The broker could not apply the record at `offset`. Told with an acknowledgement at once, and
  // again to each controller that takes over, which knows nothing of it; until more is applied.
  void SetRejected(int64_t offset, std::string message);

  int64_t epoch() const { return status().epoch; }
  bool is_fenced() const { return status().fenced; }
  BrokerSessionStatus status() const;

 private:
  using Clock = std::chrono::steady_clock;
  enum class Work { kStop, kHeartbeat, kAcknowledge };

  void Run();
  bool Register();
  v1::RegisterBrokerRequest MakeRegistration() const;
  Work WaitForWork();
  std::optional<Clock::time_point> AcknowledgeTime() const;
  void Heartbeat();
  void Acknowledge();
  void SayGoodbye();
  void KeepHold();
  void EndHold();
  void OnCallFailed(const CallError& error);
  bool WaitUnlessStopping(std::chrono::milliseconds time);
  bool stopping() const;
  bool HasUntoldRejection() const;
  void NoteController(const v1::ResponseHeader& header);
  void EndThread();

  ControllerClient& client_;
  const BrokerSessionOptions options_;
  const OnRegistered on_registered_;
  std::thread thread_;

  // Session thread only.
  Clock::time_point next_heartbeat_;
  Clock::time_point next_acknowledge_;
  std::chrono::milliseconds fenced_interval_;
  struct Hold;
  std::shared_ptr<Hold> hold_;  // the last one made; null: none, or not for this registration

  mutable std::mutex mutex_;  // guards all below; never held during a call
  std::condition_variable wake_;
  bool stopping_ = false;
  bool heartbeat_now_ = false;
  int64_t applied_offset_ = 0;
  std::optional<v1::AcknowledgeMetadataRequest::Rejected> rejected_;
  std::optional<int32_t> rejection_told_in_;  // the leader epoch; absent: it is yet to be told
  BrokerSessionStatus status_;
};

}  // namespace kvorum::client
