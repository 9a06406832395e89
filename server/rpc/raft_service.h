#pragma once

#include "kvorum/v1/raft.grpc.pb.h"
#include "server/runtime/node_runner.h"

namespace kvorum::rpc {

// The only service of the controller listener: decodes, posts, encodes. A status other than OK
// means that the request was malformed or was not taken; every outcome of the protocol is in the
// response. Owned by GrpcServer; called by gRPC's threads, answers from node's loop.
class RaftServiceImpl final : public v1::RaftService::CallbackService {
 public:
  explicit RaftServiceImpl(NodeRunner& runner) : runner_(runner) {}

  grpc::ServerUnaryReactor* Vote(grpc::CallbackServerContext* context,
                                 const v1::VoteRequest* request,
                                 v1::VoteResponse* response) override;
  grpc::ServerUnaryReactor* BeginQuorumEpoch(grpc::CallbackServerContext* context,
                                             const v1::BeginQuorumEpochRequest* request,
                                             v1::BeginQuorumEpochResponse* response) override;
  grpc::ServerUnaryReactor* EndQuorumEpoch(grpc::CallbackServerContext* context,
                                           const v1::EndQuorumEpochRequest* request,
                                           v1::EndQuorumEpochResponse* response) override;
  grpc::ServerUnaryReactor* Fetch(grpc::CallbackServerContext* context,
                                  const v1::FetchRequest* request,
                                  v1::FetchResponse* response) override;
  grpc::ServerUnaryReactor* FetchSnapshot(grpc::CallbackServerContext* context,
                                          const v1::FetchSnapshotRequest* request,
                                          v1::FetchSnapshotResponse* response) override;
  grpc::ServerUnaryReactor* ReadBarrier(grpc::CallbackServerContext* context,
                                        const v1::ReadBarrierRequest* request,
                                        v1::ReadBarrierResponse* response) override;
  grpc::ServerUnaryReactor* UpdateRaftVoter(grpc::CallbackServerContext* context,
                                            const v1::UpdateRaftVoterRequest* request,
                                            v1::UpdateRaftVoterResponse* response) override;

 private:
  NodeRunner& runner_;
};

}  // namespace kvorum::rpc
