// The high watermark by the voters' durable ends (consensus.md §3.4; Raft §5.4.2): a matrix.

#include <gtest/gtest.h>

#include "server/raft/raft_state.h"
#include "tests/protocol/raft_harness.h"

namespace kvorum::raft {
namespace {

struct Row {
  int voters;
  int own_appends;  // after the epoch's first batch, at 4 and 5: the log ends at 6 + n
  bool own_synced;
  std::vector<int> fetched;  // by voters 2, 3, …; -1: never
  std::optional<int> expected;
};

// Leader of epoch 4 over a log of four older records; its first batch fills offsets 4 and 5.
std::optional<Offset> HighWatermarkOf(const Row& row) {
  TestNode node(1, VotersUpTo(row.voters), DiskWith({1, 1, 2, 2}, 3));
  node.WinElection();
  EXPECT_EQ(node.core().log_end_offset(), Offset(6));
  node.auto_sync = row.own_synced;
  for (int i = 0; i < row.own_appends; ++i) {
    node.Append("x");
  }
  for (size_t i = 0; i < row.fetched.size(); ++i) {
    if (row.fetched[i] >= 0) {
      node.Receive(node.FetchFrom(static_cast<int>(i) + 2, row.fetched[i]));
    }
  }
  const auto& leader = std::get<Leader>(node.core().state().role);
  EXPECT_EQ(leader.high_watermark, node.core().high_watermark());
  return node.core().high_watermark();
}

TEST(HighWatermarkTest, IsTheMajoritysDurableEndPastTheEpochsFirstRecord) {
  const std::vector<Row> rows = {
      {3, 0, true, {-1, -1}, std::nullopt},
      {3, 0, true, {4, 4}, std::nullopt},  // old records on all voters
      {3, 0, true, {6, -1}, 6},
      {3, 2, true, {6, -1}, 6},
      {3, 2, true, {8, -1}, 8},
      {3, 2, false, {8, -1}, 6},  // its own are not synced
      {3, 2, false, {8, 8}, 8},   // a majority without the leader
      {3, 2, false, {8, 7}, 7},
      {5, 2, true, {8, -1, -1, -1}, std::nullopt},
      {5, 2, true, {8, 4, -1, -1}, std::nullopt},
      {5, 2, true, {8, 7, -1, -1}, 7},
      {5, 2, true, {6, 7, 8, 8}, 8},
      {2, 1, true, {-1}, std::nullopt},
      {2, 1, true, {7}, 7},
      {4, 1, true, {7, -1, -1}, std::nullopt},
      {4, 1, true, {7, 6, -1}, 6},
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::optional<Offset> expected =
        rows[i].expected.has_value() ? std::optional(Offset(*rows[i].expected)) : std::nullopt;
    EXPECT_EQ(HighWatermarkOf(rows[i]), expected) << "row " << i;
  }
}

TEST(HighWatermarkTest, NeverGoesBackWhenAFetchDoes) {  // a repeated, older fetch
  TestNode node(1, VotersUpTo(3));
  node.WinElection();
  node.Append("x");
  node.Receive(node.FetchFrom(2, 3));
  ASSERT_EQ(node.core().high_watermark(), Offset(3));
  node.Receive(node.FetchFrom(2, 2));
  EXPECT_EQ(node.core().high_watermark(), Offset(3));
}

}  // namespace
}  // namespace kvorum::raft
