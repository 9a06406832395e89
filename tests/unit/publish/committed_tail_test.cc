#include "server/publish/committed_tail.h"

#include <gtest/gtest.h>

#include "tests/unit/publish/fakes.h"

namespace kvorum::publish {
namespace {

using Place = CommittedTail::Place;

TailEntryPtr Entry(int64_t from, int64_t to, int32_t epoch, size_t payload_bytes = 10) {
  auto entry = std::make_shared<TailEntry>();
  entry->from = Offset(from);
  entry->to = Offset(to);
  entry->epoch = Epoch(epoch);
  entry->bytes = payload_bytes;
  return entry;
}

OffsetAndEpoch At(int64_t offset, int32_t epoch) { return {Offset(offset), Epoch(epoch)}; }

TEST(CommittedTailTest, KnowsNothingWhileEmpty) {
  const CommittedTail tail(100);
  EXPECT_TRUE(tail.empty());
  EXPECT_EQ(tail.Locate(At(0, 0)), Place::kBelow);
  EXPECT_EQ(tail.Locate(At(5, 1)), Place::kBelow);
}

TEST(CommittedTailTest, LocatesEveryBoundaryFromTheLogsBeginning) {
  CommittedTail tail(1000);
  tail.Append(Entry(0, 2, 1));
  tail.Append(Entry(2, 5, 1));
  tail.Append(Entry(5, 6, 3));
  EXPECT_EQ(tail.Locate(At(0, 0)), Place::kFound);
  EXPECT_EQ(tail.Locate(At(2, 1)), Place::kFound);
  EXPECT_EQ(tail.Locate(At(5, 1)), Place::kFound);
  EXPECT_EQ(tail.Locate(At(6, 3)), Place::kFound);
  EXPECT_EQ(tail.Locate(At(7, 3)), Place::kAbove);
  EXPECT_EQ(tail.EntryAt(Offset(0))->to, Offset(2));
  EXPECT_EQ(tail.EntryAt(Offset(5))->to, Offset(6));
  EXPECT_EQ(tail.EntryAt(Offset(6)), nullptr);
}

TEST(CommittedTailTest, CallsAnotherEpochDiverged) {
  CommittedTail tail(1000);
  tail.Append(Entry(0, 2, 1));
  tail.Append(Entry(2, 5, 3));
  EXPECT_EQ(tail.Locate(At(0, 1)), Place::kDiverged);
  EXPECT_EQ(tail.Locate(At(2, 2)), Place::kDiverged);
  EXPECT_EQ(tail.Locate(At(5, 1)), Place::kDiverged);
  EXPECT_EQ(tail.Locate(At(5, 4)), Place::kDiverged);
}

TEST(CommittedTailTest, CallsAPlaceInsideABatchDivergedAlsoInTheFirst) {
  CommittedTail tail(1000);
  tail.Append(Entry(0, 4, 1));
  tail.Append(Entry(4, 8, 1));
  for (const int64_t inside : {1, 2, 3, 5, 6, 7}) {
    EXPECT_EQ(tail.Locate(At(inside, 1)), Place::kDiverged) << inside;
  }
}

TEST(CommittedTailTest, CannotJudgeTheStartOfATailThatDoesNotBeginTheLog) {
  CommittedTail tail(1000);
  tail.Append(Entry(10, 12, 4));
  EXPECT_EQ(tail.Locate(At(9, 4)), Place::kBelow);
  EXPECT_EQ(tail.Locate(At(10, 4)), Place::kBelow);
  EXPECT_EQ(tail.Locate(At(10, 3)), Place::kBelow);
  EXPECT_EQ(tail.Locate(At(11, 4)), Place::kDiverged);
  EXPECT_EQ(tail.Locate(At(12, 4)), Place::kFound);
}

TEST(CommittedTailTest, EvictsTheOldestByBytes) {
  CommittedTail tail(30);
  tail.Append(Entry(0, 1, 1, 10));
  tail.Append(Entry(1, 2, 1, 10));
  tail.Append(Entry(2, 3, 2, 10));
  EXPECT_EQ(tail.bytes(), 30u);
  tail.Append(Entry(3, 4, 2, 11));
  EXPECT_EQ(tail.bytes(), 21u);
  EXPECT_EQ(tail.start(), At(2, 1));
  EXPECT_EQ(tail.end(), At(4, 2));
  EXPECT_EQ(tail.Locate(At(1, 1)), Place::kBelow);
  EXPECT_EQ(tail.Locate(At(2, 1)), Place::kFound);
  EXPECT_EQ(tail.Locate(At(2, 2)), Place::kDiverged);
  EXPECT_EQ(tail.Locate(At(3, 2)), Place::kFound);
}

TEST(CommittedTailTest, KeepsTheNewestHoweverLarge) {
  CommittedTail tail(30);
  tail.Append(Entry(0, 1, 1, 10));
  tail.Append(Entry(1, 2, 1, 500));
  EXPECT_EQ(tail.start(), At(1, 1));
  EXPECT_EQ(tail.EntryAt(Offset(1))->to, Offset(2));
  EXPECT_EQ(tail.bytes(), 500u);
}

TEST(CommittedTailTest, CountsTheEncodedBytes) {
  CommittedHistory history;
  history.AddControl();
  const CommittedUpdate commit = history.AddPuts(30, 100);
  const TailEntryPtr entry = MakeTailEntry(commit, kGeneration, 500);
  size_t bytes = 0;
  for (const EncodedUpdate& part : entry->parts) {
    bytes += part.bytes();
  }
  EXPECT_EQ(entry->bytes, bytes);
  EXPECT_GT(entry->bytes, commit.payload->size());
}

TEST(CommittedTailDeathTest, RefusesAGap) {
  CommittedTail tail(100);
  tail.Append(Entry(0, 1, 1));
  EXPECT_DEATH(tail.Append(Entry(2, 3, 1)), "commit from 2 after 1");
}

}  // namespace
}  // namespace kvorum::publish
