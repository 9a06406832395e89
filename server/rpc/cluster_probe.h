#pragma once

#include "absl/status/statusor.h"
#include "kvorum/v1/cluster.pb.h"
#include "server/base/time.h"
#include "server/raft/voter_set.h"

namespace kvorum::rpc {

// Asks the controller whose controller-listener is at `address` who it is and what it belongs to.
// Unavailable, naming the address, if there is no answer or it waits to be told its cluster. Blocks
// for `timeout` at most.
absl::StatusOr<v1::DescribeNodeResponse> AskForCluster(const raft::PeerAddress& address,
                                                       Duration timeout);

}  // namespace kvorum::rpc
