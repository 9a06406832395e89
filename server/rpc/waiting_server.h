#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/base/time.h"
#include "server/rpc/cluster_service.h"
#include "server/rpc/health.h"
#include "server/rpc/reflection_service.h"

namespace kvorum::rpc {

// The two listeners of a controller that belongs to no cluster yet: health and ClusterService;
// every other call is refused with CLUSTER_NOT_INITIALIZED. Owned by the composition root.
class WaitingServer {
 public:
  struct Addresses {
    std::string client;      // host:port
    std::string controller;  // host:port
  };

  WaitingServer(ClusterHost& host, Health& health);
  ~WaitingServer();
  WaitingServer(const WaitingServer&) = delete;
  WaitingServer& operator=(const WaitingServer&) = delete;

  // Unavailable, naming the address, if one cannot be listened on.
  absl::Status Start(const Addresses& addresses);

  // Frees the listeners; calls in flight have `grace` to end. Idempotent.
  void Shutdown(Duration grace);

 private:
  class RefusingService final : public grpc::CallbackGenericService {
   public:
    grpc::ServerGenericBidiReactor* CreateReactor(
        grpc::GenericCallbackServerContext* context) override;
  };

  absl::StatusOr<std::unique_ptr<grpc::Server>> Listen(std::string_view name,
                                                       const std::string& address,
                                                       bool for_clients);

  ClusterServiceImpl cluster_;
  ReflectionService reflection_;
  RefusingService client_refusals_;
  RefusingService controller_refusals_;
  Health& health_;
  std::unique_ptr<grpc::Server> client_server_;
  std::unique_ptr<grpc::Server> controller_server_;
};

}  // namespace kvorum::rpc
