#include "server/cmd/daemon.h"

#include <fmt/format.h>

#include <cstdlib>
#include <utility>

#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/cmd/exit_codes.h"
#include "server/cmd/format.h"
#include "server/cmd/offline_replica.h"
#include "storage/rocksdb/rocksdb_storage.h"

namespace kvorum {
namespace {

// On top of what the node itself may take: its loops, its subscribers' last messages.
constexpr Duration kShutdownSlack = std::chrono::milliseconds(2000);
constexpr Duration kCallGrace = std::chrono::milliseconds(200);

NodeConfig MakeNodeConfig(const ServerConfig& config, const MetaProperties& properties,
                          const std::string& client_endpoint) {
  std::vector<raft::Voter> voters;
  for (const InitialVoter& voter : properties.initial_voters) {
    voters.push_back({voter.key, {voter.host, voter.port}});
  }
  NodeConfig node;
  node.client_endpoint = client_endpoint;
  node.raft.cluster_id = properties.cluster_id;
  node.raft.generation = properties.generation;
  node.raft.self = {properties.node_id, properties.directory_id};
  node.raft.bootstrap_voters = raft::VoterSet(std::move(voters));
  node.raft.election_timeout = config.quorum_election_timeout;
  node.raft.fetch_timeout = config.quorum_fetch_timeout;
  node.raft.fetch_max_wait = config.quorum_fetch_max_wait;
  node.raft.request_timeout = config.quorum_request_timeout;
  node.raft.retry_backoff = config.quorum_retry_backoff;
  node.raft.shutdown_timeout = config.shutdown_timeout;
  for (const HostPort& server : config.quorum_bootstrap_servers) {
    node.raft.bootstrap_servers.push_back({server.host, server.port});
  }
  if (config.controller_advertised.has_value()) {
    node.raft.advertised_address = {config.controller_advertised->host,
                                    config.controller_advertised->port};
  }
  node.raft.is_observer_only = config.observer;
  node.raft.disk_stall_timeout = config.quorum_disk_stall_timeout;
  node.raft.loop_stall_timeout = config.quorum_loop_stall_timeout;
  node.raft.fetch_max_bytes = static_cast<uint32_t>(config.quorum_fetch_max_bytes);
  node.snapshots.max_log_bytes = config.snapshot_max_log_bytes;
  node.snapshots.max_interval = config.snapshot_max_interval;
  node.snapshots.retention_bytes = config.log_retention_bytes;
  node.snapshots.retention_age = config.log_retention_age;
  node.controller.broker_session_timeout = config.broker_session_timeout;
  node.controller.requests.max_count = static_cast<size_t>(config.request_id_max_count);
  node.controller.requests.max_age_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(config.request_id_retention).count();
  node.controller.max_idle_interval = config.metadata_max_idle_interval;
  node.controller.leader_balance_interval = config.leader_balance_interval;
  node.controller.leader_balance_max_changes =
      static_cast<size_t>(config.leader_balance_max_changes);
  node.controller.unclean_election_interval = config.unclean_leader_election_interval;
  node.controller.default_command_timeout = config.request_timeout;
  node.controller.bootstrap_metadata_level = kMaxMetadataLevel;
  return node;
}

publish::PublisherConfig MakePublisherConfig(const ServerConfig& config,
                                             const MetaProperties& properties) {
  publish::PublisherConfig publisher;
  publisher.cluster_id = properties.cluster_id;
  publisher.generation = properties.generation;
  publisher.node_id = properties.node_id;
  publisher.bookmark_interval = config.stream_bookmark_interval;
  publisher.stall_timeout = config.stream_stall_timeout;
  publisher.max_lag = config.stream_max_lag;
  publisher.tail_max_bytes = static_cast<size_t>(config.stream_tail_max_bytes);
  publisher.max_subscriptions = static_cast<size_t>(config.stream_max_subscriptions);
  return publisher;
}

absl::StatusOr<MetaProperties> ReadIdentity(const ServerConfig& config) {
  KVORUM_ASSIGN_OR_RETURN(MetaProperties properties, ReadMetaProperties(config.data_dir));
  bool is_group_writable = false;
  KVORUM_RETURN_IF_ERROR(CheckDirectorySafety(config.data_dir, is_group_writable));
  if (is_group_writable) {
    LogWarning("storage", "{} may be written to by its group", config.data_dir);
  }
  ExpectedIdentity expected;
  if (!config.cluster_id.empty()) {
    expected.cluster_id = config.cluster_id;
  }
  if (config.node_id.has_value()) {
    expected.node_id = NodeId(*config.node_id);
  }
  KVORUM_RETURN_IF_ERROR(CheckMetaProperties(properties, expected));
  if (properties.recovering_from.has_value()) {
    return absl::FailedPreconditionError(fmt::format(
        "`kvorumd recover apply` on {} began and did not end; run it again", config.data_dir));
  }
  if (properties.initial_voters.empty() && config.quorum_bootstrap_servers.empty()) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("{} was formatted without voters: name controllers of the quorum "
                                 "that it joins in quorum-bootstrap-servers",
                                 config.data_dir));
  }
  return properties;
}

}  // namespace

void Daemon::Observers::OnRaftTrace(const raft::RaftTrace& trace) { log_.OnRaftTrace(trace); }

void Daemon::Observers::OnLeadership(const raft::LeadershipChange& change) {
  log_.OnLeadership(change);
  health_.OnLeadership(change);
}

void Daemon::Observers::OnActiveController(Epoch epoch, bool active) {
  log_.OnActiveController(epoch, active);
  health_.OnActiveController(epoch, active);
}

void Daemon::Observers::OnReadiness(bool is_ready) { health_.OnReadiness(is_ready); }

void Daemon::Observers::OnSnapshotDamaged(const SnapshotId& id, const absl::Status& status) {
  log_.OnSnapshotDamaged(id, status);
}

void Daemon::Observers::OnPropagated(Duration elapsed) { log_.OnPropagated(elapsed); }

Daemon::Daemon(ServerConfig config, MetaProperties properties)
    : config_(std::move(config)),
      properties_(std::move(properties)),
      client_endpoint_(ClientEndpoint(config_).ToString()),
      cluster_member_(config_, properties_),
      raft_observer_(properties_.node_id, metrics_),
      observers_(raft_observer_, health_),
      runner_({.client_max = static_cast<size_t>(config_.request_queue_max)}),
      peers_(runner_) {}

Daemon::StartResult Daemon::Start(const ServerConfig& config) {
  absl::StatusOr<MetaProperties> properties = ReadIdentity(config);
  if (!properties.ok()) {
    return {nullptr, properties.status(), kExitBadDirectory};
  }
  std::unique_ptr<Daemon> daemon(new Daemon(WithFreePorts(config), *std::move(properties)));
  if (absl::Status status = daemon->OpenStorage(); !status.ok()) {
    return {nullptr, std::move(status), kExitStorageFailed};
  }
  if (absl::Status status = daemon->CheckRole(); !status.ok()) {
    return {nullptr, std::move(status), kExitBadDirectory};
  }
  daemon->StartNode();
  if (absl::Status status = daemon->Listen(); !status.ok()) {
    if (!daemon->Shutdown()) {
      LogError("rpc", "{}", status.ToString());
      std::_Exit(kExitPortTaken);  // its threads still run: nothing may be destroyed under them
    }
    return {nullptr, std::move(status), kExitPortTaken};
  }
  return {std::move(daemon), absl::OkStatus(), kExitOk};
}

absl::Status Daemon::OpenStorage() {
  KVORUM_ASSIGN_OR_RETURN(
      storage_, RocksDbStorage::Open({.data_dir = config_.data_dir,
                                      .cluster_id = properties_.cluster_id,
                                      .replica = {properties_.node_id, properties_.directory_id},
                                      .on_fatal = [](const absl::Status& status) {
                                        LogError("storage", "the disk cannot be trusted: {}",
                                                 status.ToString());
                                        std::_Exit(kExitStorageFailed);
                                      }}));
  KVORUM_ASSIGN_OR_RETURN(recovered_, storage_->Recover());
  const Offset end = recovered_.batch_ends.empty() ? recovered_.log_start_offset
                                                   : recovered_.batch_ends.back().end_offset;
  LogInfo("storage", "node={} directory={} recovered log_start={} log_end={} epoch={}",
          properties_.node_id, properties_.directory_id, recovered_.log_start_offset, end,
          recovered_.quorum_state.epoch);
  if (recovered_.quarantine.has_value()) {
    LogError("storage", "node={} quarantined: {}", properties_.node_id,
             recovered_.quarantine->reason);
  }
  return absl::OkStatus();
}

absl::Status Daemon::CheckRole() const {
  const ReplicaKey self{properties_.node_id, properties_.directory_id};
  if (!config_.observer || !VotersOf(properties_, recovered_).Contains(self)) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      fmt::format("{} is a voter's: node {} of cluster {} cannot run as an observer. Start it "
                  "without `observer`, or take it out of the quorum with `kvorumctl quorum "
                  "remove-voter` while it runs",
                  config_.data_dir, properties_.node_id, properties_.cluster_id));
}

void Daemon::StartNode() {
  const uint64_t seed = RandomSeed();
  LogInfo("node", "node={} cluster={} generation={:016x} seed={}", properties_.node_id,
          properties_.cluster_id, properties_.generation, seed);
  runner_.Start({.node = MakeNodeConfig(config_, properties_, client_endpoint_),
                 .publisher = MakePublisherConfig(config_, properties_),
                 .storage = *storage_,
                 .transport = peers_,
                 .observer = observers_,
                 .recovered = recovered_,
                 .seed = seed});
}

absl::Status Daemon::Listen() {
  server_ = std::make_unique<rpc::GrpcServer>(runner_, metrics_, health_, cluster_member_);
  KVORUM_RETURN_IF_ERROR(server_->Start({.client = config_.client_listener.ToString(),
                                         .controller = config_.controller_listener.ToString()}));
  if (!config_.http_listener.has_value()) {
    return absl::OkStatus();
  }
  KVORUM_ASSIGN_OR_RETURN(
      http_, HttpEndpoint::Start(
                 {config_.http_listener->host, config_.http_listener->port},
                 {{"/livez", [] { return HttpEndpoint::Answer{.body = "ok\n"}; }},
                  {"/readyz",
                   [this] {
                     return health_.is_ready() ? HttpEndpoint::Answer{.body = "ok\n"}
                                               : HttpEndpoint::Answer{
                                                     .status = 503, .body = "no leader is known\n"};
                   }},
                  {"/metrics", [this] {
                     return HttpEndpoint::Answer{.content_type = "text/plain; version=0.0.4",
                                                 .body = metrics_.Scrape(runner_)};
                   }}}));
  return absl::OkStatus();
}

std::string Daemon::Describe() const {
  return fmt::format("node={} clients={} controllers={} http={}", properties_.node_id,
                     client_endpoint_, config_.controller_listener.ToString(),
                     config_.http_listener.has_value() ? config_.http_listener->ToString() : "off");
}

void Daemon::LogState() {
  runner_.Inspect([](Now now, const Node& node) {
    const raft::RaftDescription raft = node.core().Describe();
    LogInfo("node", "role={} epoch={} leader={} high_watermark={} log_end={} durable_end={}",
            raft::RoleName(raft.role), raft.epoch,
            raft.leader_id.has_value() ? raft.leader_id->value() : -1,
            raft.high_watermark.has_value() ? raft.high_watermark->value() : -1, raft.log_end,
            raft.durable_end_offset);
    for (const raft::ReplicaDescription& replica : raft.replicas) {
      const int64_t age_ms =
          replica.last_fetch.has_value()
              ? std::chrono::duration_cast<std::chrono::milliseconds>(now.now - *replica.last_fetch)
                    .count()
              : -1;
      LogInfo("node", "replica={} voter={} log_end={} last_fetch_age_ms={}", replica.key,
              replica.is_voter,
              replica.log_end_offset.has_value() ? replica.log_end_offset->value() : -1, age_ms);
    }
    LogInfo("node", "active_controller={} applied={}", node.active_controller().is_active(),
            node.committed_image()->provenance().end_offset);
  });
}

bool Daemon::Shutdown() {
  health_.BeginShutdown();
  const bool in_time = runner_.Shutdown(config_.shutdown_timeout + kShutdownSlack);
  if (!in_time) {
    return false;
  }
  http_.reset();
  server_.reset();
  peers_.Stop();
  runner_.Stop();
  storage_.reset();  // completions that come now are dropped
  return true;
}

}  // namespace kvorum
