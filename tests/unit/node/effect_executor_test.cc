// The order of effects, seen from outside: one list of everything that happened.
#include "server/node/effect_executor.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "storage/types/record_batch.h"

namespace kvorum {
namespace {

using Texts = std::vector<std::string>;

class EffectExecutorTest : public testing::Test,
                           public Storage,
                           public PeerTransport,
                           public NodeHost,
                           public NodeObserver,
                           public EffectTarget {
 protected:
  // Storage
  absl::StatusOr<RecoveredState> Recover() override { return RecoveredState(); }
  void Submit(StorageWrite write, WriteDone done) override {
    seen.push_back(fmt::format("write {}", write.id));
    write_done.push_back(std::move(done));
  }
  void Read(const LogRange& range, ReadDone done) override {
    seen.push_back(fmt::format("read {}-{}", range.from, range.to));
    read_done.push_back(std::move(done));
  }
  void WriteSnapshot(SnapshotManifest, ChunkSource, SnapshotDone) override {}
  void WriteSnapshotChunk(const SnapshotId&, int64_t index, std::string, WriteDone done) override {
    seen.push_back(fmt::format("store chunk {}", index));
    write_done.push_back(std::move(done));
  }
  void FreezeSnapshot(const SnapshotManifest&, WriteDone done) override {
    seen.push_back("freeze");
    write_done.push_back(std::move(done));
  }
  void DeleteSnapshot(const SnapshotId& id, WriteDone done) override {
    seen.push_back(fmt::format("delete {}", id));
    write_done.push_back(std::move(done));
  }
  void ReadSnapshotChunk(const SnapshotId& id, int64_t index, ChunkDone done) override {
    seen.push_back(fmt::format("read chunk {} of {}", index, id));
    chunk_done.push_back(std::move(done));
  }
  // The rest of the world
  void Send(raft::SendRequest request) override {
    seen.push_back(
        fmt::format("send {} {}", request.id, HeaderOf(request.request).client_endpoint));
  }
  void Post(std::function<void(Now)> task) override { tasks.push_back(std::move(task)); }
  void OnStorageFailure(const absl::Status& status) override {
    seen.push_back("failure " + std::string(status.message()));
  }
  void OnRaftTrace(const raft::RaftTrace&) override { seen.push_back("trace"); }
  void OnLeadership(const raft::LeadershipChange&) override { seen.push_back("observed"); }
  void OnActiveController(Epoch, bool) override {}
  void OnReadiness(bool) override {}
  // EffectTarget
  void OnWriteDone(Now, raft::WriteDone done) override {
    seen.push_back(fmt::format("write done {}", done.id));
  }
  void OnHighWatermark(Now) override { seen.push_back("high watermark"); }
  void OnReadConfirmed(Now, const raft::ReadConfirmed& read) override {
    seen.push_back(fmt::format("read confirmed {}", read.token));
  }
  void OnLeadership(Now, const raft::LeadershipChange& change) override {
    seen.push_back(fmt::format("leadership {}", change.epoch));
  }
  void OnInstalled(const SnapshotManifest& manifest) override {
    seen.push_back(fmt::format("installed {}", manifest.id));
  }
  void OnQuorumChangeDone(const raft::QuorumChangeDone&) override {
    seen.push_back("quorum change done");
  }
  void OnSnapshotDamaged(Now, const SnapshotId& id, const absl::Status&) override {
    seen.push_back(fmt::format("snapshot {} damaged", id));
  }
  void OnDone(Now, raft::Event event) override {
    if (const auto* stored = std::get_if<raft::SnapshotChunkStored>(&event)) {
      seen.push_back(fmt::format("chunk {} stored", stored->index));
    } else {
      const auto& frozen = std::get<raft::SnapshotFrozen>(event);
      seen.push_back(frozen.is_good ? "frozen" : "not frozen");
    }
  }

  void RunTasks() {
    while (!tasks.empty()) {
      const auto task = std::move(tasks.front());
      tasks.pop_front();
      task(Now());
    }
  }
  Texts TakeSeen() { return std::exchange(seen, {}); }

  raft::RequestToken AddRequest(const std::string& name) {
    return executor.AddRequest([this, name](raft::RaftResponse response) {
      const auto* fetch = std::get_if<raft::FetchResponse>(&response);
      seen.push_back(fmt::format(
          "reply {} {} batches {} {}", name, fetch == nullptr ? 0 : fetch->batches.size(),
          HeaderOf(response).client_endpoint,
          HeaderOf(response).error == raft::RaftError::kNone ? "ok" : "error"));
    });
  }

  static RecordBatch Batch(int64_t base, size_t payload_bytes = 52) {
    return MakeBatch(Offset(base), 1, Epoch(1), false, 0,
                     std::make_shared<const std::string>(payload_bytes, 'x'), 0);
  }
  static raft::SendReply FetchReply(raft::RequestToken token, int64_t from, int64_t to) {
    raft::SendReply reply;
    reply.token = token;
    reply.response = raft::FetchResponse();
    reply.read = raft::FetchRange{Offset(from), Offset(to), 1000};
    return reply;
  }

  Texts seen;
  std::deque<WriteDone> write_done;
  std::deque<ReadDone> read_done;
  std::deque<ChunkDone> chunk_done;
  std::deque<std::function<void(Now)>> tasks;
  RecentBatches recent{100};
  EffectExecutor executor{{*this, *this, *this, *this, recent, *this}, "self:1"};
};

TEST_F(EffectExecutorTest, CarriesOutEffectsInOneOrder) {
  raft::Effects effects;
  effects.traces.resize(1);
  effects.leadership.push_back({.epoch = Epoch(3)});
  effects.leadership.push_back({.epoch = Epoch(4)});
  effects.reads.push_back({raft::ReadToken(9), true, Offset(1)});
  effects.high_watermark = Offset(1);
  effects.replies.push_back(FetchReply(AddRequest("fetch"), 0, 1));
  effects.sends.push_back({raft::CorrelationId(5), {}, raft::VoteRequest(), Duration()});
  effects.writes.push_back({.id = WriteId(1), .append = {Batch(0)}});
  effects.writes.push_back({.id = WriteId(2)});
  executor.Run(Now(), std::move(effects));
  EXPECT_EQ(TakeSeen(),
            (Texts{"write 1", "write 2", "send 5 self:1", "reply fetch 1 batches self:1 ok",
                   "high watermark", "read confirmed 9", "leadership 3", "leadership 4", "trace"}));
}

TEST_F(EffectExecutorTest, TellsOfWritesOnTheLoopAndCountsTheirBytes) {
  raft::Effects effects;
  effects.writes.push_back({.id = WriteId(1), .append = {Batch(0), Batch(1)}});
  effects.writes.push_back({.id = WriteId(2), .append = {Batch(2)}});
  executor.Run(Now(), std::move(effects));
  EXPECT_EQ(executor.inflight_bytes(), 300u);
  TakeSeen();
  write_done[0](absl::OkStatus());
  EXPECT_EQ(TakeSeen(), Texts{}) << "the completion may come on any thread";
  RunTasks();
  EXPECT_EQ(TakeSeen(), Texts{"write done 1"});
  EXPECT_EQ(executor.inflight_bytes(), 100u);
}

TEST_F(EffectExecutorTest, TruncatesBeforeItAppendsToTheRecentBatches) {
  raft::Effects effects;
  effects.writes.push_back({.id = WriteId(1), .append = {Batch(0), Batch(1)}});
  effects.writes.push_back(
      {.id = WriteId(2), .truncate_to = Offset(1), .append = {Batch(1, 20), Batch(2)}});
  executor.Run(Now(), std::move(effects));
  EXPECT_EQ(recent.Read(Offset(0), Offset(9), 1000)->size(), 3u);
}

TEST_F(EffectExecutorTest, FillsAnAnswerFromTheDiskWhatIsNotRecent) {
  raft::Effects effects;
  effects.replies.push_back(FetchReply(AddRequest("old"), 0, 2));
  effects.replies.push_back(FetchReply(AddRequest("inside"), 1, 2));
  executor.Run(Now(), std::move(effects));
  EXPECT_EQ(TakeSeen(), (Texts{"read 0-2", "read 1-2"}));
  EXPECT_EQ(executor.unanswered_requests(), 2u);
  read_done[1](absl::NotFoundError("inside a batch"));
  read_done[0](std::vector<RecordBatch>{Batch(0), Batch(1)});
  RunTasks();
  EXPECT_EQ(TakeSeen(),
            (Texts{"reply inside 0 batches self:1 error", "reply old 2 batches self:1 ok"}));
  EXPECT_EQ(executor.unanswered_requests(), 0u);
}

TEST_F(EffectExecutorTest, FailsOnceAndAnswersNothingAfterwards) {
  raft::Effects effects;
  effects.writes.push_back({.id = WriteId(1), .append = {Batch(0)}});
  effects.writes.push_back({.id = WriteId(2), .append = {Batch(1)}});
  effects.replies.push_back(FetchReply(AddRequest("old"), 5, 6));
  effects.replies.push_back(FetchReply(AddRequest("broken"), 6, 7));
  executor.Run(Now(), std::move(effects));
  TakeSeen();
  write_done[0](absl::DataLossError("fsync"));
  write_done[1](absl::OkStatus());
  read_done[0](std::vector<RecordBatch>{Batch(5)});
  read_done[1](absl::DataLossError("crc"));
  RunTasks();
  EXPECT_EQ(TakeSeen(), Texts{"failure fsync"});
  EXPECT_TRUE(executor.failed());
}

TEST_F(EffectExecutorTest, StoresFreezesAndForgetsSnapshots) {
  const SnapshotId id{Offset(4), Epoch(1)};
  raft::Effects effects;
  effects.store_chunk = raft::StoreSnapshotChunk{.id = id, .index = 3, .chunk = "x"};
  effects.delete_snapshots = {id};
  executor.Run({}, std::move(effects));
  EXPECT_EQ(TakeSeen(), (Texts{"store chunk 3", fmt::format("delete {}", id)}));
  write_done.at(0)(absl::OkStatus());
  write_done.at(1)(absl::NotFoundError("gone already"));
  RunTasks();
  EXPECT_EQ(TakeSeen(), Texts{"chunk 3 stored"});
  for (const bool is_good : {true, false}) {
    write_done.clear();
    raft::Effects freeze;
    freeze.freeze_snapshot = SnapshotManifest{.id = id};
    executor.Run({}, std::move(freeze));
    write_done.at(0)(is_good ? absl::OkStatus() : absl::DataLossError("other digest"));
    RunTasks();
    EXPECT_EQ(TakeSeen(), (Texts{"freeze", is_good ? "frozen" : "not frozen"}));
  }
  EXPECT_FALSE(executor.failed());
}

TEST_F(EffectExecutorTest, FillsASnapshotAnswerOrSaysThatItIsGone) {
  const absl::StatusOr<std::string> chunks[] = {std::string("bytes"), absl::NotFoundError("gone"),
                                                absl::DataLossError("damaged")};
  for (const absl::StatusOr<std::string>& chunk : chunks) {
    raft::RaftResponse got;
    raft::SendReply reply;
    reply.token = executor.AddRequest([&](raft::RaftResponse answer) { got = std::move(answer); });
    reply.response = raft::FetchSnapshotResponse();
    reply.chunk_read = raft::SnapshotChunkRead{{Offset(4), Epoch(1)}, 2};
    raft::Effects effects;
    effects.replies.push_back(std::move(reply));
    executor.Run({}, std::move(effects));
    chunk_done.back()(chunk);
    RunTasks();
    const auto& answer = std::get<raft::FetchSnapshotResponse>(got);
    EXPECT_EQ(answer.chunk, chunk.value_or(""));
    EXPECT_EQ(answer.header.error,
              chunk.ok() ? raft::RaftError::kNone : raft::RaftError::kSnapshotNotFound);
    EXPECT_EQ(TakeSeen().back() == "snapshot 4/1 damaged", absl::IsDataLoss(chunk.status()));
  }
  EXPECT_FALSE(executor.failed());
}

TEST_F(EffectExecutorTest, InstallingForgetsTheRecentBatches) {
  recent.Append(Batch(0));
  raft::Effects effects;
  StorageWrite write;
  write.id = WriteId(1);
  write.install = SnapshotManifest{.id = {Offset(9), Epoch(1)}};
  effects.writes.push_back(std::move(write));
  effects.installed = SnapshotManifest{.id = {Offset(9), Epoch(1)}};
  executor.Run({}, std::move(effects));
  EXPECT_EQ(recent.bytes(), 0u);
  EXPECT_EQ(TakeSeen(),
            (Texts{"write 1", fmt::format("installed {}", SnapshotId{Offset(9), Epoch(1)})}));
}

TEST_F(EffectExecutorTest, FailsOnAReadThatFails) {
  raft::Effects effects;
  effects.replies.push_back(FetchReply(AddRequest("broken"), 6, 7));
  executor.Run(Now(), std::move(effects));
  read_done[0](absl::DataLossError("crc"));
  RunTasks();
  EXPECT_EQ(TakeSeen(), (Texts{"read 6-7", "failure crc"}));
}

using EffectExecutorDeathTest = EffectExecutorTest;

TEST_F(EffectExecutorDeathTest, DiesOnASecondAnswer) {
  const raft::RequestToken token = AddRequest("vote");
  raft::Effects effects;
  effects.replies.push_back({token, raft::VoteResponse(), std::nullopt});
  effects.replies.push_back({token, raft::VoteResponse(), std::nullopt});
  EXPECT_DEATH(executor.Run(Now(), std::move(effects)), "answered twice");
}

}  // namespace
}  // namespace kvorum
