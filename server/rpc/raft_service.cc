#include "server/rpc/raft_service.h"

#include <utility>
#include <variant>

#include "server/rpc/raft_codec.h"
#include "server/rpc/status_codec.h"

namespace kvorum::rpc {
namespace {

template <typename CoreResponse, typename Request, typename Response>
grpc::ServerUnaryReactor* Handle(NodeRunner& runner, grpc::CallbackServerContext* context,
                                 const Request* request, Response* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto decoded = Decode(*request);
  absl::Status status = decoded.status();
  if (status.ok()) {
    status = runner.SubmitRaftRequest(*std::move(decoded),
                                      [reactor, response](const raft::RaftResponse& answer) {
                                        Encode(std::get<CoreResponse>(answer), *response);
                                        reactor->Finish(grpc::Status::OK);
                                      });
  }
  if (!status.ok()) {
    reactor->Finish(ToGrpcStatus(status));
  }
  return reactor;
}

}  // namespace

grpc::ServerUnaryReactor* RaftServiceImpl::Vote(grpc::CallbackServerContext* context,
                                                const v1::VoteRequest* request,
                                                v1::VoteResponse* response) {
  return Handle<raft::VoteResponse>(runner_, context, request, response);
}

grpc::ServerUnaryReactor* RaftServiceImpl::BeginQuorumEpoch(
    grpc::CallbackServerContext* context, const v1::BeginQuorumEpochRequest* request,
    v1::BeginQuorumEpochResponse* response) {
  return Handle<raft::BeginQuorumEpochResponse>(runner_, context, request, response);
}

grpc::ServerUnaryReactor* RaftServiceImpl::EndQuorumEpoch(grpc::CallbackServerContext* context,
                                                          const v1::EndQuorumEpochRequest* request,
                                                          v1::EndQuorumEpochResponse* response) {
  return Handle<raft::EndQuorumEpochResponse>(runner_, context, request, response);
}

grpc::ServerUnaryReactor* RaftServiceImpl::Fetch(grpc::CallbackServerContext* context,
                                                 const v1::FetchRequest* request,
                                                 v1::FetchResponse* response) {
  return Handle<raft::FetchResponse>(runner_, context, request, response);
}

grpc::ServerUnaryReactor* RaftServiceImpl::FetchSnapshot(grpc::CallbackServerContext* context,
                                                         const v1::FetchSnapshotRequest* request,
                                                         v1::FetchSnapshotResponse* response) {
  return Handle<raft::FetchSnapshotResponse>(runner_, context, request, response);
}

grpc::ServerUnaryReactor* RaftServiceImpl::ReadBarrier(grpc::CallbackServerContext* context,
                                                       const v1::ReadBarrierRequest* request,
                                                       v1::ReadBarrierResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  runner_.SubmitReadBarrier(
      *request, [reactor, response](const absl::StatusOr<v1::ReadBarrierResponse>& answer) {
        if (answer.ok()) {
          *response = *answer;
        }
        reactor->Finish(ToGrpcStatus(answer.status()));
      });
  return reactor;
}

grpc::ServerUnaryReactor* RaftServiceImpl::UpdateRaftVoter(
    grpc::CallbackServerContext* context, const v1::UpdateRaftVoterRequest* request,
    v1::UpdateRaftVoterResponse* response) {
  return Handle<raft::UpdateVoterResponse>(runner_, context, request, response);
}

}  // namespace kvorum::rpc
