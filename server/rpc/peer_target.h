#pragma once

#include <string>

#include "server/raft/voter_set.h"

namespace kvorum::rpc {

// gRPC's name for the controller-listener at `address`.
std::string PeerTarget(const raft::PeerAddress& address);

}  // namespace kvorum::rpc
