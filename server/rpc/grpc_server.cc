#include "server/rpc/grpc_server.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <initializer_list>

#include "server/base/status_macros.h"
#include "server/rpc/listen.h"
#include "server/rpc/transport_options.h"

namespace kvorum::rpc {
namespace {

constexpr char kHealthService[] = "grpc.health.v1.Health";

struct Listener {
  std::string_view name;
  std::string address;
  void (*apply_options)(grpc::ServerBuilder&);
  std::initializer_list<grpc::Service*> services;
};

absl::StatusOr<std::unique_ptr<grpc::Server>> Listen(const Listener& listener, int& port) {
  grpc::ServerBuilder builder;
  listener.apply_options(builder);
  for (grpc::Service* service : listener.services) {
    builder.RegisterService(service);
  }
  return ListenOn(builder, listener.name, listener.address, port);
}

}  // namespace

GrpcServer::GrpcServer(NodeRunner& runner, RequestObserver& observer, Health& health,
                       ClusterHost& cluster)
    : calls_(runner, observer),
      cluster_(cluster),
      quorum_(calls_),
      maintenance_(calls_),
      metadata_(calls_),
      brokers_(calls_),
      topics_(calls_),
      entries_(calls_),
      configs_(calls_),
      quotas_(calls_),
      acls_(calls_),
      credentials_(calls_),
      features_(calls_),
      producer_ids_(calls_),
      streams_(runner.publisher(), observer),
      raft_(runner),
      peer_cluster_(cluster),
      client_reflection_(
          {v1::ClusterService::service_full_name(), v1::QuorumService::service_full_name(),
           v1::MaintenanceService::service_full_name(), v1::MetadataService::service_full_name(),
           v1::BrokerService::service_full_name(), v1::TopicService::service_full_name(),
           v1::EntryService::service_full_name(), v1::ConfigService::service_full_name(),
           v1::QuotaService::service_full_name(), v1::AclService::service_full_name(),
           v1::CredentialService::service_full_name(), v1::FeatureService::service_full_name(),
           v1::ProducerIdService::service_full_name(),
           v1::MetadataStreamService::service_full_name(), kHealthService,
           reflection::ServerReflection::service_full_name()}),
      health_(health) {}

GrpcServer::~GrpcServer() { Shutdown(Duration::zero()); }

absl::Status GrpcServer::Start(const Addresses& addresses) {
  grpc::EnableDefaultHealthCheckService(true);  // process-wide; gRPC has no other way
  // Controllers first: whoever can reach the client listener finds a node that takes part.
  KVORUM_ASSIGN_OR_RETURN(controller_server_,
                          Listen({.name = "controller-listener",
                                  .address = addresses.controller,
                                  .apply_options = &ApplyControllerListenerOptions,
                                  .services = {&raft_, &peer_cluster_}},
                                 controller_port_));
  KVORUM_ASSIGN_OR_RETURN(
      client_server_,
      Listen({.name = "client-listener",
              .address = addresses.client,
              .apply_options = &ApplyClientListenerOptions,
              .services = {&cluster_, &quorum_, &maintenance_, &metadata_, &brokers_, &topics_,
                           &entries_, &configs_, &quotas_, &acls_, &credentials_, &features_,
                           &producer_ids_, &streams_, &client_reflection_}},
             client_port_));
  health_.Attach(controller_server_->GetHealthCheckService());
  health_.Attach(client_server_->GetHealthCheckService());
  warmer_ = std::make_unique<PollerWarmer>(*controller_server_);
  return absl::OkStatus();
}

void GrpcServer::Shutdown(Duration grace) {
  warmer_.reset();
  health_.DetachAll();
  const auto deadline = std::chrono::system_clock::now() + grace;
  for (std::unique_ptr<grpc::Server>* server : {&client_server_, &controller_server_}) {
    if (*server != nullptr) {
      (*server)->Shutdown(deadline);
    }
  }
  streams_.WaitUntilIdle();
  client_server_.reset();
  controller_server_.reset();
}

}  // namespace kvorum::rpc
