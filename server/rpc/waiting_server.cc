#include "server/rpc/waiting_server.h"

#include <fmt/format.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>

#include <chrono>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/rpc/listen.h"
#include "server/rpc/status_codec.h"
#include "server/rpc/transport_options.h"

namespace kvorum::rpc {
namespace {

class Refusal final : public grpc::ServerGenericBidiReactor {
 public:
  Refusal() {
    Finish(ToGrpcStatus(MakeError(ErrorReason::kClusterNotInitialized,
                                  "this controller belongs to no cluster yet; run `kvorumctl "
                                  "--endpoints … cluster init` once, "
                                  "with the client endpoints of all its controllers")));
  }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerGenericBidiReactor* WaitingServer::RefusingService::CreateReactor(
    grpc::GenericCallbackServerContext*) {
  return new Refusal;
}

WaitingServer::WaitingServer(ClusterHost& host, Health& health)
    : cluster_(host),
      reflection_({v1::ClusterService::service_full_name(), "grpc.health.v1.Health",
                   reflection::ServerReflection::service_full_name()}),
      health_(health) {}

WaitingServer::~WaitingServer() { Shutdown(Duration::zero()); }

absl::StatusOr<std::unique_ptr<grpc::Server>> WaitingServer::Listen(std::string_view name,
                                                                    const std::string& address,
                                                                    bool for_clients) {
  grpc::ServerBuilder builder;
  if (for_clients) {
    ApplyClientListenerOptions(builder);
    builder.RegisterService(&cluster_);
    builder.RegisterService(&reflection_);
    builder.RegisterCallbackGenericService(&client_refusals_);
  } else {
    ApplyControllerListenerOptions(builder);
    builder.RegisterCallbackGenericService(&controller_refusals_);
  }
  int port = 0;
  return ListenOn(builder, name, address, port);
}

absl::Status WaitingServer::Start(const Addresses& addresses) {
  grpc::EnableDefaultHealthCheckService(true);  // process-wide; gRPC has no other way
  KVORUM_ASSIGN_OR_RETURN(controller_server_, Listen("controller-listener", addresses.controller,
                                                     /*for_clients=*/false));
  KVORUM_ASSIGN_OR_RETURN(client_server_,
                          Listen("client-listener", addresses.client, /*for_clients=*/true));
  health_.Attach(controller_server_->GetHealthCheckService());
  health_.Attach(client_server_->GetHealthCheckService());
  return absl::OkStatus();
}

void WaitingServer::Shutdown(Duration grace) {
  health_.DetachAll();
  const auto deadline = std::chrono::system_clock::now() + grace;
  for (std::unique_ptr<grpc::Server>* server : {&client_server_, &controller_server_}) {
    if (*server != nullptr) {
      (*server)->Shutdown(deadline);
      server->reset();
    }
  }
}

}  // namespace kvorum::rpc
