#pragma once

#include <grpcpp/server.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/rpc/client_services.h"
#include "server/rpc/cluster_service.h"
#include "server/rpc/health.h"
#include "server/rpc/poller_warmer.h"
#include "server/rpc/raft_service.h"
#include "server/rpc/reflection_service.h"
#include "server/rpc/stream_service.h"
#include "server/runtime/node_runner.h"
#include "server/runtime/request_observer.h"

namespace kvorum::rpc {

// The two gRPC listeners, in two servers of their own: a flood of clients must not be able to stop
// replication. Owned by the composition root: started after the runner, shut down before it is
// stopped.
class GrpcServer {
 public:
  struct Addresses {
    std::string client;      // host:port
    std::string controller;  // host:port
  };

  GrpcServer(NodeRunner& runner, RequestObserver& observer, Health& health, ClusterHost& cluster);
  ~GrpcServer();
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  // Unavailable, naming the address and what is wrong with it, if one cannot be listened on.
  absl::Status Start(const Addresses& addresses);

  // Where it listens, once started (the address may have asked for any port).
  int client_port() const { return client_port_; }
  int controller_port() const { return controller_port_; }

  // Takes no new calls, gives those in flight `grace` to end, cancels the rest and waits for them:
  // the node must answer them meanwhile. Idempotent.
  void Shutdown(Duration grace);

 private:
  UnaryCalls calls_;
  ClusterServiceImpl cluster_;
  QuorumServiceImpl quorum_;
  MaintenanceServiceImpl maintenance_;
  MetadataServiceImpl metadata_;
  BrokerServiceImpl brokers_;
  TopicServiceImpl topics_;
  EntryServiceImpl entries_;
  ConfigServiceImpl configs_;
  QuotaServiceImpl quotas_;
  AclServiceImpl acls_;
  CredentialServiceImpl credentials_;
  FeatureServiceImpl features_;
  ProducerIdServiceImpl producer_ids_;
  StreamServiceImpl streams_;
  RaftServiceImpl raft_;
  ClusterServiceImpl peer_cluster_;  // for nodes that are to join: they know this listener only
  ReflectionService client_reflection_;
  Health& health_;

  int client_port_ = 0;
  int controller_port_ = 0;
  std::unique_ptr<grpc::Server> client_server_;
  std::unique_ptr<grpc::Server> controller_server_;
  std::unique_ptr<PollerWarmer> warmer_;
};

}  // namespace kvorum::rpc
