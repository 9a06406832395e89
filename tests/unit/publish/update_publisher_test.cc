#include "server/publish/update_publisher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <string>
#include <vector>

#include "tests/unit/publish/publisher_fixture.h"

namespace kvorum::publish {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class UpdatePublisherTest : public PublisherFixture {};

// --- snapshots and tail ---

TEST_F(UpdatePublisherTest, SendsASnapshotThenCommitsWithoutGap) {
  PublishSome(20);
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  PublishPuts(3);  // while the snapshot is outstanding
  TakeAll(sink, id);
  PublishPuts(2);
  TakeAll(sink, id);
  EXPECT_EQ(sink.Count(Case::kHello), 1);
  EXPECT_TRUE(sink.hello.snapshot_follows());
  EXPECT_EQ(sink.hello.cluster_id(), kClusterId);
  EXPECT_EQ(sink.hello.node_id(), 1);
  EXPECT_EQ(sink.hello.bookmark_interval_ms(), 1000u);
  EXPECT_EQ(sink.Count(Case::kSnapshotEnd), 1);
  EXPECT_EQ(sink.Count(Case::kCommit), 2);
  EXPECT_EQ(*sink.position, history.end().offset);
}

TEST_F(UpdatePublisherTest, SendsTheSnapshotOfALogOfControlBatchesOnly) {
  PublishControl();
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  TakeAll(sink, id);
  EXPECT_EQ(sink.Count(Case::kSnapshotChunk), 0);
  EXPECT_EQ(sink.Count(Case::kSnapshotEnd), 1);
  EXPECT_EQ(*sink.position, Offset(1));
}

TEST_F(UpdatePublisherTest, SendsALargeSnapshotInManyMessages) {
  config.max_message_bytes = 2000;
  PublishControl();
  PublishPuts(90, 150);
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  Take(sink, id);
  PublishPuts(1);  // changes nothing of the snapshot that is under way
  TakeAll(sink, id);
  EXPECT_GT(sink.deliveries, 5);
  EXPECT_LE(sink.largest_message, 2000u);
  EXPECT_EQ(sink.Count(Case::kSnapshotEnd), 1);
  EXPECT_EQ(*sink.position, history.end().offset);
}

TEST_F(UpdatePublisherTest, GoesOnFromTheLogWhenTheRingMovedOnDuringTheSnapshot) {
  config.max_message_bytes = 2000;
  config.tail_max_bytes = 1000;
  PublishControl();
  PublishPuts(90, 150);
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  for (int i = 0; i < 50; ++i) {
    PublishPuts(1, 100);
  }
  TakeAll(sink, id);
  EXPECT_GE(log.reads, 1);
  EXPECT_EQ(*sink.position, history.end().offset);
}

TEST_F(UpdatePublisherTest, WaitsForTheFirstImage) {
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  EXPECT_FALSE(sink.outstanding);
  PublishSome(2);
  TakeAll(sink, id);
  EXPECT_EQ(*sink.position, history.end().offset);
}

TEST_F(UpdatePublisherTest, ShowsControlBatchesAsEmptyCommits) {
  PublishSome(1);
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  TakeAll(sink, id);
  history.NextEpoch();
  Publish(history.AddControl(2));
  ASSERT_TRUE(sink.outstanding);
  ASSERT_EQ(sink.last.updates_size(), 1);
  const v1::Commit& commit = sink.last.updates(0).commit();
  EXPECT_EQ(commit.from(), 2);
  EXPECT_EQ(commit.to().offset(), 4);
  EXPECT_EQ(commit.to().epoch(), 2);
  EXPECT_EQ(commit.records_size(), 0);
}

TEST_F(UpdatePublisherTest, SharesTheBytesOfACommitAmongSubscribers) {
  PublishSome(1);
  CheckingSink first(history);
  CheckingSink second(history);
  TakeAll(first, Subscribe(first));
  TakeAll(second, Subscribe(second));
  const CommittedUpdate commit = history.AddPuts(1, 500);
  Publish(commit);
  ASSERT_EQ(first.last_pieces.size(), 2u);
  ASSERT_EQ(second.last_pieces.size(), 2u);
  EXPECT_EQ(first.last_pieces[0].get(), second.last_pieces[0].get());
  EXPECT_EQ(first.last_pieces[1].get(), commit.payload.get());
  EXPECT_EQ(second.last_pieces[1].get(), commit.payload.get());
}

// --- resuming ---

TEST_F(UpdatePublisherTest, ResumesFromEveryBoundaryInTheRing) {
  PublishSome(5);
  history.NextEpoch();
  PublishSome(5);
  for (int64_t offset = 0; offset <= history.end().offset.value(); ++offset) {
    CheckingSink sink(history, MakePosition(Offset(offset), history.EpochBelow(Offset(offset))));
    const SubscriptionId id = Subscribe(sink);
    TakeAll(sink, id);
    EXPECT_FALSE(sink.hello.snapshot_follows());
    EXPECT_EQ(sink.hello.start().offset(), offset);
    EXPECT_EQ(sink.Count(Case::kSnapshotEnd), 0);
    EXPECT_EQ(sink.Count(Case::kReset), 0);
    EXPECT_EQ(*sink.position, history.end().offset);
  }
  EXPECT_EQ(log.reads, 0);
}

TEST_F(UpdatePublisherTest, ResumesBelowTheRingFromTheLogAndThenTheRing) {
  config.tail_max_bytes = 600;
  config.log_read_bytes = 400;
  PublishSome(60, 50);
  CheckingSink sink(history, MakePosition(Offset(3), Epoch(1)));
  const SubscriptionId id = Subscribe(sink);
  EXPECT_FALSE(sink.outstanding);
  TakeAll(sink, id);
  EXPECT_GT(log.reads, 1);
  EXPECT_EQ(log.last_read_max_bytes, 400u);
  EXPECT_FALSE(sink.hello.snapshot_follows());
  EXPECT_EQ(sink.Count(Case::kSnapshotEnd), 0);
  EXPECT_EQ(*sink.position, history.end().offset);
  PublishPuts(1);
  TakeAll(sink, id);
  EXPECT_EQ(*sink.position, history.end().offset);
}

// The node makes a new image out of the one that nobody else holds, which so is gone for a while.
TEST_F(UpdatePublisherTest, ASnapshotWaitsWhileTheNodeMakesTheNextImage) {
  PublishSome(3);
  history.NextEpoch();
  PublishSome(3);
  publisher().OnImage(now, std::make_shared<const MetadataImage>(*history.image()));
  CheckingSink fresh(history);
  const SubscriptionId fresh_id = Subscribe(fresh);
  CheckingSink diverged(history, MakePosition(Offset(6), Epoch(1)));
  const SubscriptionId diverged_id = Subscribe(diverged);
  EXPECT_FALSE(fresh.outstanding);
  EXPECT_FALSE(diverged.outstanding);

  PublishPuts(1);
  TakeAll(fresh, fresh_id);
  TakeAll(diverged, diverged_id);
  EXPECT_EQ(*fresh.position, history.end().offset);
  EXPECT_EQ(*diverged.position, history.end().offset);
  EXPECT_EQ(diverged.reset.reason(), v1::Reset::REASON_DIVERGED);
}

TEST_F(UpdatePublisherTest, ResetsASubscriberOfAnotherEpoch) {
  PublishSome(5);
  history.NextEpoch();
  PublishSome(5);
  CheckingSink sink(history, MakePosition(Offset(9), Epoch(1)));
  const SubscriptionId id = Subscribe(sink);
  TakeAll(sink, id);
  EXPECT_TRUE(sink.hello.snapshot_follows());
  EXPECT_EQ(sink.reset.reason(), v1::Reset::REASON_DIVERGED);
  EXPECT_EQ(sink.Count(Case::kSnapshotEnd), 1);
  EXPECT_EQ(*sink.position, history.end().offset);
}

TEST_F(UpdatePublisherTest, ResetsASubscriberInsideABatch) {
  Publish(history.AddControl(2));
  PublishPuts(3);
  for (const int64_t inside : {1, 3, 4}) {
    CheckingSink sink(history, MakePosition(Offset(inside), Epoch(1)));
    const SubscriptionId id = Subscribe(sink);
    TakeAll(sink, id);
    EXPECT_EQ(sink.Count(Case::kReset), 1) << inside;
    EXPECT_EQ(*sink.position, history.end().offset);
  }
}

TEST_F(UpdatePublisherTest, ResetsWhenTheLogKnowsNoSuchPlace) {
  config.tail_max_bytes = 300;
  PublishSome(60, 50);
  CheckingSink sink(history, MakePosition(Offset(3), Epoch(9)));
  const SubscriptionId id = Subscribe(sink);
  TakeAll(sink, id);
  EXPECT_EQ(log.reads, 1);
  EXPECT_TRUE(sink.hello.snapshot_follows());
  EXPECT_EQ(sink.Count(Case::kReset), 1);
  EXPECT_EQ(sink.reset.reason(), v1::Reset::REASON_COMPACTED);
  EXPECT_EQ(*sink.position, history.end().offset);
}

TEST_F(UpdatePublisherTest, ResetsWithoutASecondHelloWhenTheLogIsLostMeanwhile) {
  config.tail_max_bytes = 300;
  config.log_read_bytes = 100;
  PublishSome(60, 50);
  CheckingSink sink(history, MakePosition(Offset(3), Epoch(1)));
  const SubscriptionId id = Subscribe(sink);
  ASSERT_TRUE(log.AnswerNext());
  ASSERT_TRUE(sink.outstanding);
  log.read_error = MakeError(ErrorReason::kPositionDiscarded, "gone");
  TakeAll(sink, id);
  EXPECT_EQ(sink.Count(Case::kHello), 1);
  EXPECT_EQ(sink.Count(Case::kReset), 1);
  EXPECT_EQ(sink.reset.reason(), v1::Reset::REASON_COMPACTED);
  EXPECT_EQ(*sink.position, history.end().offset);
}

TEST_F(UpdatePublisherTest, ClosesWithTheErrorOfTheLog) {
  config.tail_max_bytes = 300;
  PublishSome(60, 50);
  log.read_error = MakeError(ErrorReason::kShuttingDown, "stopping");
  CheckingSink sink(history, MakePosition(Offset(3), Epoch(1)));
  Subscribe(sink);
  ASSERT_TRUE(log.AnswerNext());
  EXPECT_EQ(ReasonOf(sink), ErrorReason::kShuttingDown);
  EXPECT_EQ(publisher().subscription_count(), 0u);
}

TEST_F(UpdatePublisherTest, ServesAReaderOfTheLogThatIsAheadOfTheRing) {
  // The log answers from what the node has applied, which may be on its way here.
  config.tail_max_bytes = 300;
  PublishSome(60, 50);
  CheckingSink sink(history, MakePosition(Offset(3), Epoch(1)));
  const SubscriptionId id = Subscribe(sink);
  const CommittedUpdate ahead = history.AddPuts(1, 10);
  TakeAll(sink, id);
  EXPECT_EQ(*sink.position, history.end().offset);
  Publish(ahead);
  PublishPuts(1);
  TakeAll(sink, id);
  EXPECT_EQ(*sink.position, history.end().offset);
}

// --- ahead of this node ---

TEST_F(UpdatePublisherTest, ServesASubscriberThatIsAheadOnceItHasAppliedThatMuch) {
  PublishSome(2);
  CheckingSink sink(history, MakePosition(Offset(5), Epoch(1)));
  const SubscriptionId id = Subscribe(sink);
  EXPECT_FALSE(sink.outstanding);
  PublishPuts(1);
  EXPECT_FALSE(sink.outstanding);
  PublishPuts(1);
  ASSERT_TRUE(sink.outstanding);
  EXPECT_EQ(sink.hello.start().offset(), 5);
  EXPECT_FALSE(sink.hello.snapshot_follows());
  TakeAll(sink, id);
  PublishPuts(1);
  EXPECT_EQ(*sink.position, Offset(6));
  EXPECT_EQ(log.confirmations, 0) << "only a leader can say what is out of range";
}

TEST_F(UpdatePublisherTest, SendsASubscriberThatStaysAheadToTheLeader) {
  LeadBy(publisher(), 2, "leader:9000");
  PublishSome(2);
  CheckingSink sink(history, MakePosition(Offset(std::numeric_limits<int64_t>::max()), Epoch(1)));
  const SubscriptionId id = Subscribe(sink);
  RunTimersFor(milliseconds(2900));
  EXPECT_EQ(sink.Count(Case::kGoAway), 0);
  RunTimersFor(milliseconds(1200));
  EXPECT_EQ(sink.Count(Case::kGoAway), 1);
  EXPECT_EQ(sink.go_away.hint(), "leader:9000");
  EXPECT_FALSE(sink.closed.has_value());
  Take(sink, id);
  ASSERT_TRUE(sink.closed.has_value());
  EXPECT_TRUE(sink.closed->ok());
}

TEST_F(UpdatePublisherTest, RefusesAPositionBeyondAConfirmedEnd) {
  LeadBy(publisher(), 1, "self:9000");
  PublishSome(2);
  log.confirmed_end = Offset(3);
  CheckingSink sink(history, MakePosition(Offset(4), Epoch(1)));
  Subscribe(sink);
  EXPECT_FALSE(sink.closed.has_value()) << "before the leadership is confirmed";
  ASSERT_TRUE(log.AnswerNext());
  EXPECT_EQ(ReasonOf(sink), ErrorReason::kPositionOutOfRange);
  EXPECT_EQ(sink.closed->code(), absl::StatusCode::kOutOfRange);
}

TEST_F(UpdatePublisherTest, WaitsForWhatTheConfirmedEndCovers) {
  LeadBy(publisher(), 1, "self:9000");
  PublishSome(2);
  log.confirmed_end = Offset(4);
  CheckingSink sink(history, MakePosition(Offset(4), Epoch(1)));
  const SubscriptionId id = Subscribe(sink);
  ASSERT_TRUE(log.AnswerNext());
  EXPECT_FALSE(sink.closed.has_value());
  PublishPuts(1);
  TakeAll(sink, id);
  EXPECT_EQ(*sink.position, Offset(4));
}

TEST_F(UpdatePublisherTest, AsksForOneConfirmationAtATime) {
  LeadBy(publisher(), 1, "self:9000");
  PublishSome(2);
  CheckingSink sink(history, MakePosition(Offset(400), Epoch(1)));
  Subscribe(sink);
  PublishPuts(1);
  PublishPuts(1);
  EXPECT_EQ(log.confirmations, 1);
  ASSERT_TRUE(log.AnswerNext());  // leadership was lost
  EXPECT_FALSE(sink.closed.has_value());
  PublishPuts(1);
  EXPECT_EQ(log.confirmations, 2);
}

TEST_F(UpdatePublisherTest, IgnoresAConfirmationAfterTheSubscriberFoundItsPlace) {
  LeadBy(publisher(), 1, "self:9000");
  PublishSome(2);
  log.confirmed_end = Offset(3);
  CheckingSink sink(history, MakePosition(Offset(4), Epoch(1)));
  Subscribe(sink);
  PublishPuts(1);  // committed after all
  ASSERT_TRUE(sink.outstanding);
  ASSERT_TRUE(log.AnswerNext());
  EXPECT_FALSE(sink.closed.has_value());
}

// --- bad requests ---

TEST_F(UpdatePublisherTest, RefusesBadRequestsByName) {
  PublishSome(2);
  struct Row {
    std::function<void(v1::SubscribeRequest&)> change;
    ErrorReason reason;
  };
  const auto resume = [](v1::SubscribeRequest& request, int64_t offset, int32_t epoch,
                         uint64_t generation) {
    *request.mutable_resume_from() = MakePosition(Offset(offset), Epoch(epoch), generation);
  };
  constexpr int64_t kMinOffset = std::numeric_limits<int64_t>::min();
  const std::vector<Row> rows = {
      {[](auto& r) { r.set_cluster_id("other"); }, ErrorReason::kInconsistentClusterId},
      {[](auto& r) { r.set_subscriber_id(std::string(257, 'x')); }, ErrorReason::kInvalidRequest},
      {[](auto& r) { r.set_broker_id(-1); }, ErrorReason::kInvalidRequest},
      {[](auto& r) { r.set_broker_epoch(-1); }, ErrorReason::kInvalidRequest},
      {[](auto& r) { r.set_source(static_cast<v1::Source>(9)); }, ErrorReason::kInvalidRequest},
      {[&](auto& r) { resume(r, -1, 0, kGeneration); }, ErrorReason::kInvalidRequest},
      {[&](auto& r) { resume(r, kMinOffset, 0, kGeneration); }, ErrorReason::kInvalidRequest},
      {[&](auto& r) { resume(r, 1, -1, kGeneration); }, ErrorReason::kInvalidRequest},
      {[&](auto& r) { resume(r, 1, 1, kGeneration + 1); }, ErrorReason::kGenerationMismatch},
      {[&](auto& r) { resume(r, 1, 1, 0); }, ErrorReason::kGenerationMismatch},
  };
  for (const Row& row : rows) {
    CheckingSink sink(history);
    row.change(sink.request);
    Subscribe(sink);
    EXPECT_EQ(ReasonOf(sink), row.reason) << sink.request.ShortDebugString();
    EXPECT_EQ(sink.deliveries, 0);
  }
  EXPECT_EQ(publisher().subscription_count(), 0u);
  EXPECT_EQ(publisher().NextDeadline(), kNever);
}

TEST_F(UpdatePublisherTest, AcceptsTheLongestSubscriberIdAndNoClusterId) {
  PublishSome(2);
  CheckingSink sink(history);
  sink.request.set_subscriber_id(std::string(256, 'x'));
  sink.request.clear_cluster_id();
  Subscribe(sink);
  EXPECT_FALSE(sink.closed.has_value());
}

TEST_F(UpdatePublisherTest, ShedsMoreSubscribersThanItTakes) {
  config.max_subscriptions = 2;
  PublishSome(1);
  CheckingSink a(history);
  CheckingSink b(history);
  CheckingSink c(history);
  CheckingSink d(history);
  const SubscriptionId first = Subscribe(a);
  Subscribe(b);
  Subscribe(c);
  EXPECT_EQ(ReasonOf(c), ErrorReason::kClassShed);
  EXPECT_FALSE(b.closed.has_value());
  publisher().OnClosed(first);
  Subscribe(d);
  EXPECT_FALSE(d.closed.has_value());
}

// --- bookmarks ---

TEST_F(UpdatePublisherTest, SendsBookmarksToAnIdleSubscriber) {
  PublishSome(2);
  publisher().OnLeader({NodeId(2), Epoch(7), Offset(11), "leader:1"});
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  TakeAll(sink, id);
  for (int i = 1; i <= 3; ++i) {
    RunTimersFor(seconds(1));
    EXPECT_EQ(sink.Count(Case::kBookmark), i);
    TakeAll(sink, id);
  }
  EXPECT_EQ(sink.bookmark.leader_id(), 2);
  EXPECT_EQ(sink.bookmark.leader_epoch(), 7);
  EXPECT_EQ(sink.bookmark.high_watermark(), 11);
  EXPECT_EQ(sink.bookmark.position().epoch(), 1);
  EXPECT_EQ(sink.bookmark.position().generation(), kGeneration);
}

TEST_F(UpdatePublisherTest, SaysInBookmarksThatNoLeaderIsKnown) {
  PublishSome(2);
  CheckingSink sink(history);
  TakeAll(sink, Subscribe(sink));
  RunTimersFor(seconds(1));
  ASSERT_EQ(sink.Count(Case::kBookmark), 1);
  EXPECT_EQ(sink.bookmark.leader_id(), -1);
}

TEST_F(UpdatePublisherTest, SendsBookmarksAlsoToABusySubscriber) {
  // Its lag and the leader are told by bookmarks only.
  PublishSome(1);
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  TakeAll(sink, id);
  const int before = sink.deliveries;
  for (int i = 0; i < 40; ++i) {
    PublishPuts(1);
    TakeAll(sink, id);
    RunTimersFor(milliseconds(250));
    TakeAll(sink, id);
  }
  EXPECT_GE(sink.Count(Case::kBookmark), 10);
  EXPECT_EQ(sink.deliveries - before, 40) << "a bookmark went alone, beside so many commits";
}

TEST_F(UpdatePublisherTest, BookmarksAreAtMostAnIntervalApart) {
  // Whenever commits come: a bookmark that waited for one goes alone in time.
  PublishSome(1);
  for (const int pause : {100, 400, 499, 501, 700, 999, 1300}) {
    SCOPED_TRACE(pause);
    CheckingSink sink(history);
    const SubscriptionId id = Subscribe(sink);
    TakeAll(sink, id);
    TimePoint last = now;
    int seen = sink.Count(Case::kBookmark);
    TimePoint next_commit = now + milliseconds(pause);
    for (const TimePoint end = now + seconds(20); now < end;) {
      RunTimersFor(milliseconds(1));
      if (now >= next_commit) {
        PublishPuts(1);
        next_commit += milliseconds(pause);
      }
      TakeAll(sink, id);
      if (const int count = sink.Count(Case::kBookmark); count != seen) {
        seen = count;
        last = now;
      }
      ASSERT_LE(now - last, config.bookmark_interval + milliseconds(1));
    }
    publisher().OnClosed(id);
  }
}

TEST_F(UpdatePublisherTest, NeverPutsABookmarkInsideACommit) {
  config.max_message_bytes = 300;
  config.stall_timeout = seconds(1000);
  PublishSome(1);
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  TakeAll(sink, id);
  PublishPuts(30, 100);
  for (int i = 0; i < 60 && sink.outstanding; ++i) {
    RunTimersFor(seconds(1));
    Take(sink, id);
  }
  EXPECT_EQ(*sink.position, history.end().offset);
  EXPECT_GE(sink.Count(Case::kBookmark), 1);
}

// --- many at one place ---

TEST_F(UpdatePublisherTest, SubscribersAtOnePlaceAreGivenTheSameBytes) {
  publisher().OnLeader({NodeId(2), Epoch(7), Offset(11), "leader:1"});
  PublishSome(2);
  CheckingSink a(history);
  CheckingSink b(history);
  const SubscriptionId first = Subscribe(a);
  const SubscriptionId second = Subscribe(b);
  TakeAll(a, first);
  TakeAll(b, second);
  PublishPuts(1);
  EXPECT_EQ(a.last_pieces, b.last_pieces);  // the same objects
  TakeAll(a, first);
  TakeAll(b, second);
  RunTimersFor(seconds(1));
  ASSERT_TRUE(a.last.updates(0).has_bookmark());
  EXPECT_EQ(a.last_pieces, b.last_pieces);
  TakeAll(a, first);
  TakeAll(b, second);
  EXPECT_EQ(a.Count(Case::kBookmark), 1);
  EXPECT_EQ(b.Count(Case::kBookmark), 1);
}

TEST_F(UpdatePublisherTest, WhoLagsIsNotGivenTheMessageOfTheOthers) {
  PublishSome(1);
  CheckingSink a(history);
  CheckingSink b(history);
  const SubscriptionId first = Subscribe(a);
  const SubscriptionId second = Subscribe(b);
  TakeAll(a, first);
  TakeAll(b, second);
  PublishPuts(1);
  TakeAll(a, first);  // and b does not
  PublishPuts(1);
  EXPECT_EQ(a.last.updates_size(), 1);
  Take(b, second);
  EXPECT_EQ(b.last.updates_size(), 1);
  PublishPuts(1);
  Take(a, first);
  TakeAll(b, second);  // its sink checks that nothing is missing and nothing comes twice
  TakeAll(a, first);
  EXPECT_EQ(*a.position, history.end().offset);
  EXPECT_EQ(*b.position, history.end().offset);
}

TEST_F(UpdatePublisherTest, BookmarksNameTheLeaderOfTheMoment) {
  publisher().OnLeader({NodeId(2), Epoch(7), Offset(11), "leader:1"});
  PublishSome(1);
  CheckingSink a(history);
  CheckingSink b(history);
  const SubscriptionId first = Subscribe(a);
  const SubscriptionId second = Subscribe(b);
  TakeAll(a, first);
  RunTimersFor(seconds(1));
  TakeAll(a, first);
  EXPECT_EQ(a.bookmark.leader_id(), 2);
  publisher().OnLeader({NodeId(3), Epoch(8), Offset(12), "leader:2"});
  TakeAll(b, second);  // its bookmark waited while it read the snapshot
  ASSERT_EQ(b.Count(Case::kBookmark), 1);
  EXPECT_EQ(b.bookmark.leader_id(), 3);
}

// Notes who is served when.
class NotingSink : public CheckingSink {
 public:
  NotingSink(const CommittedHistory& history, int number, std::vector<int>& served)
      : CheckingSink(history), number_(number), served_(served) {}
  void Deliver(const Delivery& delivery) override {
    served_.push_back(number_);
    CheckingSink::Deliver(delivery);
  }

 private:
  const int number_;
  std::vector<int>& served_;
};

TEST_F(UpdatePublisherTest, WhoWasServedLastIsServedFirst) {
  PublishSome(1);
  std::vector<int> served;
  std::deque<NotingSink> sinks;
  std::vector<SubscriptionId> ids;
  for (int i = 0; i < 3; ++i) {
    ids.push_back(Subscribe(sinks.emplace_back(history, i, served)));
  }
  std::vector<std::vector<int>> orders;
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < ids.size(); ++i) {
      TakeAll(sinks[i], ids[i]);
    }
    served.clear();
    PublishPuts(1);
    orders.push_back(served);
  }
  ASSERT_EQ(orders[0].size(), 3u);
  std::reverse(orders[1].begin(), orders[1].end());
  EXPECT_EQ(orders[0], orders[1]);
}

// --- flow control ---

TEST_F(UpdatePublisherTest, KeepsOneDeliveryOutstanding) {
  PublishSome(1);
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  for (int i = 0; i < 10; ++i) {
    PublishPuts(1);
  }
  EXPECT_EQ(sink.deliveries, 1);
  Take(sink, id);
  EXPECT_EQ(sink.deliveries, 2);
  EXPECT_EQ(sink.last.updates_size(), 10) << "what gathered goes out together";
}

TEST_F(UpdatePublisherTest, RespectsTheMessageLimit) {
  config.max_message_bytes = 1000;
  PublishSome(1);
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  for (int i = 0; i < 50; ++i) {
    PublishPuts(1 + i % 12, 5 + 9 * (i % 11));
  }
  PublishPuts(60, 100);
  TakeAll(sink, id);
  EXPECT_LE(sink.largest_message, 1000u);
  EXPECT_GT(sink.deliveries, 5);
  EXPECT_EQ(*sink.position, history.end().offset);
}

TEST_F(UpdatePublisherTest, SendsACommitLargerThanAMessageInParts) {
  config.max_message_bytes = 1000;
  PublishSome(1);
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  TakeAll(sink, id);
  PublishPuts(60, 100);
  TakeAll(sink, id);
  EXPECT_GT(sink.Count(Case::kCommit), 5);
  EXPECT_EQ(*sink.position, history.end().offset);
}

TEST_F(UpdatePublisherTest, KeepsNothingForASlowSubscriberAndServesItFromTheLog) {
  config.tail_max_bytes = 2000;
  config.log_read_bytes = 1000;
  config.stall_timeout = seconds(1000);
  PublishSome(1);
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  const std::weak_ptr<const std::string> early = [&] {
    PublishPuts(1, 100);
    return std::weak_ptr<const std::string>(history.batches().back().payload);
  }();
  const long history_uses = 1;
  for (int i = 0; i < 300; ++i) {
    PublishPuts(1, 100);
    ASSERT_LE(publisher().tail_bytes(), 2000u);
  }
  EXPECT_EQ(early.use_count(), history_uses) << "the publisher still holds an old commit";
  EXPECT_EQ(sink.deliveries, 1);
  TakeAll(sink, id);
  EXPECT_GT(log.reads, 10);
  EXPECT_EQ(*sink.position, history.end().offset);
}

// It is told, with the place to go on from, as soon as it takes what is on its way; and cut off if
// it does not.
TEST_F(UpdatePublisherTest, EndsTheStreamOfASubscriberThatTakesNothing) {
  PublishSome(1);
  CheckingSink stalled(history);
  CheckingSink late(history);
  CheckingSink lively(history);
  Subscribe(stalled);
  const SubscriptionId late_id = Subscribe(late);
  const SubscriptionId id = Subscribe(lively);
  const auto pass = [&](int count) {
    for (int i = 0; i < count; ++i) {
      if (lively.outstanding) {
        Take(lively, id);
      }
      RunTimersFor(seconds(1));
    }
  };
  pass(29);
  EXPECT_EQ(publisher().slow_endings(), 0);
  pass(3);
  EXPECT_EQ(publisher().slow_endings(), 2);
  EXPECT_FALSE(late.closed.has_value()) << "the status would stand behind what it does not take";
  PublishPuts(1);
  Take(late, late_id);
  EXPECT_EQ(ReasonOf(late), ErrorReason::kClassShed);
  EXPECT_EQ(late.closed->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorFacts(*late.closed).at("sent_offset"), std::to_string(late.position->value()));
  EXPECT_EQ(late.deliveries, 1) << "nothing follows";

  pass(25);
  EXPECT_FALSE(stalled.closed.has_value());
  pass(5);
  EXPECT_EQ(ReasonOf(stalled), ErrorReason::kClassShed);
  EXPECT_FALSE(lively.closed.has_value());
  EXPECT_EQ(publisher().subscription_count(), 1u);
}

TEST_F(UpdatePublisherTest, EndsTheStreamOfASubscriberThatIsTooFarBehind) {
  config.max_lag = 20;
  config.tail_max_bytes = 1000;  // it falls off the ring long before
  PublishSome(1);
  CheckingSink slow(history);
  CheckingSink lively(history);
  const SubscriptionId slow_id = Subscribe(slow);
  const SubscriptionId id = Subscribe(lively);
  Take(slow, slow_id);
  PublishPuts(1);  // outstanding from here on
  for (int i = 0; i < 19; ++i) {
    TakeAll(lively, id);
    PublishPuts(1, 100);
  }
  EXPECT_EQ(publisher().slow_endings(), 0);
  for (int i = 0; i < 5; ++i) {
    TakeAll(lively, id);
    PublishPuts(1, 100);
  }
  EXPECT_EQ(publisher().slow_endings(), 1);
  Take(slow, slow_id);
  ASSERT_TRUE(slow.closed.has_value());
  EXPECT_EQ(slow.closed->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(slow), ErrorReason::kClassShed);
  const auto facts = GetErrorFacts(*slow.closed);
  EXPECT_EQ(facts.at("sent_offset"), std::to_string(slow.position->value()));
  TakeAll(lively, id);
  EXPECT_EQ(*lively.position, history.end().offset);

  // From there it goes on: by a snapshot, which is sooner there than so much log.
  CheckingSink back(history, MakePosition(*slow.position, Epoch(1)));
  const SubscriptionId back_id = Subscribe(back);
  TakeAll(back, back_id);
  EXPECT_EQ(back.Count(Case::kReset), 1);
  EXPECT_EQ(*back.position, history.end().offset);
  EXPECT_FALSE(back.closed.has_value());
}

TEST_F(UpdatePublisherTest, ASubscriberThatReadsTheLogIsMeasuredToo) {
  config.max_lag = 20;
  config.tail_max_bytes = 500;
  PublishSome(10, 100);
  const v1::Position start = MakePosition(Offset(1), Epoch(1));
  CheckingSink sink(history, start);
  const SubscriptionId id = Subscribe(sink);
  EXPECT_FALSE(sink.outstanding) << "it waits for the log";
  for (int i = 0; i < 30; ++i) {
    PublishPuts(1, 100);
  }
  EXPECT_EQ(ReasonOf(sink), ErrorReason::kClassShed);
  EXPECT_EQ(publisher().subscription_count(), 0u);
  log.AnswerNext();  // comes to nobody
  (void)id;
}

TEST_F(UpdatePublisherTest, ForgivesASubscriberThatIsSlowButTakes) {
  PublishSome(1);
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  for (int i = 0; i < 10; ++i) {
    PublishPuts(1);
    RunTimersFor(seconds(25));
    ASSERT_TRUE(sink.outstanding);
    Take(sink, id);
  }
  EXPECT_FALSE(sink.closed.has_value());
}

// --- endings ---

TEST_F(UpdatePublisherTest, SaysGoAwayAtShutdownAndCloses) {
  config.max_message_bytes = 2000;
  PublishControl();
  PublishPuts(90, 100);
  LeadBy(publisher(), 2, "leader:9000");
  CheckingSink idle(history);
  const SubscriptionId idle_id = Subscribe(idle);
  TakeAll(idle, idle_id);
  CheckingSink busy(history);  // in the middle of its snapshot
  const SubscriptionId busy_id = Subscribe(busy);
  CheckingSink ahead(history, MakePosition(Offset(1000), Epoch(1)));
  const SubscriptionId ahead_id = Subscribe(ahead);

  publisher().BeginShutdown(now);
  EXPECT_EQ(idle.Count(Case::kGoAway), 1);
  EXPECT_EQ(ahead.Count(Case::kGoAway), 1);
  EXPECT_EQ(busy.Count(Case::kGoAway), 0) << "its last delivery is not yet taken";
  Take(busy, busy_id);
  EXPECT_EQ(busy.Count(Case::kGoAway), 1);
  EXPECT_EQ(busy.Count(Case::kSnapshotEnd), 0);
  EXPECT_EQ(idle.go_away.hint(), "leader:9000");

  PublishPuts(1);  // too late
  publisher().BeginShutdown(now);
  Take(idle, idle_id);
  Take(busy, busy_id);
  Take(ahead, ahead_id);
  for (const CheckingSink* sink : {&idle, &busy, &ahead}) {
    ASSERT_TRUE(sink->closed.has_value());
    EXPECT_TRUE(sink->closed->ok());
  }
  EXPECT_EQ(publisher().subscription_count(), 0u);

  CheckingSink late(history);
  Subscribe(late);
  EXPECT_EQ(ReasonOf(late), ErrorReason::kShuttingDown);
}

TEST_F(UpdatePublisherTest, GivesNoHintToItselfWhenTheLeaderStops) {
  LeadBy(publisher(), 1, "self:9000");
  PublishSome(1);
  CheckingSink sink(history);
  TakeAll(sink, Subscribe(sink));
  publisher().BeginShutdown(now);
  EXPECT_EQ(sink.go_away.hint(), "");
}

TEST_F(UpdatePublisherTest, ClosesASubscriberThatStallsDuringShutdown) {
  PublishSome(1);
  CheckingSink sink(history);
  Subscribe(sink);
  publisher().BeginShutdown(now);
  RunTimersFor(seconds(32));
  EXPECT_TRUE(sink.closed.has_value());
  EXPECT_EQ(publisher().subscription_count(), 0u);
}

TEST_F(UpdatePublisherTest, IgnoresSubscriptionsItDoesNotKnow) {
  PublishSome(1);
  publisher().OnClosed(SubscriptionId(77));
  publisher().OnReady(now, SubscriptionId(77));
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  publisher().OnClosed(id);
  publisher().OnClosed(id);
  publisher().OnReady(now, id);
  PublishPuts(1);
  EXPECT_EQ(sink.deliveries, 1) << "its sink is not used again";
  EXPECT_FALSE(sink.closed.has_value());
}

TEST_F(UpdatePublisherTest, IgnoresAnswersOfTheLogForWhomIsGone) {
  config.tail_max_bytes = 300;
  LeadBy(publisher(), 1, "self:9000");
  PublishSome(60, 50);
  CheckingSink reading(history, MakePosition(Offset(3), Epoch(1)));
  CheckingSink ahead(history, MakePosition(Offset(300), Epoch(1)));
  log.confirmed_end = Offset(61);
  const SubscriptionId reading_id = Subscribe(reading);
  const SubscriptionId ahead_id = Subscribe(ahead);
  publisher().OnClosed(reading_id);
  publisher().OnClosed(ahead_id);
  EXPECT_TRUE(log.AnswerNext());
  EXPECT_TRUE(log.AnswerNext());
  EXPECT_EQ(reading.deliveries, 0);
  EXPECT_FALSE(ahead.closed.has_value());
}

TEST_F(UpdatePublisherTest, SleepsWithoutSubscribers) {
  PublishSome(1);
  EXPECT_EQ(publisher().NextDeadline(), kNever);
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  EXPECT_EQ(publisher().NextDeadline(), now + milliseconds(500));
  publisher().OnClosed(id);
  Advance(seconds(1));
  EXPECT_EQ(publisher().NextDeadline(), kNever);
}

TEST_F(UpdatePublisherTest, DiesOnAReadyThatNobodyOwed) {
  PublishSome(1);
  CheckingSink sink(history);
  const SubscriptionId id = Subscribe(sink);
  Take(sink, id);
  EXPECT_DEATH(publisher().OnReady(now, id), "was ready already");
}

}  // namespace
}  // namespace kvorum::publish
