#pragma once

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// The follower's side of Fetch (KIP-595): one fetch in flight, sent only when everything before it
// is on the disk, so that a fetch at N acknowledges all below N. And the search for a leader.

// `from` answered the fetch in flight; its epoch is ours. REQUIRES: Follower of `from`.
void OnFetchResponse(RaftState& state, NodeId from, const FetchResponse& response);

// A quarantined replica that has everything again and knows it committed leaves the quarantine.
void MaybeEndQuarantine(RaftState& state);

// A fetch to `to` will not be answered.
void OnFetchFailed(RaftState& state, NodeId to, SendFailure failure);

// A probe of `from` brought no leader: ask somebody else, later.
void OnProbeFailed(RaftState& state);

// An answer of an older epoch than ours changes nothing here. But the leader that it names may be
// where nobody else says, and it is the one who has to hear of our epoch.
void NoteOlderLeader(RaftState& state, const ResponseHeader& header);

// Fetches, probes, or campaigns, whatever is due. REQUIRES: Unattached or Follower.
void PollFetching(RaftState& state);
// When PollFetching would next act.
TimePoint FetchingDeadline(const RaftState& state);

// Who asks the voters for pre-votes also asks the servers of its settings who leads: all voters may
// have moved, or been replaced, while it was away. REQUIRES: Prospective.
void PollProbing(RaftState& state);
TimePoint ProbingDeadline(const RaftState& state);

}  // namespace kvorum::raft
