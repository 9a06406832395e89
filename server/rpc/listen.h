#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace kvorum::rpc {

// Starts what `builder` holds on `address` (host:port; 0: any). Unavailable, naming the listener
// and the address, if that cannot be listened on. `port`: where it listens.
absl::StatusOr<std::unique_ptr<grpc::Server>> ListenOn(grpc::ServerBuilder& builder,
                                                       std::string_view name,
                                                       const std::string& address, int& port);

}  // namespace kvorum::rpc
