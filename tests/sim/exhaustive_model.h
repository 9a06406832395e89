#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/raft/raft_core.h"
#include "storage/memory/memory_disk.h"

namespace kvorum::sim {

// How far the exhaustive search goes.
struct ExhaustiveOptions {
  int nodes = 3;
  int ops = 2;       // appends by whoever leads
  int crashes = 1;   // each followed by a restart
  int timeouts = 2;  // nodes that have heard nothing for long, or think so
  int depth = 12;
  uint64_t max_states = 1'000'000;
  // Without those in the search it has checked nothing, and failed.
  bool must_commit = false;
  bool must_truncate = false;
  // Begin with logs that differ, as after the crash of the first leader, rather than with nothing.
  bool diverged = false;
};

// A few bare raft cores with their disks, and the messages between them in no order at all: the
// search decides what happens next. No clock: a timer fires when the search says so, however early.
// What has happened so far (leaders, votes, commits) is remembered and checked after every action.
// Owned by the search; copied by doing the same actions again.
class ExhaustiveModel {
 public:
  explicit ExhaustiveModel(const ExhaustiveOptions& options);

  struct Action {
    enum class Kind { kDeliver, kSync, kAppend, kTimeout, kCrash };
    Kind kind = Kind::kDeliver;
    size_t which = 0;  // the message's index, else the node's
  };
  // What can happen now, in a fixed order.
  std::vector<Action> Actions() const;
  // REQUIRES: one of Actions().
  void Do(const Action& action);
  std::string ToText(const Action& action) const;

  // Equal for states that nothing but deadlines, back-off and correlation ids tells apart.
  uint64_t Hash() const;

  struct Reached {
    uint64_t elections = 0;
    uint64_t commits = 0;
    uint64_t truncations = 0;
  };
  const Reached& reached() const { return reached_; }

 private:
  struct Replica {
    std::unique_ptr<MemoryDisk> disk;
    std::unique_ptr<raft::RaftCore> core;
    std::deque<StorageWrite> unsynced;
    std::vector<RecordBatch> log;  // with what is not synced
    TimePoint now{};
  };
  struct Message {
    size_t from = 0;
    size_t to = 0;
    raft::CorrelationId id;  // of the request, at its sender
    std::variant<raft::RaftRequest, raft::RaftResponse> body;
  };
  // A request that was delivered and not answered.
  struct Inbound {
    size_t from = 0;
    raft::CorrelationId id;
  };

  void MakeDivergedDisks();
  void Start(size_t index);
  void Step(size_t index, raft::Event event);
  void Collect(size_t index);
  void Answer(size_t index, raft::SendReply reply);
  void Deliver(size_t message);
  void Sync(size_t index);
  void Check();
  void CheckLeader(size_t index);
  void CheckCommits(size_t index);
  void CheckLogs() const;
  size_t HoldersOf(const BatchEnd& end) const;
  void HashReplica(size_t index, std::string& out) const;
  void HashMessage(const Message& message, std::string& out) const;

  ExhaustiveOptions options_;
  raft::VoterSet voters_;
  std::vector<Replica> replicas_;
  std::vector<Message> messages_;
  std::map<std::pair<size_t, raft::RequestToken>, Inbound> inbound_;
  raft::RequestToken last_token_;
  int appended_ = 0;
  int crashed_ = 0;
  int timed_out_ = 0;

  // What was true once and must stay so.
  std::map<Epoch, size_t> leaders_;
  std::map<std::pair<Epoch, size_t>, ReplicaKey> votes_;  // as they reached the disk
  std::map<Offset, uint64_t> committed_;                  // chain hash by batch end
  std::vector<std::optional<Offset>> high_watermarks_;
  Reached reached_;
};

}  // namespace kvorum::sim
