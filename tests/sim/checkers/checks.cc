#include "tests/sim/checkers/checks.h"

namespace kvorum::sim {

void Checks::OnStart(const SimController& machine, const ProcessId& id) {
  election_.OnStart(machine);
  commit_.OnStart(id);
  image_.OnStart(id);
}

void Checks::OnCrash(const SimController& machine) {
  OnDurable(machine);
  commit_.Sweep();
}

void Checks::OnDiskReplaced(NodeId node) {
  election_.OnDiskReplaced(node);
  snapshots_.OnDiskReplaced(node);
}

void Checks::OnQuorumChangeAnswered(const SimProcess& process,
                                    const absl::StatusOr<QuorumReply>& reply) {
  commit_.Sync(process);
  membership_.OnAnswered(process, reply);
}

void Checks::OnSubmit(const SimProcess& process, const StorageWrite& write) {
  log_.OnSubmit(process, write);
  snapshots_.OnSubmit(process, write);
  membership_.OnSubmit(process, write);
  fence_.OnSubmit(process, write);
}

void Checks::OnDurable(const SimController& machine) {
  election_.OnDurable(machine);
  log_.OnDurable(machine);
  snapshots_.OnDurable(machine);
  quarantine_.OnDurable(machine);
}

void Checks::OnRequestSent(const SimProcess& process, const raft::SendRequest& request) {
  election_.OnRequestSent(process, request);
  log_.OnRequestSent(process, request);
  quarantine_.OnRequestSent(process, request);
}

void Checks::OnResponseSent(const SimProcess& process, const raft::RaftRequest& request,
                            const raft::RaftResponse& response) {
  election_.OnResponseSent(process, request, response);
  log_.OnResponseSent(process, response);
  snapshots_.OnResponseSent(process, response);
  quarantine_.OnResponseSent(process, request, response);
}

void Checks::OnRequestHandled(const SimProcess& process, const raft::RaftRequest& request) {
  quorum_.OnRequestHandled(process, request);
}

void Checks::OnTrace(const SimProcess& process, const raft::RaftTrace& trace) {
  log_.OnTrace(process, trace);
  quarantine_.OnTrace(process, trace);
}

void Checks::OnLeadership(const SimProcess& process, const raft::LeadershipChange& change) {
  election_.OnLeadership(process, change);
}

void Checks::OnActiveController(const SimProcess& process, Epoch epoch, bool active) {
  image_.OnActiveController(process, epoch, active);
  fence_.OnActiveController(process, active);
}

void Checks::OnCommitFed(const SimProcess& process, const publish::CommittedUpdate& update) {
  commit_.OnCommitFed(process, update);
}

void Checks::OnImageFed(const SimProcess& process, const MetadataImage& image) {
  commit_.OnImageFed(process, image);
}

void Checks::OnImageLoaded(const SimProcess& process, const MetadataImage& image) {
  snapshots_.OnImageLoaded(process, image);
}

void Checks::OnSnapshotBegun(const SimProcess& process, const SnapshotManifest& manifest) {
  snapshots_.OnSnapshotBegun(process, manifest);
}

void Checks::OnTurn(const SimProcess& process) {
  commit_.OnTurn(process);
  image_.OnTurn(process);
  bounds_.OnTurn(process);
  quorum_.OnTurn(process);
  quarantine_.OnTurn(process);
  membership_.OnTurn(process);
}

void Checks::OnPublisherTurn(const publish::UpdatePublisher& publisher) {
  bounds_.OnPublisherTurn(publisher);
}

void Checks::BeforeForeignMessage(const SimProcess& process) { identity_.Before(process); }

void Checks::AfterForeignMessage(const SimProcess& process, const raft::RaftRequest& request) {
  identity_.After(process, request);
}

void Checks::OnBrokerContact(const SimProcess& process, int32_t broker, bool wants_fence) {
  fence_.OnContact(process, broker, wants_fence);
}

void Checks::OnHoldEnded(const SimProcess& process, int32_t broker) {
  fence_.OnHoldEnded(process, broker);
}

void Checks::Sweep() {
  commit_.Sweep();
  log_.Sweep();
  snapshots_.Sweep();
}

}  // namespace kvorum::sim
