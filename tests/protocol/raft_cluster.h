#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {

// A message between two nodes that the test delivers, drops or keeps.
struct TestMessage {
  int from = 0;
  int to = 0;
  CorrelationId id;  // of the request, at its sender
  NodeId sent_to;    // what the sender calls the other end: no node's id if it knew an address only
  TimePoint fails_at;  // requests only
  std::variant<RaftRequest, RaftResponse> body;
};
// "1->2 vote epoch=1 log=0/0".
std::string ToText(const TestMessage& message);

// Some TestNodes, one clock, and the messages between them. Messages to a node that is down fail
// as refused; messages over a cut link are lost.
class TestCluster {
 public:
  explicit TestCluster(int voters, int observers = 0);

  TestNode& node(int id) { return *nodes_.at(id); }
  const TestNode& node(int id) const { return *nodes_.at(id); }
  int size() const { return static_cast<int>(nodes_.size()); }
  bool is_up(int id) const { return !down_.contains(id); }
  TimePoint now() const { return now_; }

  // Carries out whatever the nodes have asked to send.
  void Collect();
  // Delivers the oldest message. False: there is none.
  bool DeliverOne();
  void DeliverAll();
  // Delivers, drops or repeats a message out of order.
  void DeliverAt(size_t index);
  void DropAt(size_t index);
  void RepeatAt(size_t index) { messages_.push_back(messages_.at(index)); }
  // Lets time pass and fires what is due; delivers nothing.
  void Advance(Duration by);
  void DropAll();
  const std::deque<TestMessage>& messages() const { return messages_; }
  std::function<void(const TestMessage&)> on_deliver;

  // Delivers messages at once and fires timers in order of time.
  void RunFor(Duration by);
  // Runs until `done` or `limit` has passed; returns whether it is done.
  bool RunUntil(const std::function<bool()>& done, Duration limit = std::chrono::seconds(20));

  void Step(int id, Event event);
  void Append(int id, const std::string& payload);
  void Timeout(int id);  // fires the node's next deadline
  void SetAutoSync(bool on);

  // A node that was formatted to join: it knows addresses of the others only.
  TestNode& AddJoiner(int id, uint8_t disk = 0);
  // The disk of a node that is down is replaced: it comes back as a joiner.
  TestNode& ReplaceDisk(int id, uint8_t disk);
  // From now on the node is reached at `port` only.
  void MoveTo(int id, uint16_t port);
  // Changes the voters by the leader, and runs until that is answered.
  ChangeError Change(VoterChangeKind kind, const Voter& voter);
  // Until all voters of the leader's newest set are `ids` and that is committed.
  bool RunUntilVoters(const std::vector<int>& ids);

  void Crash(int id);
  void Restart(int id);
  void Cut(int a, int b);  // one direction: a's messages do not reach b
  void Isolate(int id);
  void Heal() { cut_.clear(); }

  // The one live leader of the highest epoch; nullopt: none.
  std::optional<int> Leader() const;
  std::optional<int> RunUntilLeader();

 private:
  void Deliver(TestMessage message);
  void FailExpired();
  // Who listens at an address; 0: nobody.
  int At(const PeerAddress& address) const;
  TimePoint NextEvent() const;

  TimePoint now_;
  uint64_t last_token_ = 0;
  std::map<int, std::unique_ptr<TestNode>> nodes_;
  std::map<uint16_t, int> ports_;
  std::set<int> down_ = {0};  // 0: nobody
  std::set<std::pair<int, int>> cut_;
  std::deque<TestMessage> messages_;
  std::vector<TestMessage> unanswered_;                          // requests that wait for an answer
  std::map<std::pair<int, RequestToken>, TestMessage> inbound_;  // by receiver and token
};

}  // namespace kvorum::raft
