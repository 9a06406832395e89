#include "server/rpc/listen.h"

#include <fmt/format.h>
#include <grpcpp/security/server_credentials.h>

namespace kvorum::rpc {

absl::StatusOr<std::unique_ptr<grpc::Server>> ListenOn(grpc::ServerBuilder& builder,
                                                       std::string_view name,
                                                       const std::string& address, int& port) {
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    return absl::UnavailableError(fmt::format(
        "{} {} cannot be listened on: another process uses the port, or the host is no address of "
        "this machine",
        name, address));
  }
  return server;
}

}  // namespace kvorum::rpc
