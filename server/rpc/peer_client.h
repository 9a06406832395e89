#pragma once

#include <grpcpp/channel.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "kvorum/v1/raft.grpc.pb.h"
#include "server/base/mutex.h"
#include "server/node/ports.h"
#include "server/rpc/connect_probe.h"
#include "server/runtime/node_runner.h"

namespace kvorum::rpc {

// Sends raft's requests to other controllers: one channel per peer, callback stubs, and whatever
// became of a request posted to node's loop. A request to a peer replaces the one before it, as
// the core has at most one in flight per peer. Owned by the composition root; Send on node's loop,
// the rest on gRPC's threads.
class PeerClient : public PeerTransport {
 public:
  // `responses` must outlive Stop.
  explicit PeerClient(PeerResponses& responses);
  ~PeerClient() override;

  void Send(raft::SendRequest request) override EXCLUDES_LOCK(mutex_);
  // Replaces nothing and is replaced by nothing.
  bool SendReadBarrier(const raft::Voter& leader, v1::ReadBarrierRequest request,
                       BarrierDone done) override EXCLUDES_LOCK(mutex_);

  // Cancels what is in flight and waits for it. Later requests are dropped. Idempotent; not from
  // gRPC's threads.
  void Stop() EXCLUDES_LOCK(mutex_);

 private:
  struct Call;
  template <typename Method>
  struct TypedCall;
  struct BarrierCall;
  using CallPointer = std::shared_ptr<Call>;

  // One controller we talk to.
  struct Peer {
    raft::PeerAddress address;
    std::shared_ptr<grpc::Channel> channel;
    std::shared_ptr<v1::RaftService::Stub> stub;
    CallPointer newest;     // null or finished: nothing to replace
    bool reachable = true;  // as last seen; for the log only
  };

  template <typename Method>
  void Start(const typename Method::Core& request, const raft::SendRequest& send)
      EXCLUDES_LOCK(mutex_);
  Peer& FindOrConnect(const raft::Voter& voter) REQUIRES_LOCK(mutex_);

  void OnFinished(const CallPointer& call, const grpc::Status& status,
                  absl::StatusOr<raft::RaftResponse> response) EXCLUDES_LOCK(mutex_);
  // True if somebody still waits for what becomes of `call`.
  bool IsWanted(const CallPointer& call) EXCLUDES_LOCK(mutex_);
  void Report(const CallPointer& call, const grpc::Status& status,
              absl::StatusOr<raft::RaftResponse> response) EXCLUDES_LOCK(mutex_);
  void Fail(const Call& call, raft::SendFailure failure, const std::string& why)
      EXCLUDES_LOCK(mutex_);
  void OnProbed(const Call& call, ProbeResult result, const std::string& why) EXCLUDES_LOCK(mutex_);
  // Logs when a peer becomes reachable or unreachable, not every failure.
  void NoteReachable(NodeId peer, bool reachable, const std::string& why) EXCLUDES_LOCK(mutex_);

  PeerResponses& responses_;
  ConnectProbe probe_;

  Mutex mutex_;
  CondVar calls_changed_;
  std::map<NodeId, Peer> peers_ GUARDED_BY(mutex_);
  std::set<CallPointer> calls_ GUARDED_BY(mutex_);  // in flight
  bool stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace kvorum::rpc
