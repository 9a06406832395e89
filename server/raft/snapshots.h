#pragma once

#include "server/raft/raft_state.h"

namespace kvorum::raft {

// Snapshots (KIP-630): who is too far behind fetches one instead of the log. The state machine
// makes them and forgets the log below; raft says where they may be, hands them on and installs
// them.

// The leader's side.
void OnFetchSnapshotRequest(RaftState& state, RequestToken token,
                            const FetchSnapshotRequest& request);

// What the replica furthest behind copies of this leader's snapshots, if one does.
std::optional<SnapshotLease> OldestSnapshotLease(const RaftState& state, TimePoint now);

// The follower's side. The leader's fetch answer named a snapshot: REQUIRES: Follower.
void BeginSnapshotCopy(RaftState& state, NodeId from, const SnapshotId& id);
void SendFetchSnapshot(RaftState& state, const Voter& to);
void OnFetchSnapshotResponse(RaftState& state, NodeId from, const FetchSnapshotResponse& response);
// The leader can't give it (any more): the next fetch names a newer one.
void OnFetchSnapshotRefused(RaftState& state, NodeId from, RaftError error);
void OnSnapshotChunkStored(RaftState& state, const SnapshotChunkStored& event);
void OnSnapshotFrozen(RaftState& state, const SnapshotFrozen& event);

// This node's own.
void OnSnapshotTaken(RaftState& state, const SnapshotTaken& event);
void OnMoveLogStart(RaftState& state, const MoveLogStart& event);

// At construction: a snapshot was frozen but the crash came before it was installed.
void InstallRecoveredSnapshot(RaftState& state);
// Lets go of the snapshots that nothing refers to any more.
void ReleaseDoomedSnapshots(RaftState& state);

}  // namespace kvorum::raft
