#pragma once

#include <map>
#include <string>

#include "kvorum/v1/quorum.pb.h"
#include "server/base/ids.h"
#include "server/base/time.h"
#include "server/raft/raft_core.h"

namespace kvorum {

// Raft's view of the quorum as the API shows it (KIP-595 "DescribeQuorum"). Fills all but the
// header and what raft does not know.
v1::DescribeQuorumResponse DescribeQuorum(const raft::RaftDescription& raft,
                                          const std::map<NodeId, std::string>& client_endpoints,
                                          TimePoint now);

// The controllers and where they are reached. Fills all but the header.
v1::DescribeClusterResponse DescribeCluster(const raft::RaftDescription& raft,
                                            const std::map<NodeId, std::string>& client_endpoints);

v1::QuorumVoter MakeQuorumVoter(const raft::Voter& voter);
v1::QuorumView MakeQuorumView(const raft::VoterSet& voters);

}  // namespace kvorum
