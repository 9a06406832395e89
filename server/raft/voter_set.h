#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/base/ids.h"

namespace kvorum::raft {

// Where a controller listens for the other controllers.
struct PeerAddress {
  std::string host;
  uint16_t port = 0;

  friend bool operator==(const PeerAddress&, const PeerAddress&) = default;
};

// One member of the quorum: identity (node and disk) and address.
struct Voter {
  ReplicaKey key;
  PeerAddress address;

  friend bool operator==(const Voter&, const Voter&) = default;
};

// The replicas that elect and commit, by node id (KIP-853 "KRaftVoters"). Immutable value; any
// thread.
class VoterSet {
 public:
  VoterSet() = default;
  // REQUIRES: node ids are unique.
  explicit VoterSet(std::vector<Voter> voters);

  // True if `key` is a voter: node id *and* directory id (a wiped disk is another replica).
  bool Contains(const ReplicaKey& key) const;
  const Voter* Find(NodeId id) const;  // nullptr: no such voter
  size_t size() const { return voters_.size(); }
  bool empty() const { return voters_.empty(); }
  // Smallest number of voters of which any two sets overlap.
  size_t majority() const { return voters_.size() / 2 + 1; }
  // How many of them may be lost.
  size_t fault_tolerance() const { return empty() ? 0 : size() - majority(); }
  const std::map<NodeId, Voter>& voters() const { return voters_; }

  // This set with `voter` in the place of whoever has its node id; without the one of `id`.
  VoterSet With(Voter voter) const;
  VoterSet Without(NodeId id) const;
  // Replicas that are in one of the two sets only. More than one: their majorities need not overlap
  // (KIP-853, KAFKA-17973).
  size_t CountDifferences(const VoterSet& other) const;

  friend bool operator==(const VoterSet&, const VoterSet&) = default;

 private:
  std::map<NodeId, Voter> voters_;
};

}  // namespace kvorum::raft
