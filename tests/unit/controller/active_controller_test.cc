// Commands: planned on everything appended, answered when it is committed.
#include "server/controller/active_controller.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/controller/controller_fixture.h"

namespace kvorum::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ActiveControllerTest : public ControllerFixture {
 protected:
  // Brokers 1 and 2 host more partitions than one batch has room for. Returns the epoch of 1.
  int64_t MakeThousandsOfPartitions() {
    Activate();
    const int64_t epoch = RegisterUnfenced(1);
    RegisterUnfenced(2);
    for (const std::string name : {"one", "two"}) {
      v1::CreateTopicsRequest create;
      v1::NewTopic& topic = *create.add_topics();
      topic.set_name(name);
      topic.set_partition_count(6'000);
      topic.set_replication_factor(2);
      const CommandHeard created = Submit(create);
      CommitAll();
      EXPECT_TRUE(created->is_ok()) << created->status();
    }
    return epoch;
  }
};

int64_t VersionOf(const CommandHeard& heard) {
  return std::get<v1::PutEntryResponse>(**heard->reply).version();
}

// KAFKA-14204: what is too much for a batch goes into several, and the reply waits for the last.
TEST_F(ActiveControllerTest, AResultOfThousandsOfRecordsIsAppendedInSeveralBatches) {
  MakeThousandsOfPartitions();
  const size_t before = log.batches.size();
  const CommandHeard heard = Submit(Unregistration(1));
  ASSERT_EQ(log.batches.size(), before + 2);
  EXPECT_GT(log.batches[before].records.size() + log.batches[before + 1].records.size(),
            kMaxRecordsPerBatch);
  Commit(log.batches[before].end_offset());
  EXPECT_TRUE(heard->is_waiting());
  CommitAll();
  EXPECT_TRUE(heard->is_ok()) << heard->status();
}

TEST_F(ActiveControllerTest, ABrokerThatLedThousandsIsFencedInFullBatches) {
  const int64_t epoch = MakeThousandsOfPartitions();
  const size_t before = log.batches.size();
  v1::HeartbeatRequest leaves = Heartbeat(1, epoch, log.log_end_offset());
  leaves.set_want_fence(true);
  Report(leaves);
  ASSERT_EQ(log.batches.size(), before + 2);
  EXPECT_EQ(log.batches[before].records.size(), kMaxRecordsPerBatch);
  EXPECT_EQ(log.batches[before + 1].records.size(), 12'000 - kMaxRecordsPerBatch + 1);
  EXPECT_TRUE(log.batches.back().records.back().has_broker_registration_change());
  CommitAll();
  EXPECT_TRUE(IsFenced(1));
  EXPECT_EQ(controller().latest()->topics().LoadOf(BrokerId(1)).in_sync, 0);
}

TEST_F(ActiveControllerTest, RepliesOnlyAfterTheCommit) {
  Activate();
  const CommandHeard put = Submit(Put("a"));
  EXPECT_TRUE(put->is_waiting());
  ASSERT_EQ(log.batches.size(), 1u);
  EXPECT_EQ(log.batches[0].epoch, kEpoch);
  EXPECT_EQ(log.batches[0].wall_ms, now.wall_ms);
  const CommandHeard second = Submit(Put("b"));
  Commit(Offset(2));
  EXPECT_TRUE(put->is_ok());
  EXPECT_EQ(VersionOf(put), 1);
  EXPECT_TRUE(second->is_waiting());
  CommitAll();
  EXPECT_TRUE(second->is_ok());
  EXPECT_EQ(put->times, 1);
  EXPECT_EQ(second->times, 1);
  EXPECT_EQ(controller().pending_replies(), 0u);
}

TEST_F(ActiveControllerTest, PlansOnWhatIsAppendedAndNotYetCommitted) {
  Activate();
  Submit(Put("a"));
  v1::PutEntryRequest if_absent = Put("a", "w");
  if_absent.set_expected_version(0);
  const CommandHeard refused = Submit(if_absent);
  EXPECT_TRUE(refused->is_waiting()) << "an error must not be heard before its reason is committed";
  EXPECT_EQ(log.batches.size(), 1u);
  CommitAll();
  EXPECT_EQ(refused->reason(), ErrorReason::kInvalidUpdateVersion);
  EXPECT_EQ(refused->times, 1);
}

TEST_F(ActiveControllerTest, AnswersAtOnceWhatRestsOnCommittedStateOnly) {
  Activate();
  v1::DeleteEntryRequest missing;
  missing.set_key("nope");
  EXPECT_EQ(Submit(missing)->reason(), ErrorReason::kUnknownKey);
}

TEST_F(ActiveControllerTest, AnswersABadRequestAtOnceWhateverIsPending) {
  Activate();
  Submit(Put("a"));
  v1::PutEntryRequest request = Put("b");
  request.mutable_options()->set_reason("two\nlines");
  EXPECT_EQ(Submit(request)->reason(), ErrorReason::kInvalidRequest);
  EXPECT_EQ(log.batches.size(), 1u);
}

TEST_F(ActiveControllerTest, AppendsNothingWhenOnlyValidating) {
  Activate();
  v1::PutEntryRequest request = Put("a");
  request.mutable_options()->set_validate_only(true);
  const CommandHeard alone = Submit(request);
  EXPECT_TRUE(alone->is_ok());
  Submit(Put("b"));
  const CommandHeard after = Submit(request);
  EXPECT_TRUE(after->is_waiting());
  EXPECT_EQ(log.batches.size(), 1u);
  CommitAll();
  EXPECT_TRUE(after->is_ok());
  EXPECT_EQ(committed->entries().Find("a"), nullptr);
}

TEST_F(ActiveControllerTest, TellsWhereATopicWouldBePlacedAndWritesNothing) {
  Activate();
  RegisterUnfenced(1);
  RegisterUnfenced(2);
  const size_t before = log.batches.size();
  v1::CreateTopicsRequest request;
  v1::NewTopic& topic = *request.add_topics();
  topic.set_name("t");
  topic.set_partition_count(3);
  topic.set_replication_factor(2);
  request.mutable_options()->set_validate_only(true);
  const CommandHeard heard = Submit(request);
  ASSERT_TRUE(heard->is_ok()) << heard->status();
  const auto& result = std::get<v1::CreateTopicsResponse>(**heard->reply).results(0);
  EXPECT_EQ(result.status().code(), 0);
  ASSERT_EQ(result.assignments_size(), 3);
  EXPECT_EQ(result.assignments(2).partition_index(), 2);
  EXPECT_EQ(result.assignments(2).replicas_size(), 2);
  EXPECT_EQ(log.batches.size(), before);
  EXPECT_EQ(controller().latest()->topics().Find("t"), nullptr);
}

TEST_F(ActiveControllerTest, AnswersANoOpOnlyWhenWhatItSawIsCommitted) {
  Activate();
  Submit(Registration(1));
  const CommandHeard again = Submit(Registration(1));  // changes nothing
  EXPECT_TRUE(again->is_waiting());
  EXPECT_EQ(log.batches.size(), 1u);
  CommitAll();
  EXPECT_TRUE(again->is_ok());
}

TEST_F(ActiveControllerTest, TellsEveryPendingReplyThatTheOutcomeIsUnknown) {
  Activate();
  const CommandHeard first = Submit(Put("a"));
  const CommandHeard second = Submit(Put("b"));
  v1::PutEntryRequest if_absent = Put("a");
  if_absent.set_expected_version(0);
  const CommandHeard error = Submit(if_absent);
  const CommandHeard expired = Submit(Put("c"), now.now + milliseconds(1));
  Advance(milliseconds(2));
  controller().HandleTimer(now);
  EXPECT_EQ(expired->reason(), ErrorReason::kDeadlineExceeded);
  controller().Deactivate();
  EXPECT_FALSE(controller().is_active());
  for (const CommandHeard& heard : {first, second, error}) {
    EXPECT_EQ(heard->times, 1);
    EXPECT_EQ(heard->reason(), ErrorReason::kOutcomeUnknown);
    EXPECT_EQ(heard->status().code(), absl::StatusCode::kUnknown);
  }
  const auto facts = GetErrorFacts(first->status());
  EXPECT_EQ(facts.at("position_generation"), "99");
  EXPECT_EQ(facts.at("position_epoch"), "7");
  EXPECT_EQ(facts.at("position_offset"), "2");
  EXPECT_EQ(GetErrorFacts(second->status()).at("position_offset"), "3");
  EXPECT_EQ(expired->times, 1);
  EXPECT_EQ(controller().pending_replies(), 0u);
  EXPECT_EQ(controller().NextDeadline(), kNever);
  EXPECT_EQ(controller().liveness(), nullptr);
  EXPECT_EQ(controller().latest(), nullptr);
  controller().Deactivate();  // again: nothing
  EXPECT_EQ(first->times, 1);
}

TEST_F(ActiveControllerTest, StartsFromTheCommittedStateAfterALossOfLeadership) {
  Activate();
  Submit(Put("a"));
  CommitAll();
  Submit(Put("b"));
  controller().Deactivate();
  log.TruncateTo(Offset(2));
  controller().OnCommitted(now, committed);  // as a standby: nothing to do
  controller().Activate(now, Epoch(9), committed);
  EXPECT_EQ(controller().latest()->StateHash(), committed->StateHash());
  v1::PutEntryRequest if_absent = Put("b");
  if_absent.set_expected_version(0);
  const CommandHeard put = Submit(if_absent);
  EXPECT_EQ(log.batches.back().epoch, Epoch(9));
  CommitAll();
  EXPECT_TRUE(put->is_ok()) << put->status();
}

TEST_F(ActiveControllerTest, ExpiresAReplyAtItsDeadlineOnce) {
  Activate();
  const CommandHeard given = Submit(Put("a"), now.now + seconds(2));
  const CommandHeard by_default = Submit(Put("b"));
  RunTimersFor(milliseconds(1999));
  EXPECT_TRUE(given->is_waiting());
  RunTimersFor(milliseconds(1));
  EXPECT_EQ(given->reason(), ErrorReason::kDeadlineExceeded);
  EXPECT_EQ(GetErrorFacts(given->status()).at("position_offset"), "2");
  RunTimersFor(milliseconds(27'999));
  EXPECT_TRUE(by_default->is_waiting());
  RunTimersFor(milliseconds(1));
  EXPECT_EQ(by_default->reason(), ErrorReason::kDeadlineExceeded);
  CommitAll();
  EXPECT_EQ(given->times, 1);
  EXPECT_EQ(by_default->times, 1);
}

TEST_F(ActiveControllerTest, ShedsWritesAboveTheLimitAndRecovers) {
  config.max_pending_replies = 3;
  Activate();
  for (int i = 0; i < 3; ++i) {
    Submit(Put(fmt::format("k{}", i)));
  }
  const CommandHeard shed = Submit(Put("k9"));
  EXPECT_EQ(shed->reason(), ErrorReason::kClassShed);
  EXPECT_EQ(log.batches.size(), 3u);
  CommitAll();
  EXPECT_TRUE(Submit(Put("k9"))->is_waiting());
}

TEST_F(ActiveControllerTest, AppendsANoOpWhenIdleAndNotOtherwise) {
  config.max_idle_interval = milliseconds(500);
  Activate();
  RunTimersFor(milliseconds(499));
  EXPECT_TRUE(log.batches.empty());
  Submit(Put("a"));
  RunTimersFor(milliseconds(499));
  EXPECT_EQ(log.batches.size(), 1u) << "a write moves the end as well";
  RunTimersFor(milliseconds(1));
  ASSERT_EQ(log.batches.size(), 2u);
  EXPECT_TRUE(log.batches[1].records[0].has_no_op());
  CommitAll();
  RunTimersFor(milliseconds(1500));
  EXPECT_EQ(log.batches.size(), 5u);
  CommitAll();
}

TEST_F(ActiveControllerTest, AppendsNoNoOpWhenToldNotTo) {
  config.max_idle_interval = Duration(0);
  Activate();
  RunTimersFor(seconds(60));
  EXPECT_TRUE(log.batches.empty());
}

TEST_F(ActiveControllerTest, DoesNothingAsAStandby) {
  EXPECT_FALSE(controller().is_active());
  EXPECT_EQ(controller().NextDeadline(), kNever);
  controller().HandleTimer(now);
  controller().OnCommitted(now, committed);
  controller().Deactivate();
  EXPECT_TRUE(log.batches.empty());
}

TEST_F(ActiveControllerTest, MatchesThePlanAlsoWhenManyBatchesAreCommittedAtOnce) {
  Activate();
  std::vector<CommandHeard> heard;
  for (int i = 0; i < 50; ++i) {
    heard.push_back(Submit(Put(fmt::format("k{}", i % 7), fmt::format("v{}", i))));
    if (i % 11 == 0) {
      CommitAll();
    }
  }
  CommitAll();
  EXPECT_EQ(controller().latest()->StateHash(), committed->StateHash());
  for (const CommandHeard& one : heard) {
    EXPECT_TRUE(one->is_ok());
    EXPECT_EQ(one->times, 1);
  }
}

using ActiveControllerDeathTest = ActiveControllerTest;

TEST_F(ActiveControllerDeathTest, DiesIfTheCommittedStateIsNotThePlannedOne) {
  Activate();
  Submit(Put("a", "planned"));
  v1::MetadataRecord other;
  other.mutable_entry()->set_key("a");
  other.mutable_entry()->set_value("applied");
  other.mutable_entry()->set_version(1);
  MetadataDelta delta(*committed);
  delta.Replay(other, Offset(1));
  const auto image = delta.Apply({Offset(2), kEpoch, 0});
  EXPECT_DEATH(controller().OnCommitted(now, image), "was planned with hash");
}

TEST_F(ActiveControllerDeathTest, DiesOnASecondActivation) {
  Activate();
  EXPECT_DEATH(Activate(), "activated while");
}

}  // namespace
}  // namespace kvorum::controller
