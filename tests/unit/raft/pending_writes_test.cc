#include "server/raft/pending_writes.h"

#include <gtest/gtest.h>

namespace kvorum::raft {
namespace {

SendReply ReplyWith(uint64_t token) {
  return SendReply{.token = RequestToken(token), .response = VoteResponse{}, .read = {}};
}
SendRequest RequestWith(uint64_t id) {
  SendRequest request;
  request.id = CorrelationId(id);
  return request;
}

TEST(PendingWritesTest, CompletionCoversAllWritesBefore) {
  PendingWrites writes;
  writes.Add(Offset(1));
  const WriteId second = writes.Add(Offset(2));
  writes.Add(Offset(3));
  EXPECT_EQ(writes.Complete(second), Offset(2));
  EXPECT_EQ(writes.size(), 1u);
  EXPECT_TRUE(writes.IsDone(second));
}

TEST(PendingWritesTest, CompletionTwiceIsNoNews) {
  PendingWrites writes;
  const WriteId id = writes.Add(Offset(1));
  writes.Complete(id);
  EXPECT_EQ(writes.Complete(id), std::nullopt);
}

// reliability R11: etcd's async_storage_writes_append_aba_race.
TEST(PendingWritesTest, CompletionOfATruncatedWriteIsNotCreditedToItsReplacement) {
  PendingWrites writes;
  const WriteId old_tail = writes.Add(Offset(10));
  writes.TruncateTo(Offset(4));
  const WriteId truncation = writes.Add(Offset(4));
  const WriteId replacement = writes.Add(Offset(10));
  EXPECT_EQ(writes.Complete(old_tail), Offset(4));
  EXPECT_EQ(writes.Complete(truncation), Offset(4));
  EXPECT_EQ(writes.Complete(replacement), Offset(10));
}

TEST(PendingWritesTest, MessagesWaitForTheirWriteInOrder) {
  PendingWrites writes;
  const WriteId first = writes.Add(Offset(0));
  const WriteId second = writes.Add(Offset(0));
  writes.Hold(first, ReplyWith(1));
  writes.Hold(first, RequestWith(2));
  writes.Hold(second, ReplyWith(3));
  Effects effects;
  writes.Release(effects);
  EXPECT_TRUE(effects.replies.empty());
  writes.Complete(first);
  writes.Release(effects);
  ASSERT_EQ(effects.replies.size(), 1u);
  EXPECT_EQ(effects.replies[0].token, RequestToken(1));
  EXPECT_EQ(effects.sends.size(), 1u);
  EXPECT_TRUE(writes.has_held_messages());
  writes.Complete(second);
  writes.Release(effects);
  EXPECT_EQ(effects.replies.back().token, RequestToken(3));
  EXPECT_FALSE(writes.has_held_messages());
}

TEST(PendingWritesTest, RequestsOfAnEndedRoleAreDroppedButRepliesAreOwed) {
  PendingWrites writes;
  const WriteId id = writes.Add(Offset(0));
  writes.Hold(id, RequestWith(1));
  writes.Hold(id, ReplyWith(2));
  writes.DropHeldRequests();
  writes.Complete(id);
  Effects effects;
  writes.Release(effects);
  EXPECT_TRUE(effects.sends.empty());
  EXPECT_EQ(effects.replies.size(), 1u);
}

TEST(PendingWritesTest, HeldReadsBecomeRefusals) {
  PendingWrites writes;
  const WriteId id = writes.Add(Offset(0));
  FetchResponse response;
  response.header.leader_id = NodeId(1);
  writes.Hold(id,
              SendReply{.token = RequestToken(1),
                        .response = response,
                        .read = FetchRange{.from = Offset(0), .to = Offset(1), .max_bytes = 1}});
  writes.RefuseHeldReads();
  writes.Complete(id);
  Effects effects;
  writes.Release(effects);
  EXPECT_FALSE(effects.replies[0].read.has_value());
  EXPECT_EQ(HeaderOf(effects.replies[0].response).error, RaftError::kNotLeaderOrFollower);
  EXPECT_EQ(HeaderOf(effects.replies[0].response).leader_id, std::nullopt);
}

TEST(PendingWritesDeathTest, RefusesACompletionOfAWriteThatWasNotBegun) {
  PendingWrites writes;
  EXPECT_EXIT(writes.Complete(WriteId(1)), ::testing::ExitedWithCode(70), "write 1 is done");
}

}  // namespace
}  // namespace kvorum::raft
