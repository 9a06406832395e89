#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "kvorum/v1/stream.pb.h"
#include "server/base/random.h"
#include "server/node/ports.h"
#include "server/publish/committed_log.h"
#include "server/publish/update_publisher.h"
#include "tests/sim/sim_stream.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

class SimProcess;

// The publish loop of one process: UpdatePublisher on a virtual loop of its own, with the streams
// it serves. Owned by the process.
class SimPublisher : public CommitFeed, public publish::CommittedLog {
 public:
  SimPublisher(World& world, SimProcess& process, Random random);

  // CommitFeed: from the node's loop.
  void OnCommit(publish::CommittedUpdate update) override;
  void OnImage(std::shared_ptr<const MetadataImage> image) override;
  void OnLeader(publish::LeaderView leader) override;
  // CommittedLog: from this loop.
  void ReadCommitted(OffsetAndEpoch from, size_t max_bytes, ReadDone done) override;
  void ConfirmCommittedEnd(EndDone done) override;

  void Subscribe(std::shared_ptr<SimStream> stream, v1::SubscribeRequest request);
  void OnReady(const std::shared_ptr<SimStream>& stream);
  void OnDisconnected(const std::shared_ptr<SimStream>& stream);

  void PauseUntil(TimePoint when);
  void BeginShutdown();
  bool is_idle() const { return events_.empty() && publisher_.subscription_count() == 0; }
  void Die();

 private:
  void Post(std::function<void(TimePoint)> event);
  void ScheduleTurnAt(TimePoint when);
  void RunTurn();
  TimePoint LocalNow() const;

  World& world_;
  SimProcess& process_;
  Random random_;
  publish::UpdatePublisher publisher_;
  std::optional<NodeId> leader_id_;  // as the publisher knows it
  std::deque<std::function<void(TimePoint)>> events_;
  std::map<uint64_t, std::shared_ptr<SimStream>> streams_;  // by serial
  TimePoint next_turn_ = kNever;
  uint64_t turn_generation_ = 0;
  TimePoint paused_until_{};
};

}  // namespace kvorum::sim
