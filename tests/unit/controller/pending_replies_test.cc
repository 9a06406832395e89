#include "server/controller/pending_replies.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace kvorum::controller {
namespace {

constexpr TimePoint At(int seconds) { return TimePoint(std::chrono::seconds(seconds)); }

absl::Status Unknown(Offset end_offset) {
  return absl::UnknownError(std::to_string(end_offset.value()));
}

class PendingRepliesTest : public testing::Test {
 protected:
  void Add(int64_t end_offset, TimePoint deadline) {
    const size_t index = heard.size();
    heard.emplace_back();
    replies.Add(Offset(end_offset), deadline,
                [this, index](const absl::Status& status) { heard[index].push_back(status); });
  }
  // What each reply was told, as text: "" while it waits.
  std::vector<std::string> Heard() const {
    std::vector<std::string> all;
    for (const std::vector<absl::Status>& one : heard) {
      std::string text;
      for (const absl::Status& status : one) {
        text += status.ok() ? "OK" : std::string(status.message());
      }
      all.push_back(text);
    }
    return all;
  }

  PendingReplies replies;
  std::vector<std::vector<absl::Status>> heard;
};

using Texts = std::vector<std::string>;

TEST_F(PendingRepliesTest, CompletesUpToTheAppliedOffset) {
  Add(5, At(10));
  Add(5, At(10));
  Add(7, At(10));
  replies.CompleteUpTo(Offset(4));
  EXPECT_EQ(Heard(), (Texts{"", "", ""}));
  replies.CompleteUpTo(Offset(6));
  EXPECT_EQ(Heard(), (Texts{"OK", "OK", ""}));
  EXPECT_EQ(replies.size(), 1u);
  replies.CompleteUpTo(Offset(7));
  EXPECT_EQ(Heard(), (Texts{"OK", "OK", "OK"}));
  EXPECT_TRUE(replies.empty());
  EXPECT_EQ(replies.NextDeadline(), kNever);
}

TEST_F(PendingRepliesTest, ExpiresInTheOrderOfDeadlinesAndOnlyOnce) {
  Add(5, At(30));
  Add(6, At(10));
  Add(7, At(20));
  EXPECT_EQ(replies.NextDeadline(), At(10));
  replies.Expire(At(9), Unknown);
  EXPECT_EQ(Heard(), (Texts{"", "", ""}));
  replies.Expire(At(10), Unknown);
  EXPECT_EQ(Heard(), (Texts{"", "6", ""}));
  EXPECT_EQ(replies.NextDeadline(), At(20));
  replies.Expire(At(25), Unknown);
  EXPECT_EQ(Heard(), (Texts{"", "6", "7"}));
  replies.CompleteUpTo(Offset(7));
  EXPECT_EQ(Heard(), (Texts{"OK", "6", "7"}));
  EXPECT_TRUE(replies.empty());
}

TEST_F(PendingRepliesTest, FailsEverythingThatIsLeftOnce) {
  Add(5, At(1));
  Add(6, At(30));
  Add(7, kNever);
  replies.Expire(At(2), Unknown);
  replies.FailAll([](Offset end_offset) {
    return absl::AbortedError("lost " + std::to_string(end_offset.value()));
  });
  EXPECT_EQ(Heard(), (Texts{"5", "lost 6", "lost 7"}));
  EXPECT_TRUE(replies.empty());
  EXPECT_EQ(replies.NextDeadline(), kNever);
  replies.CompleteUpTo(Offset(100));
  replies.FailAll(Unknown);
  EXPECT_EQ(Heard(), (Texts{"5", "lost 6", "lost 7"}));
}

TEST_F(PendingRepliesTest, TakesNewOnesAfterAFailure) {
  Add(50, At(1));
  replies.FailAll(Unknown);
  Add(5, At(9));
  EXPECT_EQ(replies.NextDeadline(), At(9));
  replies.CompleteUpTo(Offset(5));
  EXPECT_EQ(Heard(), (Texts{"50", "OK"}));
}

using PendingRepliesDeathTest = PendingRepliesTest;

TEST_F(PendingRepliesDeathTest, RefusesAnOffsetBelowTheOneBefore) {
  Add(5, At(1));
  EXPECT_DEATH(Add(4, At(1)), "reply at 4 after one at 5");
}

}  // namespace
}  // namespace kvorum::controller
