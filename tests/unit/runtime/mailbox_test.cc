#include "server/runtime/mailbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "server/runtime/clock.h"

namespace kvorum {
namespace {

class MailboxTest : public ::testing::Test {
 protected:
  Task Append(int value) {
    return [this, value](Now) { ran_.push_back(value); };
  }
  void RunAll() {
    for (Task& task : urgent_) {
      task(Now{});
    }
    for (Task& task : client_) {
      task(Now{});
    }
    urgent_.clear();
    client_.clear();
  }

  Mailbox mailbox_{{.urgent_max = 3, .client_max = 2}};
  std::vector<Task> urgent_;
  std::vector<Task> client_;
  std::vector<int> ran_;
};

TEST_F(MailboxTest, GivesEachLaneInTheOrderOfPosting) {
  mailbox_.TryPost(Lane::kClient, Append(10));
  mailbox_.TryPost(Lane::kUrgent, Append(1));
  mailbox_.TryPost(Lane::kClient, Append(11));
  mailbox_.TryPost(Lane::kUrgent, Append(2));
  EXPECT_TRUE(mailbox_.Take({}, urgent_, client_));
  RunAll();
  EXPECT_EQ(ran_, (std::vector<int>{1, 2, 10, 11}));
}

TEST_F(MailboxTest, RefusesWhatExceedsALane) {
  EXPECT_EQ(mailbox_.TryPost(Lane::kClient, Append(1)), PostResult::kAccepted);
  EXPECT_EQ(mailbox_.TryPost(Lane::kClient, Append(2)), PostResult::kAccepted);
  EXPECT_EQ(mailbox_.TryPost(Lane::kClient, Append(3)), PostResult::kFull);
  EXPECT_EQ(mailbox_.TryPost(Lane::kUrgent, Append(4)), PostResult::kAccepted);
}

TEST_F(MailboxTest, TasksTakenButNotRunCountAgainstTheLimit) {
  mailbox_.TryPost(Lane::kClient, Append(1));
  mailbox_.TryPost(Lane::kClient, Append(2));
  mailbox_.Take({}, urgent_, client_);
  EXPECT_EQ(mailbox_.TryPost(Lane::kClient, Append(3)), PostResult::kFull);
  mailbox_.Take({.client_lane = false, .client_left = 1, .deadline = Mailbox::kDoNotWait}, urgent_,
                client_);
  EXPECT_EQ(mailbox_.TryPost(Lane::kClient, Append(3)), PostResult::kAccepted);
  EXPECT_EQ(mailbox_.TryPost(Lane::kClient, Append(4)), PostResult::kFull);
}

TEST_F(MailboxTest, CompletionsAreAcceptedAboveTheLimit) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(mailbox_.Post(Append(i)));
  }
  EXPECT_EQ(mailbox_.TryPost(Lane::kUrgent, Append(5)), PostResult::kFull);
}

TEST_F(MailboxTest, LeavesTheClientLaneAloneWhenItIsNotWanted) {
  mailbox_.TryPost(Lane::kClient, Append(1));
  const TimePoint soon = ReadClock().now + std::chrono::milliseconds(1);
  EXPECT_TRUE(mailbox_.Take({.client_lane = false, .deadline = soon}, urgent_, client_));
  EXPECT_TRUE(urgent_.empty());
  EXPECT_TRUE(client_.empty());
  mailbox_.Take({}, urgent_, client_);
  EXPECT_EQ(client_.size(), 1u);
}

TEST_F(MailboxTest, ClosedMailboxAcceptsNothingAndStillGivesWhatItHolds) {
  mailbox_.TryPost(Lane::kClient, Append(1));
  mailbox_.Close();
  EXPECT_EQ(mailbox_.TryPost(Lane::kUrgent, Append(2)), PostResult::kClosed);
  EXPECT_FALSE(mailbox_.Post(Append(3)));
  EXPECT_FALSE(mailbox_.Take({}, urgent_, client_));
  RunAll();
  EXPECT_EQ(ran_, std::vector<int>{1});
}

TEST_F(MailboxTest, WakesAConsumerThatWaitsWithoutDeadline) {
  for (const Lane lane : {Lane::kUrgent, Lane::kClient}) {
    std::thread producer([&] { mailbox_.TryPost(lane, Append(1)); });
    EXPECT_TRUE(mailbox_.Take({}, urgent_, client_));
    EXPECT_EQ(urgent_.size() + client_.size(), 1u);
    producer.join();
    RunAll();
  }
}

// A timer that is due while another thread runs the turn fires when that turn is over.
TEST_F(MailboxTest, ADeadlineThatPassesInABorrowedTurnEndsTheWaitWhenItIsReturned) {
  const TimePoint deadline = ReadClock().now + std::chrono::milliseconds(20);
  std::thread consumer([&] { mailbox_.Take({.deadline = deadline}, urgent_, client_); });
  bool is_borrowed = false;
  while (!is_borrowed && ReadClock().now < deadline) {
    is_borrowed = mailbox_.TryBorrow();
  }
  if (is_borrowed) {
    while (ReadClock().now <= deadline + std::chrono::milliseconds(5)) {
      std::this_thread::yield();
    }
    mailbox_.Return(kNever, true);
  }
  consumer.join();
}

// What the borrower's turn set is waited for by the one who slept meanwhile.
TEST_F(MailboxTest, AnEarlierDeadlineOfABorrowedTurnIsKept) {
  std::thread consumer([&] { mailbox_.Take({}, urgent_, client_); });
  while (!mailbox_.TryBorrow()) {
    std::this_thread::yield();
  }
  mailbox_.Return(ReadClock().now + std::chrono::milliseconds(1), true);
  consumer.join();
}

TEST_F(MailboxTest, LosesNothingUnderManyProducers) {
  constexpr int kProducers = 4;
  constexpr int kTasks = 2000;
  Mailbox mailbox({.urgent_max = kProducers * kTasks, .client_max = kProducers * kTasks});
  int ran = 0;  // consumer only
  std::vector<std::thread> producers;
  for (int i = 0; i < kProducers; ++i) {
    producers.emplace_back([&, lane = i % 2 == 0 ? Lane::kUrgent : Lane::kClient] {
      for (int j = 0; j < kTasks; ++j) {
        mailbox.TryPost(lane, [&ran](Now) { ++ran; });
      }
    });
  }
  while (ran < kProducers * kTasks) {
    mailbox.Take({}, urgent_, client_);
    RunAll();
  }
  for (std::thread& producer : producers) {
    producer.join();
  }
  EXPECT_EQ(ran, kProducers * kTasks);
}

}  // namespace
}  // namespace kvorum
