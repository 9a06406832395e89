#include "server/rpc/cluster_service.h"

#include <utility>

#include "server/rpc/status_codec.h"

namespace kvorum::rpc {

grpc::ServerUnaryReactor* ClusterServiceImpl::DescribeNode(grpc::CallbackServerContext* context,
                                                           const v1::DescribeNodeRequest*,
                                                           v1::DescribeNodeResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  *response = host_.Describe();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* ClusterServiceImpl::Initialize(grpc::CallbackServerContext* context,
                                                         const v1::InitializeRequest* request,
                                                         v1::InitializeResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::StatusOr<v1::InitializeResponse> result = host_.Initialize(*request);
  if (result.ok()) {
    *response = *std::move(result);
  }
  reactor->Finish(ToGrpcStatus(result.status()));
  return reactor;
}

}  // namespace kvorum::rpc
