// KIP-630 (KRaft snapshots) and the rules around them: who is sent to one, how it is copied and
// installed, where the log may begin. One test per rule.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/raft_cluster.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// A leader of three that has committed `count` records and knows two followers.
TestNode LeaderWith(int count) {
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  for (int i = 0; i < count; ++i) {
    node.Append("x");
  }
  node.Receive(node.FetchFrom(2));
  node.TakeSends();
  return node;
}

FetchSnapshotRequest Ask(const TestNode& node, const SnapshotId& id, int64_t position) {
  return FetchSnapshotRequest{.header = node.HeaderFrom(3),
                              .current_leader_epoch = node.epoch(),
                              .snapshot_id = id,
                              .position = position};
}

FetchResponse FetchAnswer(TestNode& node, FetchRequest request) {
  request.max_wait_ms = 0;
  return node.AskFor<FetchResponse>(std::move(request));
}

// A snapshot of another node's log, at `offset` in `epoch`.
SnapshotManifest ManifestAt(int offset, int epoch, int chunks) {
  SnapshotManifest manifest;
  manifest.id = {Offset(offset), Epoch(epoch)};
  manifest.chain_hash = 42;
  manifest.voters = *EncodeVotersText(VotersUpTo(3));
  manifest.chunk_count = chunks;
  return manifest;
}

// A follower of node 2 in epoch 5 that was told to fetch `manifest`.
void BeginCopy(TestNode& node, const SnapshotManifest& manifest) {
  node.Follow(2, 5);
  const auto fetches = node.TakeSendsOf<FetchRequest>();
  ASSERT_FALSE(fetches.empty());
  FetchResponse answer;
  answer.header = node.OkHeader(2);
  answer.snapshot_id = manifest.id;
  node.Respond(fetches.back(), answer);
}

void AnswerChunk(TestNode& node, const SnapshotManifest& manifest, int64_t position,
                 std::string chunk = "chunk") {
  const auto asked = node.TakeSendsOf<FetchSnapshotRequest>();
  ASSERT_THAT(asked, SizeIs(1));
  EXPECT_EQ(std::get<FetchSnapshotRequest>(asked[0].request).position, position);
  FetchSnapshotResponse answer;
  answer.header = node.OkHeader(2);
  answer.manifest = manifest;
  answer.position = position;
  answer.chunk = std::move(chunk);
  node.Respond(asked[0], answer);
}

void CopyWhole(TestNode& node, const SnapshotManifest& manifest) {
  BeginCopy(node, manifest);
  for (int64_t position = 0; position < manifest.chunk_count; ++position) {
    AnswerChunk(node, manifest, position);
  }
}

// --- who is sent to a snapshot ---

// consensus §2.4 step 4: a fresh replica loads the snapshot rather than the log.
TEST(Kip630Test, EmptyReplicaIsSentToTheSnapshotThoughTheLogBeginsAtZero) {
  TestNode leader = LeaderWith(3);
  const SnapshotId id = leader.TakeSnapshot();
  EXPECT_EQ(FetchAnswer(leader, leader.FetchFrom(3, 0)).snapshot_id, id);
  EXPECT_EQ(FetchAnswer(leader, leader.FetchFrom(3, 1)).snapshot_id, std::nullopt);
}

// consensus §3.5.
TEST(Kip630Test, ReplicaBelowTheLogStartIsSentToTheNewestSnapshot) {
  TestNode leader = LeaderWith(2);
  const SnapshotId first = leader.TakeSnapshot();
  leader.Append("y");
  leader.Receive(leader.FetchFrom(2));
  const SnapshotId second = leader.TakeSnapshot();
  leader.Step(MoveLogStart{first.offset});
  FetchRequest below = leader.FetchFrom(3, 0);
  below.fetch_offset = first.offset - 1;
  below.last_fetched_epoch = leader.epoch();
  EXPECT_EQ(FetchAnswer(leader, below).snapshot_id, second);
  // Exactly at the start, with the epoch of the record below it, the log goes on.
  EXPECT_FALSE(FetchAnswer(leader, leader.FetchFrom(3, static_cast<int>(first.offset.value())))
                   .snapshot_id.has_value());
}

// consensus §3.5: at the log start with another epoch the logs differ below it.
TEST(Kip630Test, ReplicaAtTheLogStartWithAnotherEpochIsSentToTheSnapshot) {
  TestDisk disk = DiskWith({1, 1, 1}, 4);
  TestNode leader(1, VotersUpTo(3), disk);
  leader.WinElection();
  leader.Receive(leader.FetchFrom(2));
  const SnapshotId id = leader.TakeSnapshot();
  leader.Step(MoveLogStart{id.offset});
  FetchRequest request = leader.FetchFrom(3, static_cast<int>(id.offset.value()));
  request.last_fetched_epoch = Epoch(2);
  EXPECT_EQ(FetchAnswer(leader, request).snapshot_id, id);
}

// consensus §2.4: ⚠ such an answer never counts as progress.
TEST(Kip630Test, BeingSentToASnapshotAcknowledgesNothing) {
  TestNode leader = LeaderWith(2);
  leader.TakeSnapshot();
  const auto before = leader.core().high_watermark();
  leader.Append("y");
  FetchRequest ahead = leader.FetchFrom(3, 0);
  FetchAnswer(leader, ahead);
  EXPECT_EQ(leader.core().high_watermark(), before);
}

// --- the leader's side of FetchSnapshot (consensus §2.5) ---

TEST(Kip630Test, ChunksAreServedByPositionWithTheManifest) {
  TestNode leader = LeaderWith(2);
  const SnapshotId id = leader.TakeSnapshot(3);
  for (const int64_t position : {2, 0, 1}) {
    const auto answer = leader.AskFor<FetchSnapshotResponse>(Ask(leader, id, position));
    EXPECT_EQ(answer.header.error, RaftError::kNone);
    EXPECT_EQ(answer.manifest.id, id);
    EXPECT_EQ(answer.manifest.chunk_count, 3);
    EXPECT_EQ(answer.chunk, "chunk " + std::to_string(position));
  }
}

TEST(Kip630Test, UnknownSnapshotAndPositionsOutOfRangeAreRefused) {
  TestNode leader = LeaderWith(2);
  const SnapshotId id = leader.TakeSnapshot(3);
  const auto error_of = [&](const SnapshotId& wanted, int64_t position) {
    return leader.AskFor<FetchSnapshotResponse>(Ask(leader, wanted, position)).header.error;
  };
  EXPECT_EQ(error_of({id.offset - 1, id.epoch}, 0), RaftError::kSnapshotNotFound);
  EXPECT_EQ(error_of({id.offset, id.epoch + 1}, 0), RaftError::kSnapshotNotFound);
  EXPECT_EQ(error_of(id, -1), RaftError::kPositionOutOfRange);
  EXPECT_EQ(error_of(id, 3), RaftError::kPositionOutOfRange);
}

TEST(Kip630Test, FetchSnapshotIsForTheLeaderOfTheEpochOnly) {
  TestNode leader = LeaderWith(2);
  const SnapshotId id = leader.TakeSnapshot();
  FetchSnapshotRequest old = Ask(leader, id, 0);
  old.current_leader_epoch = leader.epoch() - 1;
  EXPECT_EQ(leader.AskFor<FetchSnapshotResponse>(old).header.error, RaftError::kFencedLeaderEpoch);
  FetchSnapshotRequest future = Ask(leader, id, 0);
  future.current_leader_epoch = leader.epoch() + 1;
  EXPECT_EQ(leader.AskFor<FetchSnapshotResponse>(future).header.error,
            RaftError::kUnknownLeaderEpoch);
  leader.Follow(2, leader.epoch().value() + 1);
  EXPECT_EQ(leader.AskFor<FetchSnapshotResponse>(Ask(leader, id, 0)).header.error,
            RaftError::kNotLeaderOrFollower);
}

// consensus §4: FetchSnapshot keeps a leader in office, consensus §2.5: it moves no high watermark.
TEST(Kip630Test, FetchingASnapshotIsContactForCheckQuorum) {
  TestNode leader = LeaderWith(2);
  const SnapshotId id = leader.TakeSnapshot(3);
  const auto high_watermark = leader.core().high_watermark();
  leader.Append("y");
  for (int i = 0; i < 10; ++i) {
    leader.RunFor(milliseconds(1000));
    leader.Ask(Ask(leader, id, 0));
  }
  EXPECT_EQ(leader.role(), Role::kLeader);
  EXPECT_EQ(leader.core().high_watermark(), high_watermark);
  leader.RunFor(milliseconds(3000));
  EXPECT_NE(leader.role(), Role::kLeader);
}

// --- the follower's side ---

// consensus §2.5, §3.6: the whole log goes, the snapshot's end is the new start, end and watermark.
TEST(Kip630Test, InstalledSnapshotReplacesTheLog) {
  TestNode node(1, VotersUpTo(3), DiskWith({1, 1, 3, 3, 3}, 4));
  const SnapshotManifest manifest = ManifestAt(4, 4, 2);
  CopyWhole(node, manifest);
  const RaftDescription now = node.Describe();
  EXPECT_EQ(now.log_start_offset, Offset(4));
  EXPECT_EQ(now.log_end, (OffsetAndEpoch{Offset(4), Epoch(4)}));
  EXPECT_EQ(now.high_watermark, Offset(4));
  EXPECT_EQ(now.voters, VotersUpTo(3));
  EXPECT_EQ(node.last_installed(), manifest);
  EXPECT_THAT(node.disk().log, IsEmpty());
  // And the log goes on behind it.
  const auto fetches = node.TakeSendsOf<FetchRequest>();
  ASSERT_THAT(fetches, SizeIs(1));
  const auto& fetch = std::get<FetchRequest>(fetches[0].request);
  EXPECT_EQ(fetch.fetch_offset, Offset(4));
  EXPECT_EQ(fetch.last_fetched_epoch, Epoch(4));
  EXPECT_EQ(fetch.last_chain_hash, 42u);
}

TEST(Kip630Test, ChunkIsStoredBeforeTheNextIsAskedFor) {
  TestNode node(1, VotersUpTo(3));
  node.auto_store = false;
  BeginCopy(node, ManifestAt(4, 4, 2));
  AnswerChunk(node, ManifestAt(4, 4, 2), 0);
  EXPECT_THAT(node.TakeSendsOf<FetchSnapshotRequest>(), IsEmpty());
  EXPECT_THAT(node.TakeSendsOf<FetchRequest>(), IsEmpty());
}

// consensus §2.5: each chunk is as good as a fetch.
TEST(Kip630Test, EachChunkResetsTheFetchTimer) {
  TestNode node(1, VotersUpTo(3));
  const SnapshotManifest manifest = ManifestAt(4, 4, 20);
  BeginCopy(node, manifest);
  for (int64_t position = 0; position < 10; ++position) {
    node.Advance(milliseconds(1000));
    AnswerChunk(node, manifest, position);
  }
  EXPECT_EQ(node.role(), Role::kFollower);
  node.RunFor(milliseconds(2000));
  EXPECT_NE(node.role(), Role::kFollower);
}

// consensus §2.5: SNAPSHOT_NOT_FOUND drops what was copied; the next fetch names a newer one.
TEST(Kip630Test, SnapshotThatIsGoneIsGivenUpForTheNextFetch) {
  TestNode node(1, VotersUpTo(3));
  const SnapshotManifest manifest = ManifestAt(4, 4, 3);
  BeginCopy(node, manifest);
  AnswerChunk(node, manifest, 0);
  const auto asked = node.TakeSendsOf<FetchSnapshotRequest>();
  FetchSnapshotResponse gone;
  gone.header = node.OkHeader(2);
  gone.header.error = RaftError::kSnapshotNotFound;
  node.Respond(asked.at(0), gone);
  node.RunFor(milliseconds(50));
  EXPECT_THAT(node.TakeSendsOf<FetchRequest>(), SizeIs(1));
  EXPECT_EQ(node.core().log_end_offset(), Offset(0));
}

TEST(Kip630Test, AnswerWithAnotherPositionOrManifestIsDropped) {
  for (const bool other_manifest : {false, true}) {
    TestNode node(1, VotersUpTo(3));
    const SnapshotManifest manifest = ManifestAt(4, 4, 3);
    BeginCopy(node, manifest);
    AnswerChunk(node, manifest, 0);
    const auto asked = node.TakeSendsOf<FetchSnapshotRequest>();
    FetchSnapshotResponse wrong;
    wrong.header = node.OkHeader(2);
    wrong.manifest = manifest;
    wrong.manifest.state_hash = other_manifest ? 1 : 0;
    wrong.position = other_manifest ? 1 : 2;
    wrong.chunk = "chunk";
    node.Respond(asked.at(0), wrong);
    EXPECT_TRUE(node.has_trace(RaftTraceKind::kRequestRejected));
    EXPECT_EQ(node.core().log_end_offset(), Offset(0));
  }
}

// consensus §2.5: no resume across leaders.
TEST(Kip630Test, AnotherLeaderMeansStartingOver) {
  TestNode node(1, VotersUpTo(3));
  const SnapshotManifest manifest = ManifestAt(4, 4, 3);
  BeginCopy(node, manifest);
  AnswerChunk(node, manifest, 0);
  node.Follow(3, 6);
  EXPECT_THAT(node.TakeSendsOf<FetchRequest>(), SizeIs(1));
}

TEST(Kip630Test, CopyWithAWrongDigestIsFetchedAgain) {
  TestNode node(1, VotersUpTo(3));
  node.freezes_well = false;
  CopyWhole(node, ManifestAt(4, 4, 2));
  EXPECT_EQ(node.core().log_start_offset(), Offset(0));
  node.RunFor(milliseconds(50));
  EXPECT_THAT(node.TakeSendsOf<FetchRequest>(), SizeIs(1));
}

TEST(Kip630Test, SnapshotWithoutChunksIsInstalledFromItsManifest) {
  TestNode node(1, VotersUpTo(3));
  const SnapshotManifest manifest = ManifestAt(4, 4, 0);
  BeginCopy(node, manifest);
  AnswerChunk(node, manifest, 0, "");
  EXPECT_EQ(node.core().log_start_offset(), Offset(4));
}

// Commits are never undone: a snapshot at or below the high watermark is none for us.
TEST(Kip630Test, SnapshotAtOrBelowTheHighWatermarkIsRefused) {
  TestNode node(1, VotersUpTo(3), DiskWith({1, 1, 1, 1}, 4));
  node.Follow(2, 5);
  node.AnswerFetch({}, 4);
  const auto fetches = node.TakeSendsOf<FetchRequest>();
  FetchResponse answer;
  answer.header = node.OkHeader(2);
  answer.snapshot_id = SnapshotId{Offset(4), Epoch(1)};
  node.Respond(fetches.back(), answer);
  node.RunFor(milliseconds(50));
  EXPECT_THAT(node.TakeSendsOf<FetchSnapshotRequest>(), IsEmpty());
  EXPECT_EQ(node.core().log_end_offset(), Offset(4));
}

// reliability R10: frozen after the role was left, nobody needs it.
TEST(Kip630Test, SnapshotFrozenAfterTheRoleWasLeftIsDeleted) {
  TestNode node(1, VotersUpTo(3));
  node.auto_store = false;
  const SnapshotManifest manifest = ManifestAt(4, 4, 0);
  BeginCopy(node, manifest);
  AnswerChunk(node, manifest, 0, "");
  node.Follow(3, 6);
  node.auto_store = true;
  node.Step(TimerFired{});
  EXPECT_EQ(node.core().log_start_offset(), Offset(0));
  EXPECT_THAT(node.disk().snapshots, IsEmpty());
}

// consensus §3.6: a crash between freezing and installing leaves the old log and a newer snapshot.
TEST(Kip630Test, SnapshotNewerThanTheLogIsInstalledAtStart) {
  TestDisk disk = DiskWith({1, 1, 1, 1, 1, 1}, 5);
  disk.snapshots.push_back({ManifestAt(4, 4, 1), {"chunk"}});
  TestNode node(1, VotersUpTo(3), disk);
  node.Step(TimerFired{});
  EXPECT_EQ(node.core().log_start_offset(), Offset(4));
  EXPECT_EQ(node.Describe().log_end, (OffsetAndEpoch{Offset(4), Epoch(4)}));
  EXPECT_EQ(node.disk().log_start.offset, Offset(4));
}

// consensus §3.6 ⚠: epochs are compared first, else a longer log of an older epoch loops for ever.
TEST(Kip630Test, SnapshotOlderThanTheLogStaysBesideIt) {
  TestDisk disk = DiskWith({1, 1, 4, 4, 4}, 5);
  disk.snapshots.push_back({ManifestAt(4, 4, 1), {"chunk"}});
  TestNode node(1, VotersUpTo(3), disk);
  EXPECT_EQ(node.core().log_start_offset(), Offset(0));
  EXPECT_EQ(node.core().log_end_offset(), Offset(5));
  EXPECT_EQ(node.core().high_watermark(), Offset(4));
}

// --- where the log begins ---

// consensus §3.7: log start > 0 implies a snapshot exactly there; older ones go when that is
// durable.
TEST(Kip630Test, LogStartMovesToASnapshotAndOlderOnesGo) {
  TestNode leader = LeaderWith(2);
  const SnapshotId first = leader.TakeSnapshot();
  leader.Append("y");
  leader.Receive(leader.FetchFrom(2));
  const SnapshotId second = leader.TakeSnapshot();
  leader.auto_sync = false;
  leader.Step(MoveLogStart{second.offset});
  EXPECT_NE(leader.disk().Find(first), nullptr) << "the log on disk still needs it";
  leader.Sync();
  EXPECT_EQ(leader.disk().Find(first), nullptr);
  EXPECT_EQ(leader.disk().log_start.offset, second.offset);
  EXPECT_EQ(leader.core().log_start_offset(), second.offset);
}

// reliability R08 (KAFKA-14238).
TEST(Kip630DeathTest, LogStartWithoutASnapshotIsABug) {
  TestNode leader = LeaderWith(3);
  leader.TakeSnapshot();
  EXPECT_DEATH(leader.Step(MoveLogStart{Offset(1)}), "KAFKA-14238");
}

// consensus §3.3 ⚠: the newest voter set below the start is kept when the log that held it goes.
TEST(Kip630Test, VoterSetSurvivesTheLogThatHeldIt) {
  TestNode leader = LeaderWith(2);
  const SnapshotId id = leader.TakeSnapshot();
  leader.Step(MoveLogStart{id.offset});
  EXPECT_EQ(leader.core().voters(), VotersUpTo(3));
  leader.CrashAndRestart();
  EXPECT_EQ(leader.core().log_start_offset(), id.offset);
  EXPECT_EQ(leader.core().voters(), VotersUpTo(3));
  leader.WinElection();  // and its epoch's first batch follows on the snapshot's chain
  EXPECT_EQ(leader.role(), Role::kLeader);
}

// A replica that comes back after the log has moved past its end: the snapshot, then the log.
TEST(Kip630Test, LateReplicaCatchesUpThroughASnapshot) {
  TestCluster cluster(3);
  ASSERT_EQ(cluster.RunUntilLeader().has_value(), true);
  const int leader = *cluster.Leader();
  const int late = leader % 3 + 1;
  cluster.RunFor(milliseconds(1000));
  cluster.Crash(late);
  for (int i = 0; i < 5; ++i) {
    cluster.Append(leader, "x");
    cluster.RunFor(milliseconds(100));
  }
  const SnapshotId id = cluster.node(leader).TakeSnapshot(5);
  cluster.Append(leader, "after");
  cluster.RunFor(milliseconds(100));
  cluster.Step(leader, MoveLogStart{id.offset});
  cluster.Restart(late);
  EXPECT_TRUE(cluster.RunUntil([&] {
    return cluster.node(late).core().log_end_offset() ==
               cluster.node(leader).core().log_end_offset() &&
           cluster.node(late).core().high_watermark() ==
               cluster.node(leader).core().high_watermark();
  }));
  EXPECT_EQ(cluster.node(late).core().log_start_offset(), id.offset);
  EXPECT_EQ(cluster.Leader(), leader) << "nobody was disturbed";
}

}  // namespace
}  // namespace kvorum::raft
