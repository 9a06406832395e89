#include "server/cmd/bootstrap.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/cmd/format.h"

namespace kvorum {
namespace {

constexpr Duration kAnswerGrace = std::chrono::milliseconds(2000);
constexpr size_t kMaxHostNameBytes = 256;

// A port nobody uses at this moment; for listeners that ask for any.
uint16_t FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t size = sizeof(address);
  uint16_t port = 0;
  if (fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port = ntohs(address.sin_port);
  }
  if (fd >= 0) {
    ::close(fd);
  }
  return port;
}

// The listener itself, unless it stands for all addresses of this machine.
HostPort Reachable(const std::optional<HostPort>& advertised, const HostPort& listener) {
  if (advertised.has_value()) {
    return *advertised;
  }
  HostPort endpoint = listener;
  if (char name[kMaxHostNameBytes] = {};
      endpoint.is_wildcard() && ::gethostname(name, sizeof(name) - 1) == 0) {
    endpoint.host = name;
  }
  return endpoint;
}

v1::ClusterVoter ToProto(const InitialVoter& voter) {
  v1::ClusterVoter out;
  out.set_node_id(voter.key.node_id.value());
  out.set_directory_id(voter.key.directory_id.ToString());
  out.mutable_controller_endpoint()->set_host(voter.host);
  out.mutable_controller_endpoint()->set_port(voter.port);
  return out;
}

absl::Status Invalid(const std::string& message) {
  return MakeError(ErrorReason::kInvalidRequest, message);
}

absl::StatusOr<InitialVoter> FromProto(const v1::ClusterVoter& voter) {
  const std::optional<Uuid> directory = Uuid::Parse(voter.directory_id());
  const v1::Endpoint& endpoint = voter.controller_endpoint();
  if (voter.node_id() < 0 || !directory.has_value() || directory->is_zero() ||
      endpoint.host().empty() || endpoint.port() == 0 || endpoint.port() > UINT16_MAX) {
    return Invalid(fmt::format(
        "voters: \"{}\" needs a node id from 0, a directory id (UUID), and a controller endpoint "
        "with host and port",
        voter.ShortDebugString()));
  }
  return InitialVoter{{NodeId(voter.node_id()), *directory},
                      endpoint.host(),
                      static_cast<uint16_t>(endpoint.port())};
}

absl::StatusOr<std::vector<InitialVoter>> VotersFrom(const v1::InitializeRequest& request) {
  if (request.voters().empty() || request.voters_size() > static_cast<int>(kMaxInitialVoters)) {
    return Invalid(fmt::format("voters: {} of them; 1 to {} are possible", request.voters_size(),
                               kMaxInitialVoters));
  }
  std::vector<InitialVoter> voters;
  for (const v1::ClusterVoter& voter : request.voters()) {
    KVORUM_ASSIGN_OR_RETURN(InitialVoter parsed, FromProto(voter));
    voters.push_back(std::move(parsed));
  }
  KVORUM_RETURN_IF_ERROR(CheckAndSortVoters("voters", voters));
  return voters;
}

v1::InitializeResponse Accepted(const MetaProperties& properties) {
  v1::InitializeResponse response;
  response.set_cluster_id(properties.cluster_id);
  response.set_generation(properties.generation);
  return response;
}

// For one that is initialized already: OK for the very same.
absl::StatusOr<v1::InitializeResponse> CompareWith(const MetaProperties& properties,
                                                   const std::string& cluster_id,
                                                   const std::vector<InitialVoter>& voters) {
  if (cluster_id == properties.cluster_id && voters == properties.initial_voters) {
    return Accepted(properties);
  }
  return MakeError(
      ErrorReason::kClusterAlreadyInitialized,
      fmt::format(
          "node {} belongs to cluster {} of {} initial voters already; it joins no other. A "
          "new cluster needs controllers on empty directories; a controller joins this one "
          "by `kvorumctl quorum add-voter`",
          properties.node_id, properties.cluster_id, properties.initial_voters.size()));
}

v1::DescribeNodeResponse DescribeSelf(const ServerConfig& config, const ReplicaKey& replica) {
  const HostPort controller = ControllerEndpoint(config);
  v1::DescribeNodeResponse out;
  *out.mutable_self() = ToProto({replica, controller.host, controller.port});
  out.set_client_endpoint(ClientEndpoint(config).ToString());
  return out;
}

v1::DescribeNodeResponse DescribeMember(const ServerConfig& config,
                                        const MetaProperties& properties) {
  v1::DescribeNodeResponse out =
      DescribeSelf(config, {properties.node_id, properties.directory_id});
  out.set_initialized(true);
  out.set_cluster_id(properties.cluster_id);
  out.set_generation(properties.generation);
  for (const InitialVoter& voter : properties.initial_voters) {
    *out.add_initial_voters() = ToProto(voter);
  }
  return out;
}

}  // namespace

ServerConfig WithFreePorts(ServerConfig config) {
  for (HostPort* listener : {&config.client_listener, &config.controller_listener}) {
    if (listener->port == 0) {
      listener->port = FreePort();
    }
  }
  if (config.http_listener.has_value() && config.http_listener->port == 0) {
    config.http_listener->port = FreePort();
  }
  return config;
}

HostPort ClientEndpoint(const ServerConfig& config) {
  return Reachable(config.client_advertised, config.client_listener);
}

HostPort ControllerEndpoint(const ServerConfig& config) {
  return Reachable(config.controller_advertised, config.controller_listener);
}

bool MustWaitForCluster(const ServerConfig& config) {
  return config.node_id.has_value() && !config.observer &&
         absl::IsNotFound(ReadMetaProperties(config.data_dir).status());
}

// --- Bootstrap ---

Bootstrap::Bootstrap(const ServerConfig& config, std::unique_ptr<WaitingIdentity> identity,
                     std::function<void()> on_initialized)
    : config_(config),
      identity_(std::move(identity)),
      on_initialized_(std::move(on_initialized)),
      server_(*this, health_) {}

absl::StatusOr<std::unique_ptr<Bootstrap>> Bootstrap::Start(const ServerConfig& config,
                                                            std::function<void()> on_initialized) {
  KVORUM_ASSIGN_OR_RETURN(
      std::unique_ptr<WaitingIdentity> identity,
      WaitingIdentity::Take(config.data_dir, NodeId(*config.node_id), *Uuid::Parse(RandomId())));
  std::unique_ptr<Bootstrap> bootstrap(
      new Bootstrap(config, std::move(identity), std::move(on_initialized)));
  KVORUM_RETURN_IF_ERROR(bootstrap->Listen());
  return bootstrap;
}

absl::Status Bootstrap::Listen() {
  KVORUM_RETURN_IF_ERROR(server_.Start({.client = config_.client_listener.ToString(),
                                        .controller = config_.controller_listener.ToString()}));
  if (!config_.http_listener.has_value()) {
    return absl::OkStatus();
  }
  KVORUM_ASSIGN_OR_RETURN(
      http_, HttpEndpoint::Start({config_.http_listener->host, config_.http_listener->port},
                                 {{"/livez", [] { return HttpEndpoint::Answer{.body = "ok\n"}; }},
                                  {"/readyz", [] {
                                     return HttpEndpoint::Answer{
                                         .status = 503,
                                         .body = "waiting for `kvorumctl cluster init`\n"};
                                   }}}));
  return absl::OkStatus();
}

std::string Bootstrap::Text() const {
  return fmt::format("node={} directory={} clients={} controllers={}", identity_->replica().node_id,
                     identity_->replica().directory_id, ClientEndpoint(config_).ToString(),
                     ControllerEndpoint(config_).ToString());
}

bool Bootstrap::is_initialized() const {
  MutexLock lock(mutex_);
  return properties_.has_value();
}

void Bootstrap::Stop() {
  http_.reset();
  server_.Shutdown(kAnswerGrace);
}

v1::DescribeNodeResponse Bootstrap::Describe() const {
  MutexLock lock(mutex_);
  return properties_.has_value() ? DescribeMember(config_, *properties_)
                                 : DescribeSelf(config_, identity_->replica());
}

absl::Status Bootstrap::CheckSelf(const std::vector<InitialVoter>& voters) const {
  const ReplicaKey& self = identity_->replica();
  const bool is_listed = std::any_of(voters.begin(), voters.end(),
                                     [&self](const InitialVoter& v) { return v.key == self; });
  if (!is_listed) {
    return MakeError(ErrorReason::kInvalidVoterKey,
                     fmt::format("this controller is {}, and the voters do not name it: either the "
                                 "list was made before its disk was emptied, or for others",
                                 self));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::InitializeResponse> Bootstrap::Initialize(const v1::InitializeRequest& request) {
  KVORUM_RETURN_IF_ERROR(CheckClusterId(request.cluster_id()));
  KVORUM_ASSIGN_OR_RETURN(const std::vector<InitialVoter> voters, VotersFrom(request));
  MutexLock lock(mutex_);
  if (properties_.has_value()) {
    return CompareWith(*properties_, request.cluster_id(), voters);
  }
  if (!config_.cluster_id.empty() && config_.cluster_id != request.cluster_id()) {
    return MakeError(ErrorReason::kInconsistentClusterId,
                     fmt::format("this controller is configured for cluster {}, not for {}",
                                 config_.cluster_id, request.cluster_id()));
  }
  KVORUM_RETURN_IF_ERROR(CheckSelf(voters));
  KVORUM_ASSIGN_OR_RETURN(properties_, Format({.data_dir = config_.data_dir,
                                               .cluster_id = request.cluster_id(),
                                               .node_id = identity_->replica().node_id.value(),
                                               .initial_voters = voters}));
  identity_->Remove();
  LogInfo("node", "node={} initialized for cluster={} generation={:016x} voters={}",
          properties_->node_id, properties_->cluster_id, properties_->generation, voters.size());
  on_initialized_();
  return Accepted(*properties_);
}

// --- ClusterMember ---

ClusterMember::ClusterMember(const ServerConfig& config, const MetaProperties& properties)
    : properties_(properties), description_(DescribeMember(config, properties)) {}

absl::StatusOr<v1::InitializeResponse> ClusterMember::Initialize(
    const v1::InitializeRequest& request) {
  KVORUM_RETURN_IF_ERROR(CheckClusterId(request.cluster_id()));
  KVORUM_ASSIGN_OR_RETURN(const std::vector<InitialVoter> voters, VotersFrom(request));
  return CompareWith(properties_, request.cluster_id(), voters);
}

}  // namespace kvorum
