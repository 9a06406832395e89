#include "storage/rocksdb/quorum_state_table.h"

#include <fmt/format.h>

#include "server/base/check.h"
#include "server/base/crc32c.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "storage/log_verifier.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/key_codec.h"
#include "storage/rocksdb/options.h"
#include "storage/rocksdb/status_convert.h"
#include "storage/types/big_endian.h"

namespace kvorum {
namespace {

constexpr uint8_t kFormat = 1;
constexpr size_t kBodyBytes = 1 + 4 + 1 + 4 + Uuid::kBytes + 1 + 4;

absl::Status Corrupt(std::string_view what) {
  return MakeError(ErrorReason::kCorruptLog, fmt::format("quorum state: {}", what));
}

}  // namespace

std::string EncodeQuorumState(const QuorumState& state) {
  std::string out;
  PutBigEndian<uint8_t>(out, kFormat);
  PutBigEndian<int32_t>(out, state.epoch.value());
  PutBigEndian<uint8_t>(out, state.voted_key.has_value() ? 1 : 0);
  const ReplicaKey vote = state.voted_key.value_or(ReplicaKey());
  PutBigEndian<int32_t>(out, vote.node_id.value());
  out += vote.directory_id.ToBytes();
  PutBigEndian<uint8_t>(out, state.leader_id.has_value() ? 1 : 0);
  PutBigEndian<int32_t>(out, state.leader_id.value_or(NodeId()).value());
  PutBigEndian<uint32_t>(out, Crc32c(out));
  return out;
}

absl::StatusOr<QuorumState> DecodeQuorumState(std::string_view bytes) {
  if (bytes.size() != kBodyBytes + 4) {
    return Corrupt(fmt::format("{} bytes instead of {}", bytes.size(), kBodyBytes + 4));
  }
  const uint32_t actual = Crc32c(bytes.substr(0, kBodyBytes));
  std::string_view in = bytes;
  const auto format = TakeBigEndian<uint8_t>(in);
  QuorumState state;
  state.epoch = Epoch(TakeBigEndian<int32_t>(in));
  const auto has_vote = TakeBigEndian<uint8_t>(in);
  ReplicaKey vote;
  vote.node_id = NodeId(TakeBigEndian<int32_t>(in));
  vote.directory_id = Uuid::FromBytes(in.substr(0, Uuid::kBytes)).value_or(Uuid());
  in.remove_prefix(Uuid::kBytes);
  const auto has_leader = TakeBigEndian<uint8_t>(in);
  const NodeId leader(TakeBigEndian<int32_t>(in));
  if (const auto crc = TakeBigEndian<uint32_t>(in); crc != actual) {
    return Corrupt(fmt::format("CRC {:#010x}, computed {:#010x}", crc, actual));
  }
  if (format != kFormat || has_vote > 1 || has_leader > 1 || state.epoch < Epoch(0)) {
    return Corrupt(fmt::format("format {}, epoch {}", format, state.epoch));
  }
  if (has_vote == 1) {
    state.voted_key = vote;
  }
  if (has_leader == 1) {
    state.leader_id = leader;
  }
  return state;
}

absl::StatusOr<std::optional<QuorumState>> QuorumStateTable::Load() {
  std::string value;
  const rocksdb::Status status =
      db_->Get(VerifiedRead(), family_, ToSlice(kQuorumStateKey), &value);
  if (status.IsNotFound()) {
    return std::optional<QuorumState>();
  }
  if (!status.ok()) {
    return WithRemedy(FromRocksDb(status, "read the quorum state"));
  }
  auto state = DecodeQuorumState(value);
  if (!state.ok()) {
    return WithRemedy(state.status());
  }
  epoch_ = state->epoch;
  return std::optional<QuorumState>(*state);
}

void QuorumStateTable::Add(const QuorumState& state, rocksdb::WriteBatch& batch) {
  KVORUM_CHECK(state.epoch >= epoch_, "epoch would go back from {} to {}", epoch_, state.epoch);
  epoch_ = state.epoch;
  const rocksdb::Status put =
      batch.Put(family_, ToSlice(kQuorumStateKey), EncodeQuorumState(state));
  KVORUM_CHECK(put.ok(), "{}", put.ToString());
}

}  // namespace kvorum
