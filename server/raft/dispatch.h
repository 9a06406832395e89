#pragma once

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// The doors for peers' requests and answers: identity first, then epochs, then the topic's handler.
// Nothing that a peer says may abort the process, but for a truncation below the high watermark.

void OnRequest(RaftState& state, RequestReceived event);
void OnResponse(RaftState& state, const ResponseReceived& event);
void OnRequestFailed(RaftState& state, const RequestFailed& event);
void OnBeginShutdown(RaftState& state);

}  // namespace kvorum::raft
