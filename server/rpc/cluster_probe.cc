#include "server/rpc/cluster_probe.h"

#include <fmt/format.h>
#include <grpc/support/time.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include "kvorum/v1/cluster.grpc.pb.h"
#include "server/rpc/peer_target.h"
#include "server/rpc/transport_options.h"

namespace kvorum::rpc {

absl::StatusOr<v1::DescribeNodeResponse> AskForCluster(const raft::PeerAddress& address,
                                                       Duration timeout) {
  const auto channel = grpc::CreateCustomChannel(
      PeerTarget(address), grpc::InsecureChannelCredentials(), PeerChannelArguments());
  const auto stub = v1::ClusterService::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(gpr_time_from_nanos(timeout.count(), GPR_TIMESPAN));
  context.set_wait_for_ready(true);  // an attempt to connect that fails is not the last one
  v1::DescribeNodeResponse response;
  const grpc::Status status = stub->DescribeNode(&context, {}, &response);
  if (!status.ok()) {
    return absl::UnavailableError(fmt::format("{}:{} does not say what cluster it belongs to: {}",
                                              address.host, address.port, status.error_message()));
  }
  if (!response.initialized()) {
    return absl::UnavailableError(
        fmt::format("{}:{} belongs to no cluster yet", address.host, address.port));
  }
  return response;
}

}  // namespace kvorum::rpc
