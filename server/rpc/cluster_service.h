#pragma once

#include "absl/status/statusor.h"
#include "kvorum/v1/cluster.grpc.pb.h"

namespace kvorum::rpc {

// Who answers ClusterService: a controller that waits to be told its cluster, or one that belongs
// to one. Owned by the composition root, outlives the service; any thread.
class ClusterHost {
 public:
  virtual ~ClusterHost() = default;
  virtual v1::DescribeNodeResponse Describe() const = 0;
  virtual absl::StatusOr<v1::InitializeResponse> Initialize(
      const v1::InitializeRequest& request) = 0;
};

// Owned by a server; called by gRPC's threads. Initialize writes files: it blocks its thread, once
// in the life of a cluster.
class ClusterServiceImpl final : public v1::ClusterService::CallbackService {
 public:
  explicit ClusterServiceImpl(ClusterHost& host) : host_(host) {}

  grpc::ServerUnaryReactor* DescribeNode(grpc::CallbackServerContext* context,
                                         const v1::DescribeNodeRequest* request,
                                         v1::DescribeNodeResponse* response) override;
  grpc::ServerUnaryReactor* Initialize(grpc::CallbackServerContext* context,
                                       const v1::InitializeRequest* request,
                                       v1::InitializeResponse* response) override;

 private:
  ClusterHost& host_;
};

}  // namespace kvorum::rpc
