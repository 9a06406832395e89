#pragma once

#include <functional>
#include <map>
#include <string>

#include "server/base/time.h"
#include "server/metadata/metadata_level.h"
#include "server/node/ports.h"
#include "server/node/recent_batches.h"
#include "server/raft/effects.h"
#include "storage/storage.h"

namespace kvorum {

// What the executor leaves to the node: everything that concerns the metadata.
class EffectTarget {
 public:
  virtual ~EffectTarget() = default;
  virtual void OnWriteDone(Now now, raft::WriteDone done) = 0;
  virtual void OnHighWatermark(Now now) = 0;
  virtual void OnReadConfirmed(Now now, const raft::ReadConfirmed& read) = 0;
  virtual void OnQuorumChangeDone(const raft::QuorumChangeDone& change) = 0;
  virtual void OnLeadership(Now now, const raft::LeadershipChange& change) = 0;
  // Raft replaced the log by this snapshot, which is frozen.
  virtual void OnInstalled(const SnapshotManifest& manifest) = 0;
  // A chunk that a replica asked for can't be read any more: nobody is sent this snapshot again.
  virtual void OnSnapshotDamaged(Now now, const SnapshotId& id, const absl::Status& status) = 0;
  // Something of raft's own was carried out.
  virtual void OnDone(Now now, raft::Event event) = 0;
};

// The one place where the order of effects is decided. Owned by Node; loop thread only.
class EffectExecutor {
 public:
  using ReplyDone = std::function<void(raft::RaftResponse)>;

  struct Ports {
    Storage& storage;
    PeerTransport& transport;
    NodeHost& host;
    NodeObserver& observer;
    RecentBatches& recent;
    EffectTarget& target;
  };

  // `client_endpoint` is stamped on everything that goes to peers.
  EffectExecutor(Ports ports, std::string client_endpoint)
      : ports_(ports), client_endpoint_(std::move(client_endpoint)) {}

  // Remembers who waits for the answer of an inbound request.
  raft::RequestToken AddRequest(ReplyDone done);

  void Run(Now now, raft::Effects effects);

  // Bytes of batches submitted and not yet durable.
  size_t inflight_bytes() const { return inflight_bytes_; }

  // Of peers; answers that still need the log are among them.
  size_t unanswered_requests() const { return waiting_.size(); }

  // After a storage failure nothing is sent, written or answered any more.
  bool failed() const { return failed_; }
  void Fail(const absl::Status& status);

 private:
  void SubmitWrite(StorageWrite write);
  void Reply(raft::SendReply reply);
  void FillFromStorage(raft::SendReply reply);
  void FillFromSnapshot(raft::SendReply reply);
  void StoreChunk(raft::StoreSnapshotChunk chunk);
  void FreezeSnapshot(const SnapshotManifest& manifest);
  void DeleteSnapshot(const SnapshotId& id);
  void Finish(raft::RequestToken token, raft::RaftResponse response);

  Ports ports_;
  // Says who this node is to peers: where its clients go, and what it can work with.
  template <typename Header>
  void Introduce(Header& header) const {
    header.client_endpoint = client_endpoint_;
    header.min_metadata_level = kMinMetadataLevel;
    header.max_metadata_level = kMaxMetadataLevel;
  }

  std::string client_endpoint_;
  raft::RequestToken last_token_{0};
  std::map<raft::RequestToken, ReplyDone> waiting_;
  size_t inflight_bytes_ = 0;
  bool failed_ = false;
};

}  // namespace kvorum
