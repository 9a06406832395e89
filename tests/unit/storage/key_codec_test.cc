#include "storage/rocksdb/key_codec.h"

#include <gtest/gtest.h>

#include "storage/rocksdb/quorum_state_table.h"

namespace kvorum {
namespace {

SnapshotId Id(int64_t offset, int32_t epoch) {
  return {.offset = Offset(offset), .epoch = Epoch(epoch)};
}

TEST(KeyCodecTest, LogKeysAreInTheOrderOfOffsets) {
  EXPECT_LT(LogKey(Offset(9)), LogKey(Offset(10)));
  EXPECT_LT(LogKey(Offset(255)), LogKey(Offset(256)));
  EXPECT_EQ(ParseLogKey(LogKey(Offset(1LL << 50))), Offset(1LL << 50));
  EXPECT_EQ(ParseLogKey("short"), std::nullopt);
}

TEST(KeyCodecTest, ChunksOfASerialStandTogetherInOrder) {
  EXPECT_LT(ChunkKey(1, 5), ChunkKey(1, 6));
  EXPECT_LT(ChunkKey(1, 255), ChunkKey(1, 256));
  EXPECT_LT(ChunkKey(1, int64_t{1} << 62), EndOfChunks(1));
  EXPECT_EQ(EndOfChunks(1), ChunkKey(2, 0));
  EXPECT_EQ(ParseChunkSerial(ChunkKey(7, 3)), 7);
  EXPECT_EQ(ParseChunkSerial("short"), std::nullopt);
}

TEST(KeyCodecTest, FrozenSnapshotKeysAreInTheOrderOfOffsets) {
  EXPECT_LT(FrozenSnapshotKey(Id(255, 9)), FrozenSnapshotKey(Id(256, 1)));
  EXPECT_EQ(ParseFrozenSnapshotKey(FrozenSnapshotKey(Id(7, 2))), Id(7, 2));
  EXPECT_EQ(ParseFrozenSnapshotKey(kQuorumStateKey), std::nullopt);
  EXPECT_EQ(ParseFrozenSnapshotKey("snapshot/short"), std::nullopt);
}

QuorumState FullState() {
  QuorumState state;
  state.epoch = Epoch(12);
  std::array<uint8_t, 16> directory{};
  directory[3] = 9;
  state.voted_key = ReplicaKey{.node_id = NodeId(2), .directory_id = Uuid(directory)};
  state.leader_id = NodeId(3);
  return state;
}

TEST(QuorumStateCodecTest, DecodesWhatItEncoded) {
  EXPECT_EQ(*DecodeQuorumState(EncodeQuorumState(FullState())), FullState());
  QuorumState without_vote = FullState();
  without_vote.voted_key.reset();
  EXPECT_EQ(*DecodeQuorumState(EncodeQuorumState(without_vote)), without_vote);
  QuorumState without_leader = FullState();
  without_leader.leader_id.reset();
  EXPECT_EQ(*DecodeQuorumState(EncodeQuorumState(without_leader)), without_leader);
}

TEST(QuorumStateCodecTest, RefusesEveryFlippedBitAndEveryOtherSize) {
  const std::string row = EncodeQuorumState(FullState());
  for (size_t i = 0; i < row.size() * 8; ++i) {
    std::string damaged = row;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << (i % 8)));
    EXPECT_FALSE(DecodeQuorumState(damaged).ok()) << i;
  }
  EXPECT_FALSE(DecodeQuorumState(row + "x").ok());
  EXPECT_FALSE(DecodeQuorumState(row.substr(1)).ok());
  EXPECT_FALSE(DecodeQuorumState("").ok());
}

}  // namespace
}  // namespace kvorum
