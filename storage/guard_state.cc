#include "storage/guard_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "storage/log_verifier.h"
#include "storage/types/big_endian.h"

namespace kvorum {
namespace {

constexpr uint8_t kFormat = 1;

void PutString(std::string& out, std::string_view text) {
  PutBigEndian<uint32_t>(out, static_cast<uint32_t>(text.size()));
  out += text;
}

void PutReplica(std::string& out, const ReplicaKey& replica) {
  PutBigEndian<int32_t>(out, replica.node_id.value());
  out += replica.directory_id.ToBytes();
}

// Reads the fields of a guard; after one that is missing all others are empty.
class GuardReader {
 public:
  explicit GuardReader(std::string_view in) : in_(in) {}

  template <typename T>
  T Take() {
    is_whole_ = is_whole_ && in_.size() >= sizeof(T);
    return is_whole_ ? TakeBigEndian<T>(in_) : T{};
  }

  std::string TakeBytes(size_t size) {
    is_whole_ = is_whole_ && in_.size() >= size;
    const std::string bytes(is_whole_ ? in_.substr(0, size) : std::string_view());
    in_.remove_prefix(bytes.size());
    return bytes;
  }

  std::string TakeString() { return TakeBytes(Take<uint32_t>()); }

  ReplicaKey TakeReplica() {
    ReplicaKey replica;
    replica.node_id = NodeId(Take<int32_t>());
    replica.directory_id = Uuid::FromBytes(TakeBytes(Uuid::kBytes)).value_or(Uuid());
    return replica;
  }

  bool is_done() const { return is_whole_ && in_.empty(); }

 private:
  std::string_view in_;
  bool is_whole_ = true;
};

// The chain hash of the log below `offset`; nullopt if no batch ends there.
std::optional<uint64_t> ChainAt(const RecoveredState& recovered, Offset offset) {
  if (offset == recovered.log_start_offset) {
    return recovered.chain_at_start;
  }
  const auto it =
      std::lower_bound(recovered.batch_ends.begin(), recovered.batch_ends.end(), offset,
                       [](const BatchEnd& end, Offset wanted) { return end.end_offset < wanted; });
  if (it == recovered.batch_ends.end() || it->end_offset != offset) {
    return std::nullopt;
  }
  return it->chain_hash;
}

std::string VoteText(Epoch epoch, const std::optional<ReplicaKey>& voted) {
  return fmt::format("epoch {} and a vote for {}", epoch,
                     voted.has_value() ? fmt::format("{}", *voted) : "nobody");
}

// What the log or the snapshots lack of what was promised.
std::optional<std::string> FindLoss(const RecoveredState& recovered, const GuardState& guard) {
  if (const Offset end = EndOf(recovered).end_offset; end < guard.log_end) {
    return fmt::format("the log ends at offset {}, but it had reached {}", end, guard.log_end);
  }
  if (guard.log_end >= recovered.log_start_offset) {
    const std::optional<uint64_t> chain = ChainAt(recovered, guard.log_end);
    if (chain != guard.chain_hash) {
      return fmt::format(
          "the log below offset {} is another one than it was (chain hash {}, was "
          "{:016x})",
          guard.log_end, chain.has_value() ? fmt::format("{:016x}", *chain) : "of no batch",
          guard.chain_hash);
    }
  }
  const bool has_snapshot =
      !guard.latest_snapshot.has_value() ||
      std::any_of(recovered.snapshots.begin(), recovered.snapshots.end(),
                  [&](const SnapshotManifest& snapshot) {
                    return snapshot.id.offset >= guard.latest_snapshot->offset;
                  });
  if (!has_snapshot) {
    return fmt::format("snapshot {} is missing", *guard.latest_snapshot);
  }
  return std::nullopt;
}

// The vote that is missing in the database; it is not lost, but what was written with it is.
std::optional<std::string> FindLostVote(const QuorumState& state, const GuardState& guard) {
  const bool is_behind =
      state.epoch < guard.epoch || (state.epoch == guard.epoch && guard.voted_key.has_value() &&
                                    state.voted_key != guard.voted_key);
  if (!is_behind) {
    return std::nullopt;
  }
  return fmt::format("the database knows {}, but this replica had reached {}",
                     VoteText(state.epoch, state.voted_key),
                     VoteText(guard.epoch, guard.voted_key));
}

}  // namespace

bool operator==(const GuardState& a, const GuardState& b) {
  return EncodeGuard(a) == EncodeGuard(b);
}

GuardState NewGuard(const std::string& cluster_id, const ReplicaKey& replica) {
  GuardState guard;
  guard.cluster_id = cluster_id;
  guard.replica = replica;
  guard.chain_hash = EmptyLogEnd(cluster_id).chain_hash;
  return guard;
}

std::string EncodeGuard(const GuardState& guard) {
  std::string out;
  PutBigEndian<uint8_t>(out, kFormat);
  PutString(out, guard.cluster_id);
  PutReplica(out, guard.replica);
  PutBigEndian<int32_t>(out, guard.epoch.value());
  PutBigEndian<uint8_t>(out, guard.voted_key.has_value() ? 1 : 0);
  PutReplica(out, guard.voted_key.value_or(ReplicaKey()));
  PutBigEndian<int64_t>(out, guard.log_end.value());
  PutBigEndian<uint64_t>(out, guard.chain_hash);
  const SnapshotId snapshot = guard.latest_snapshot.value_or(SnapshotId());
  PutBigEndian<uint8_t>(out, guard.latest_snapshot.has_value() ? 1 : 0);
  PutBigEndian<int64_t>(out, snapshot.offset.value());
  PutBigEndian<int32_t>(out, snapshot.epoch.value());
  PutBigEndian<uint8_t>(out, guard.quarantine.has_value() ? 1 : 0);
  const std::string reason = guard.quarantine.value_or(Quarantine()).reason;
  PutString(out, std::string_view(reason).substr(0, kMaxQuarantineReasonBytes));
  return out;
}

absl::StatusOr<GuardState> DecodeGuard(std::string_view bytes) {
  GuardReader in(bytes);
  const auto format = in.Take<uint8_t>();
  if (format > kFormat) {
    return absl::FailedPreconditionError(
        fmt::format("guard file of format {}, written by a newer release", format));
  }
  GuardState guard;
  guard.cluster_id = in.TakeString();
  guard.replica = in.TakeReplica();
  guard.epoch = Epoch(in.Take<int32_t>());
  const bool has_vote = in.Take<uint8_t>() != 0;
  const ReplicaKey vote = in.TakeReplica();
  guard.log_end = Offset(in.Take<int64_t>());
  guard.chain_hash = in.Take<uint64_t>();
  const bool has_snapshot = in.Take<uint8_t>() != 0;
  SnapshotId snapshot;
  snapshot.offset = Offset(in.Take<int64_t>());
  snapshot.epoch = Epoch(in.Take<int32_t>());
  const bool is_quarantined = in.Take<uint8_t>() != 0;
  std::string reason = in.TakeString();
  if (!in.is_done() || format != kFormat) {
    return absl::DataLossError("guard file: not whole");
  }
  guard.voted_key = has_vote ? std::optional(vote) : std::nullopt;
  guard.latest_snapshot = has_snapshot ? std::optional(snapshot) : std::nullopt;
  if (is_quarantined) {
    guard.quarantine = Quarantine{.reason = std::move(reason)};
  }
  return guard;
}

bool ChangesVote(const GuardState& guard, const QuorumState& state) {
  return guard.epoch != state.epoch || guard.voted_key != state.voted_key;
}

void SetVote(const QuorumState& state, GuardState& guard) {
  guard.epoch = state.epoch;
  guard.voted_key = state.voted_key;
}

void SetLogEnd(const BatchEnd& end, GuardState& guard) {
  guard.log_end = end.end_offset;
  guard.chain_hash = end.chain_hash;
}

void Reconcile(RecoveredState& recovered, GuardState& guard) {
  if (KVORUM_MUTANT(GuardIgnored)) {
    return;
  }
  const std::optional<std::string> lost_vote = FindLostVote(recovered.quorum_state, guard);
  std::optional<std::string> loss = FindLoss(recovered, guard);
  if (lost_vote.has_value()) {
    loss = loss.has_value() ? *loss + "; " + *lost_vote : *lost_vote;
    recovered.quorum_state = {.epoch = guard.epoch, .voted_key = guard.voted_key};
  } else {
    SetVote(recovered.quorum_state, guard);
  }
  if (loss.has_value()) {
    guard.quarantine = Quarantine{.reason = *loss};
    SetLogEnd(EndOf(recovered), guard);
    guard.latest_snapshot.reset();
  }
  recovered.quarantine = guard.quarantine;
}

}  // namespace kvorum
