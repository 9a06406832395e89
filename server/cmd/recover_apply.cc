#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <utility>

#include "server/base/status_macros.h"
#include "server/cmd/exit_codes.h"
#include "server/cmd/format.h"
#include "server/cmd/offline_replica.h"
#include "server/cmd/recover.h"
#include "server/node/control_codec.h"
#include "storage/log_verifier.h"

namespace kvorum {
namespace {

absl::Status Refuse(const std::string& message) { return absl::FailedPreconditionError(message); }

struct OpenReplica {
  std::unique_ptr<RocksDbStorage> storage;
  RecoveredState state;
};

absl::StatusOr<OpenReplica> OpenForWriting(const std::string& data_dir,
                                           const MetaProperties& properties) {
  OpenReplica replica;
  KVORUM_ASSIGN_OR_RETURN(replica.storage,
                          RocksDbStorage::Open(StorageOptionsFor(data_dir, properties)));
  KVORUM_ASSIGN_OR_RETURN(replica.state, replica.storage->Recover());
  return replica;
}

absl::Status CheckMayApply(const RecoverApplyOptions& options, const RecoveredState& state) {
  if (state.quarantine.has_value() && !options.accept_quarantine) {
    return Refuse(fmt::format(
        "{} is quarantined: {}. It may lack records that were acknowledged. Use another surviving "
        "directory (`kvorumd recover inspect`), or add --accept-quarantine if this is all there is",
        options.data_dir, state.quarantine->reason));
  }
  return absl::OkStatus();
}

// The node as it is in its own newest voter set, or, for one that was an observer, on its own.
absl::StatusOr<InitialVoter> SelfOf(const MetaProperties& properties, const RecoveredState& state) {
  const raft::VoterSet voters = VotersOf(properties, state);
  const raft::Voter* self = voters.Find(properties.node_id);
  if (self == nullptr || self->key.directory_id != properties.directory_id) {
    return Refuse(fmt::format(
        "node {} is not among the voters at the end of its log: an observer's address is not known "
        "to the cluster. Recover from the directory of a voter",
        properties.node_id));
  }
  return InitialVoter{self->key, self->address.host, self->address.port};
}

int64_t WallMillis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// A new epoch, in which nobody was elected, begins with the voter set of one. All or nothing.
StorageWrite MakeWrite(const InitialVoter& self, const RecoveredState& state) {
  const BatchEnd end = EndOf(state);
  const Epoch epoch(std::max(state.quorum_state.epoch, end.epoch).value() + 1);
  const raft::VoterSet voters({{self.key, {self.host, self.port}}});
  StorageWrite write;
  write.quorum_state = QuorumState{.epoch = epoch};
  write.append = {MakeBatch(end.end_offset, 1, epoch, /*is_control=*/true, WallMillis(),
                            EncodeVoterSet(voters), end.chain_hash)};
  write.leave_quarantine = true;
  return write;
}

absl::Status WriteAndWait(Storage& storage, StorageWrite write) {
  std::promise<absl::Status> done;
  storage.Submit(std::move(write), [&done](const absl::Status& status) { done.set_value(status); });
  return done.get_future().get();
}

bool IsAlone(const raft::VoterSet& voters, const ReplicaKey& self) {
  return voters.size() == 1 && voters.Contains(self);
}

}  // namespace

absl::StatusOr<MetaProperties> ApplyRecovery(const RecoverApplyOptions& options) {
  if (!options.yes_lose_data) {
    return Refuse(fmt::format(
        "nothing was changed. This makes {} the only voter of its cluster: whatever only the other "
        "voters had is lost, and they can never come back. Look first with `kvorumd recover "
        "inspect`, copy the directory, then add --yes-lose-data",
        options.data_dir));
  }
  KVORUM_ASSIGN_OR_RETURN(MetaProperties properties, ReadMetaProperties(options.data_dir));
  KVORUM_ASSIGN_OR_RETURN(OpenReplica replica, OpenForWriting(options.data_dir, properties));
  KVORUM_RETURN_IF_ERROR(CheckMayApply(options, replica.state));
  const ReplicaKey key{properties.node_id, properties.directory_id};
  KVORUM_ASSIGN_OR_RETURN(const InitialVoter self, SelfOf(properties, replica.state));
  const bool is_resumed = properties.recovering_from.has_value();
  if (!is_resumed) {
    if (IsAlone(VotersOf(properties, replica.state), key)) {
      return Refuse(fmt::format("node {} is the only voter already: start it", properties.node_id));
    }
    // First the generation: from here on the others are strangers, and the directory does not start
    // before the rest is done.
    properties.recovering_from = properties.generation;
    properties.generation = std::max<uint64_t>(RandomSeed(), 1);
    properties.initial_voters = {self};
    KVORUM_RETURN_IF_ERROR(ReplaceMetaProperties(options.data_dir, properties));
  }
  // Asked of the log itself: meta.properties names this voter alone by now.
  if (!IsAlone(VotersInLog(replica.state).value_or(raft::VoterSet()), key) ||
      replica.state.quarantine.has_value()) {
    KVORUM_RETURN_IF_ERROR(WriteAndWait(*replica.storage, MakeWrite(self, replica.state)));
  }
  replica.storage.reset();  // with the guard raised to what was written
  properties.recovering_from.reset();
  KVORUM_RETURN_IF_ERROR(ReplaceMetaProperties(options.data_dir, properties));
  return properties;
}

int RecoverApply(const RecoverApplyOptions& options) {
  const absl::StatusOr<MetaProperties> properties = ApplyRecovery(options);
  if (!properties.ok()) {
    return ExitCodeOf(properties.status());
  }
  fmt::print(
      "node {} is now the only voter of cluster {}, in generation {}\n"
      "Start it. Nodes of the old generation are refused for ever: format their replacements anew "
      "with\n  kvorumd format --cluster-id {} --generation {} --no-initial-voters …\nand add them "
      "as voters. Clients that resume a stream are told GENERATION_MISMATCH and begin anew.\n",
      properties->node_id, properties->cluster_id, HexText(properties->generation),
      properties->cluster_id, HexText(properties->generation));
  return kExitOk;
}

}  // namespace kvorum
