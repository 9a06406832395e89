#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/base/random.h"
#include "tests/sim/filtered_subscriber.h"
#include "tests/sim/quorum_operator.h"
#include "tests/sim/sim_broker.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// What must come true once faults stop, while a majority of the voters is well: L1 one leader and
// no more elections, L2 writes commit, L3 all agree, L4 every call ends, L5 streams catch up, L6
// brokers are fenced and unfenced, L7 changes of the quorum end, L8 snapshots are made and the log
// before them goes, L9 the log of an idle cluster hardly grows. And that a quiet cluster stays
// quiet (40 Bounded). Owned by the simulation.
class Liveness {
 public:
  using Brokers = std::vector<std::unique_ptr<SimBroker>>;
  using Clients = std::vector<std::unique_ptr<SimClient>>;
  using Subscribers = std::vector<std::unique_ptr<FilteredSubscriber>>;
  struct Actors {
    Brokers& brokers;
    Clients& clients;
    Subscribers& subscribers;
    QuorumOperator& quorum;
  };

  Liveness(World& world, const Actors& actors, Random random);

  // Runs the whole phase. REQUIRES: the nemesis has stopped.
  void Run();

 private:
  void ChooseCore();
  void GiveNewSettings();
  void StartEverybody();
  void CutOff(NodeId id);
  void HalfLinkOthers();
  void RunFor(Duration length);
  void RunQuietly(Duration length);
  // Until `missing` has nothing to say any more.
  void RunUntil(const std::function<std::string()>& missing, Duration limit);
  void CheckQuorumChanges();
  void CheckSnapshotsProgress();
  // The newest snapshot that each node has answered with.
  using MadeSnapshots = std::map<NodeId, Offset>;
  void TriggerSnapshots(const std::shared_ptr<MadeSnapshots>& made);
  std::string MissingAfterSnapshots(const MadeSnapshots& made) const;
  void CheckCommitLag();
  void CheckStaysQuiet();
  // By actor; nullopt: without a stream at the moment.
  using BookmarkCounts = std::map<int, std::optional<BookmarkCount>>;
  BookmarkCounts CountBookmarks() const;
  void CheckBookmarks(const BookmarkCounts& before, Duration length) const;
  // What is still missing; empty: nothing.
  std::string Missing();
  std::string MissingInCore() const;
  std::string MissingInBrokers() const;
  std::string MissingInSubscribers() const;
  std::string MissingInQuorum() const;
  SimProcess* Leader() const;
  std::optional<Epoch> LeaderEpoch() const;

  World& world_;
  Brokers& brokers_;
  Clients& clients_;
  Subscribers& subscribers_;
  QuorumOperator& operator_;
  Random random_;
  std::set<NodeId> core_;         // voters that must work
  std::set<NodeId> others_;       // that stay down or are cut off in part
  std::optional<Offset> target_;  // everything below it must reach everybody
  bool final_puts_started_ = false;
  std::deque<std::pair<TimePoint, Offset>> commits_;  // what the leader knew lately, and when
  Epoch commits_epoch_;
};

}  // namespace kvorum::sim
