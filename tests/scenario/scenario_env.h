#pragma once

#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/protocol/raft_cluster.h"

namespace kvorum::raft {

// Runs the commands of a scenario file against a cluster and says what happened, in text:
//
//   cluster 3 [observers]   a fresh one; writes are synced by hand
//   timeout 1 [role]        fires the node's next deadline (until it has the role)
//   run 500                 milliseconds with messages delivered at once and disks synced
//   deliver [all|N]         oldest messages first
//   drop                    loses all messages in flight
//   append leader|1 text    by the leader of the highest epoch, or by node 1 if it leads
//   read 1                  a linearizable read
//   sync 1 [N] | sync all   completes the node's oldest writes
//   crash 1 | restart 1     loses what is not synced
//   isolate 1 | heal        cuts links both ways
//   shutdown 1              begins a hand-over
//   joiner 4                a node that was formatted to join, knowing addresses only
//   add leader|1 4          a change of the voters, asked of the leader or of node 1
//   remove leader|1 4
//   transfer leader|1 2     leadership to node 2
//   snapshot 1              node 1 makes one of all it knows to be committed, and drops the log
//                           below it
//   state | log             one line per node
//
// Owned by a test; one thread.
class ScenarioEnv {
 public:
  // Output of one command line: traces, deliveries and effects in order.
  std::string Run(const std::string& line);

 private:
  using Handler = std::function<void(std::istringstream&)>;

  void BuildCluster(std::istringstream& args);
  void Timeout(std::istringstream& args);
  void Deliver(std::istringstream& args);
  void Append(std::istringstream& args);
  void Sync(std::istringstream& args);
  void RunFor(std::istringstream& args);
  void Change(std::istringstream& args, VoterChangeKind kind);
  void Transfer(std::istringstream& args);
  void Snapshot(std::istringstream& args);
  void PrintState();
  void PrintLogs();
  // What the nodes did since the last call.
  void PrintNews();

  TestNode& Node(std::istringstream& args);
  // "leader" or an id; nullptr, and that is said, if there is none.
  TestNode* LeaderOrNode(std::istringstream& args);

  std::unique_ptr<TestCluster> cluster_;
  std::ostringstream out_;
  uint64_t last_read_ = 0;
  int voters_ = 0;                                    // at the beginning
  std::vector<std::pair<int, ChangeToken>> changes_;  // asked of whom, and not answered yet
};

}  // namespace kvorum::raft
