// The promises of the stream, checked update by update: each test breaks one of them.
#include "client/stream_assembler.h"

#include <gtest/gtest.h>

#include "tests/unit/client/fake_controller.h"
#include "tests/unit/client/recording_listener.h"

namespace kvorum::client {
namespace {

using testing::At;
using Verdict = StreamAssembler::Verdict;

v1::MetadataUpdate Hello(const v1::Position& start, bool snapshot_follows) {
  v1::MetadataUpdate update;
  *update.mutable_hello()->mutable_start() = start;
  update.mutable_hello()->set_snapshot_follows(snapshot_follows);
  return update;
}

v1::MetadataUpdate Commit(int64_t from, const v1::Position& to, uint32_t part = 0,
                          uint32_t part_count = 0) {
  v1::MetadataUpdate update;
  update.mutable_commit()->set_from(from);
  *update.mutable_commit()->mutable_to() = to;
  update.mutable_commit()->set_part(part);
  update.mutable_commit()->set_part_count(part_count);
  update.mutable_commit()->add_records()->mutable_no_op();
  return update;
}

v1::MetadataUpdate Bookmark(const v1::Position& position) {
  v1::MetadataUpdate update;
  *update.mutable_bookmark()->mutable_position() = position;
  return update;
}

v1::MetadataUpdate SnapshotEnd(const v1::Position& position) {
  v1::MetadataUpdate update;
  *update.mutable_snapshot_end()->mutable_position() = position;
  return update;
}

v1::MetadataUpdate Reset(v1::Reset::Reason reason) {
  v1::MetadataUpdate update;
  update.mutable_reset()->set_reason(reason);
  return update;
}

// Keeps the commits it is given.
class KeepingListener : public testing::RecordingListener {
 public:
  std::vector<CommittedRecords> commits;

  std::optional<ApplyError> OnCommit(const CommittedRecords& commit) override {
    commits.push_back(commit);
    return RecordingListener::OnCommit(commit);
  }
};

class StreamAssemblerTest : public ::testing::Test {
 protected:
  // A stream that resumed at offset 10 of epoch 2.
  void SetUp() override {
    assembler_.OnStreamStart();
    ASSERT_EQ(Feed(Hello(At(10, 2), false)), Verdict::kGoOn);
  }

  Verdict Feed(v1::MetadataUpdate update) { return assembler_.OnUpdate(update); }

  KeepingListener listener_;
  StreamAssembler assembler_{listener_, At(10, 2)};
};

TEST_F(StreamAssemblerTest, PassesCommitsOnAndMovesThePosition) {
  EXPECT_EQ(Feed(Commit(10, At(12, 2))), Verdict::kGoOn);
  EXPECT_EQ(Feed(Commit(12, At(13, 2))), Verdict::kGoOn);
  EXPECT_EQ(listener_.Calls(), "commit 10-12 x1, commit 12-13 x1");
  EXPECT_EQ(assembler_.position()->offset(), 13);
  EXPECT_EQ(assembler_.counters().commits, 2);
}

TEST_F(StreamAssemblerTest, AppliesPartsOnTheLastOne) {
  EXPECT_EQ(Feed(Commit(10, At(13, 2), 0, 3)), Verdict::kGoOn);
  EXPECT_EQ(Feed(Commit(10, At(13, 2), 1, 3)), Verdict::kGoOn);
  EXPECT_EQ(listener_.Calls(), "");
  EXPECT_EQ(assembler_.position()->offset(), 10);
  EXPECT_EQ(Feed(Commit(10, At(13, 2), 2, 3)), Verdict::kGoOn);
  EXPECT_EQ(listener_.Calls(), "commit 10-13 x3");
  EXPECT_EQ(assembler_.position()->offset(), 13);
}

TEST_F(StreamAssemblerTest, GathersOffsetsAndWhatLeftTheScopeOverAllParts) {
  const auto part = [](uint32_t number, int64_t offset, const std::string& left) {
    v1::MetadataUpdate update = Commit(10, At(20, 2), number, 2);
    update.mutable_commit()->add_offsets(offset);
    update.mutable_commit()->add_left_scope()->set_topic_name(left);
    return update;
  };
  EXPECT_EQ(Feed(part(0, 12, "a")), Verdict::kGoOn);
  EXPECT_EQ(Feed(part(1, 17, "b")), Verdict::kGoOn);
  v1::MetadataUpdate next = Commit(20, At(25, 2));
  next.mutable_commit()->add_offsets(23);
  EXPECT_EQ(Feed(next), Verdict::kGoOn);

  ASSERT_EQ(listener_.commits.size(), 2u);
  const CommittedRecords& commit = listener_.commits[0];
  EXPECT_EQ(commit.from, 10);
  EXPECT_EQ(commit.to.offset(), 20);
  EXPECT_EQ(commit.offsets, (std::vector<int64_t>{12, 17}));
  EXPECT_EQ(commit.OffsetOf(1), 17);
  ASSERT_EQ(commit.left_scope.size(), 2);
  EXPECT_EQ(commit.left_scope[0].topic_name(), "a");
  EXPECT_EQ(commit.left_scope[1].topic_name(), "b");
  EXPECT_EQ(listener_.commits[1].offsets, std::vector<int64_t>{23}) << "none of the one before";
  EXPECT_TRUE(listener_.commits[1].left_scope.empty());
}

TEST_F(StreamAssemblerTest, RestartsWhenOffsetsAndRecordsAreNotAsMany) {
  v1::MetadataUpdate update = Commit(10, At(12, 2));
  update.mutable_commit()->add_offsets(10);
  update.mutable_commit()->add_offsets(11);
  EXPECT_EQ(Feed(update), Verdict::kRestart);
  EXPECT_EQ(assembler_.counters().malformed, 1);
  EXPECT_EQ(assembler_.position()->offset(), 10);
  EXPECT_EQ(listener_.Calls(), "");
}

TEST_F(StreamAssemblerTest, WhatItHasIsOfAnotherFilterOnlyOnceTheSnapshotIsWhole) {
  assembler_.OnStreamStart();
  v1::MetadataUpdate hello = Hello(At(10, 2), true);
  hello.mutable_hello()->set_filter_id(9);
  EXPECT_EQ(Feed(hello), Verdict::kGoOn);
  EXPECT_EQ(Feed(Reset(v1::Reset::REASON_FILTER)), Verdict::kGoOn);
  v1::MetadataUpdate chunk;
  chunk.mutable_snapshot_chunk()->add_records()->mutable_no_op();
  EXPECT_EQ(Feed(chunk), Verdict::kGoOn);
  EXPECT_EQ(assembler_.filter_id(), 0u) << "should the stream break here";
  EXPECT_EQ(assembler_.position()->offset(), 10);
  EXPECT_EQ(Feed(SnapshotEnd(At(10, 2))), Verdict::kGoOn);
  EXPECT_EQ(assembler_.filter_id(), 9u);
}

TEST_F(StreamAssemblerTest, ForgetsPartsOfAStreamThatBroke) {
  EXPECT_EQ(Feed(Commit(10, At(13, 2), 0, 2)), Verdict::kGoOn);
  assembler_.OnStreamStart();
  EXPECT_EQ(Feed(Hello(At(10, 2), false)), Verdict::kGoOn);
  EXPECT_EQ(Feed(Commit(10, At(13, 2), 0, 2)), Verdict::kGoOn);
  EXPECT_EQ(Feed(Commit(10, At(13, 2), 1, 2)), Verdict::kGoOn);
  EXPECT_EQ(listener_.Calls(), "commit 10-13 x2");
}

TEST_F(StreamAssemblerTest, RestartsWhenAPartIsMissing) {
  EXPECT_EQ(Feed(Commit(10, At(13, 2), 0, 3)), Verdict::kGoOn);
  EXPECT_EQ(Feed(Commit(10, At(13, 2), 2, 3)), Verdict::kRestart);
  EXPECT_EQ(listener_.Calls(), "");
  EXPECT_EQ(assembler_.counters().malformed, 1);
}

TEST_F(StreamAssemblerTest, CountsACommitBelowThePositionAsADuplicate) {
  EXPECT_EQ(Feed(Commit(9, At(11, 2))), Verdict::kRestart);
  EXPECT_EQ(listener_.Calls(), "");
  EXPECT_EQ(assembler_.counters().duplicates, 1);
  EXPECT_EQ(assembler_.position()->offset(), 10);
}

TEST_F(StreamAssemblerTest, TakesAHoleInsideAnEpochForAGap) {
  EXPECT_EQ(Feed(Commit(11, At(12, 2))), Verdict::kResync);
  EXPECT_EQ(listener_.Calls(), "");
  EXPECT_EQ(assembler_.counters().gaps, 1);
}

TEST_F(StreamAssemblerTest, TakesAHoleBeforeANewEpochForAGapToo) {
  EXPECT_EQ(Feed(Commit(11, At(12, 3))), Verdict::kResync);
  EXPECT_EQ(listener_.Calls(), "");
  EXPECT_EQ(assembler_.counters().gaps, 1);
}

TEST_F(StreamAssemblerTest, TakesABookmarkAheadOfWhatWasDeliveredForAGap) {
  EXPECT_EQ(Feed(Bookmark(At(11, 3))), Verdict::kResync);
  EXPECT_EQ(assembler_.position()->offset(), 10);
  EXPECT_EQ(assembler_.counters().gaps, 1);
}

TEST_F(StreamAssemblerTest, CountsABookmarkThatGoesBackAsADuplicate) {
  EXPECT_EQ(Feed(Bookmark(At(9, 2))), Verdict::kRestart);
  EXPECT_EQ(assembler_.counters().duplicates, 1);
}

TEST_F(StreamAssemblerTest, ReplacesEverythingAfterAReset) {
  EXPECT_EQ(Feed(Reset(v1::Reset::REASON_DIVERGED)), Verdict::kGoOn);
  EXPECT_FALSE(assembler_.live());
  EXPECT_EQ(Feed(SnapshotEnd(At(7, 3))), Verdict::kGoOn);
  EXPECT_TRUE(assembler_.live());
  EXPECT_EQ(listener_.Calls(), "reset, snapshot-begin, snapshot-end 7");
  EXPECT_EQ(assembler_.position()->offset(), 7);
}

TEST_F(StreamAssemblerTest, RefusesASnapshotOlderThanWhatItHas) {
  EXPECT_EQ(Feed(Reset(v1::Reset::REASON_COMPACTED)), Verdict::kGoOn);
  EXPECT_EQ(Feed(SnapshotEnd(At(9, 2))), Verdict::kRestart);
  EXPECT_EQ(assembler_.counters().duplicates, 1);
  EXPECT_EQ(assembler_.position()->offset(), 10);
}

TEST_F(StreamAssemblerTest, RestartsWhenCommitsComeInsideASnapshot) {
  EXPECT_EQ(Feed(Reset(v1::Reset::REASON_COMPACTED)), Verdict::kGoOn);
  EXPECT_EQ(Feed(Commit(10, At(11, 2))), Verdict::kRestart);
  EXPECT_EQ(assembler_.counters().malformed, 1);
}

TEST_F(StreamAssemblerTest, StopsWhenTheListenerRefusesARecord) {
  listener_.refuse = true;
  EXPECT_EQ(Feed(Commit(10, At(11, 2))), Verdict::kRefused);
  EXPECT_EQ(assembler_.position()->offset(), 10);
}

TEST_F(StreamAssemblerTest, RefusesAStreamThatStartsElsewhereThanAsked) {
  assembler_.OnStreamStart();
  EXPECT_EQ(Feed(Hello(At(11, 2), false)), Verdict::kRestart);
}

TEST_F(StreamAssemblerTest, RefusesAStreamWithoutHello) {
  assembler_.OnStreamStart();
  EXPECT_EQ(Feed(Commit(10, At(11, 2))), Verdict::kRestart);
}

TEST_F(StreamAssemblerTest, RefusesAnUpdateItDoesNotKnow) {
  EXPECT_EQ(Feed(v1::MetadataUpdate()), Verdict::kRestart);
}

TEST_F(StreamAssemblerTest, LeavesAtGoAwayWithTheHint) {
  v1::MetadataUpdate update;
  update.mutable_go_away()->set_hint("other:7400");
  EXPECT_EQ(Feed(update), Verdict::kRestart);
  EXPECT_EQ(assembler_.go_away_hint(), "other:7400");
  EXPECT_EQ(assembler_.counters().malformed, 0);
}

}  // namespace
}  // namespace kvorum::client
