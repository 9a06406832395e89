// Writes whose replies wait for brokers (api.md §3).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/controller/controller_fixture.h"

namespace kvorum::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Status = v1::Propagation::BrokerStatus;

class PropagationTest : public ControllerFixture {
 protected:
  PropagationTest() { config.max_idle_interval = Duration(0); }

  static v1::PutEntryRequest WaitingPut(v1::Wait wait, std::vector<int32_t> brokers = {}) {
    v1::PutEntryRequest request = Put("k");
    request.mutable_options()->set_wait(wait);
    request.mutable_options()->mutable_wait_broker_ids()->Assign(brokers.begin(), brokers.end());
    return request;
  }
  static v1::PutEntryRequest PutForAll() { return WaitingPut(v1::WAIT_APPLIED_BY_ALL); }

  Offset end() const { return log.log_end_offset(); }
  // The end of the newest write of an entry.
  Offset PositionOfLastPut() const {
    Offset found;
    for (const FakeLogAppender::Batch& batch : log.batches) {
      if (batch.records.front().has_entry()) {
        found = batch.end_offset();
      }
    }
    return found;
  }
  ReportHeard Acknowledge(int32_t id, int64_t epoch, Offset applied) {
    v1::AcknowledgeMetadataRequest request;
    request.set_broker_id(id);
    request.set_broker_epoch(epoch);
    request.set_applied_offset(applied.value());
    return Report(request);
  }
  ReportHeard Reject(int32_t id, int64_t epoch, Offset applied, const std::string& message) {
    v1::AcknowledgeMetadataRequest request;
    request.set_broker_id(id);
    request.set_broker_epoch(epoch);
    request.set_applied_offset(applied.value());
    request.mutable_rejected()->set_offset(applied.value());
    request.mutable_rejected()->set_message(message);
    return Report(request);
  }

  static v1::Propagation PropagationOf(const CommandHeard& heard) {
    EXPECT_TRUE(heard->is_ok()) << heard->status();
    return heard->is_ok() ? std::get<v1::PutEntryResponse>(**heard->reply).header().propagation()
                          : v1::Propagation();
  }
  // "1 APPLIED at 5", one for each broker.
  static std::vector<std::string> StatesOf(const CommandHeard& heard) {
    std::vector<std::string> states;
    const v1::Propagation propagation = PropagationOf(heard);
    for (const Status& broker : propagation.brokers()) {
      states.push_back(
          fmt::format("{} {}", broker.broker_id(), Status::State_Name(broker.state()).substr(6)));
    }
    return states;
  }
  using Texts = std::vector<std::string>;
};

TEST_F(PropagationTest, WaitsForTheCommitFirstAndThenForEveryBrokerThatServes) {
  Activate();
  const int64_t one = RegisterUnfenced(1);
  const int64_t two = RegisterUnfenced(2);
  Register(3);  // fenced, and never heard from
  const CommandHeard put = Submit(PutForAll());
  Acknowledge(1, one, end());  // nobody can have applied what is not committed, but let one say so
  EXPECT_TRUE(put->is_waiting());
  CommitAll();
  EXPECT_TRUE(put->is_waiting());
  Acknowledge(2, two, end() - 1);
  EXPECT_TRUE(put->is_waiting());
  Acknowledge(2, two, end());
  EXPECT_EQ(StatesOf(put), (Texts{"1 APPLIED", "2 APPLIED"}));
  EXPECT_EQ(put->times, 1);
  const v1::Propagation propagation = PropagationOf(put);
  EXPECT_EQ(propagation.outcome(), v1::Propagation::OUTCOME_APPLIED);
  EXPECT_EQ(propagation.position().offset(), end().value());
  EXPECT_EQ(propagation.position().epoch(), kEpoch.value());
  EXPECT_EQ(propagation.position().generation(), kGeneration);
  EXPECT_EQ(propagation.brokers(1).applied_offset(), end().value());
}

TEST_F(PropagationTest, AnswersAtTheCommitWhenEverybodyHasItOrNobodyServes) {
  Activate();
  const CommandHeard alone = Submit(PutForAll());
  CommitAll();
  EXPECT_EQ(StatesOf(alone), Texts{});
  EXPECT_EQ(PropagationOf(alone).outcome(), v1::Propagation::OUTCOME_APPLIED);
  const int64_t one = RegisterUnfenced(1);
  const CommandHeard early = Submit(PutForAll());
  Beat(1, one, end());  // heard before the commit: a waiter must not miss it (R42)
  CommitAll();
  EXPECT_EQ(StatesOf(early), Texts{"1 APPLIED"});
}

TEST_F(PropagationTest, SaysNothingOfBrokersToWhoDidNotWait) {
  Activate();
  RegisterUnfenced(1);
  const CommandHeard put = Submit(Put("k"));
  CommitAll();
  ASSERT_TRUE(put->is_ok());
  EXPECT_FALSE(std::get<v1::PutEntryResponse>(**put->reply).header().has_propagation());
}

TEST_F(PropagationTest, DoesNotWaitWhenOnlyValidating) {
  Activate();
  RegisterUnfenced(1);
  v1::PutEntryRequest request = PutForAll();
  request.mutable_options()->set_validate_only(true);
  const CommandHeard put = Submit(request);
  ASSERT_TRUE(put->is_ok());
  EXPECT_EQ(log.log_end_offset(), committed->provenance().end_offset);
}

TEST_F(PropagationTest, ATimeOutIsOkCommittedAndSaysWhoIsPending) {
  Activate();
  const int64_t one = RegisterUnfenced(1);
  RegisterUnfenced(2);
  v1::PutEntryRequest request = PutForAll();
  request.mutable_options()->mutable_wait_timeout()->set_seconds(2);
  const CommandHeard put = Submit(request);
  CommitAll();
  Acknowledge(1, one, end());
  EXPECT_EQ(controller().NextDeadline() <= now.now + seconds(2), true);
  RunTimersFor(seconds(1));
  EXPECT_TRUE(put->is_waiting());
  RunTimersFor(seconds(1));
  EXPECT_EQ(StatesOf(put), (Texts{"1 APPLIED", "2 PENDING"}));
  EXPECT_EQ(PropagationOf(put).outcome(), v1::Propagation::OUTCOME_TIMED_OUT);
  EXPECT_NE(committed->entries().Find("k"), nullptr);
}

TEST_F(PropagationTest, NoTimeAtAllMeansTellMe) {
  Activate();
  RegisterUnfenced(1);
  v1::PutEntryRequest request = PutForAll();
  request.mutable_options()->mutable_wait_timeout();
  const CommandHeard put = Submit(request);
  EXPECT_TRUE(put->is_waiting());
  CommitAll();
  EXPECT_EQ(StatesOf(put), Texts{"1 PENDING"});
}

TEST_F(PropagationTest, TheCallsDeadlineEndsTheWaitBeforeTheCallerHasGone) {
  Activate();
  RegisterUnfenced(1);
  const TimePoint deadline = now.now + milliseconds(500);
  const CommandHeard put = Submit(PutForAll(), deadline);
  CommitAll();
  RunTimersFor(milliseconds(499));
  EXPECT_EQ(StatesOf(put), Texts{"1 PENDING"});
}

TEST_F(PropagationTest, WaitsNoLongerForWhoIsFencedOrUnregistered) {
  Activate();
  const int64_t one = RegisterUnfenced(1);
  RegisterUnfenced(2);
  RegisterUnfenced(3);
  v1::PutEntryRequest request = PutForAll();
  request.mutable_options()->mutable_wait_timeout()->set_seconds(60);
  const CommandHeard put = Submit(request, now.now + seconds(100));
  CommitAll();
  Acknowledge(1, one, end());
  const Offset written = end();
  Submit(Unregistration(3));
  EXPECT_TRUE(put->is_waiting()) << "an unregistration that may be lost changes nothing";
  CommitAll();
  EXPECT_TRUE(put->is_waiting());
  for (int i = 0; i < 10; ++i) {
    Acknowledge(1, one, written);
    RunTimersFor(seconds(1));
  }
  EXPECT_TRUE(IsFenced(2));
  EXPECT_TRUE(put->is_waiting()) << "it serves until its fencing is committed";
  CommitAll();
  EXPECT_EQ(StatesOf(put), (Texts{"1 APPLIED", "2 FENCED_MEANWHILE", "3 FENCED_MEANWHILE"}));
  EXPECT_EQ(PropagationOf(put).outcome(), v1::Propagation::OUTCOME_APPLIED);
}

TEST_F(PropagationTest, WaitsForABrokerOnItsWayBack) {
  Activate();
  const int64_t one = Register(1);
  Beat(1, one, Offset(0));  // fixes its target below the write
  const Offset target = committed->provenance().end_offset;
  const CommandHeard put = Submit(PutForAll());
  CommitAll();
  EXPECT_TRUE(put->is_waiting());
  Beat(1, one, target);
  EXPECT_FALSE(IsFenced(1));
  EXPECT_TRUE(put->is_waiting()) << "it is unfenced and does not have the write";
  CommitAll();
  EXPECT_TRUE(put->is_waiting());
  Acknowledge(1, one, PositionOfLastPut());
  EXPECT_EQ(StatesOf(put), Texts{"1 APPLIED"});
}

TEST_F(PropagationTest, ABrokerUnfencedInThePlanIsWaitedForAtTheCommitOfTheWrite) {
  Activate();
  const int64_t one = Register(1);
  Beat(1, one, Offset(0));
  const Offset target = committed->provenance().end_offset;
  const CommandHeard put = Submit(PutForAll());
  Beat(1, one, target);  // the unfencing is appended behind the write
  EXPECT_FALSE(IsFenced(1));
  Commit(PositionOfLastPut());
  EXPECT_TRUE(put->is_waiting());
}

// It serves from the commit of the one to the commit of the other, whatever comes between.
TEST_F(PropagationTest, ABrokerUnfencedAndFencedAgainInThePlanIsWaitedForUntilThatIsCommitted) {
  Activate();
  const int64_t one = Register(1);
  Beat(1, one, Offset(0));
  const Offset target = committed->provenance().end_offset;
  const CommandHeard put = Submit(PutForAll());
  Beat(1, one, target);
  const Offset unfenced = end();
  v1::HeartbeatRequest request = Heartbeat(1, one, target);
  request.set_want_fence(true);
  Report(request);
  EXPECT_TRUE(IsFenced(1)) << "in the plan";
  Commit(PositionOfLastPut());
  EXPECT_TRUE(put->is_waiting());
  Commit(unfenced);
  EXPECT_TRUE(put->is_waiting()) << "now it serves";
  CommitAll();
  EXPECT_EQ(StatesOf(put), Texts{"1 FENCED_MEANWHILE"});
}

TEST_F(PropagationTest, ABrokerThatComesAfterTheCommitIsNotWaitedForAndHasItBeforeItServes) {
  Activate();
  const int64_t one = Register(1);
  const CommandHeard put = Submit(PutForAll());
  CommitAll();
  EXPECT_EQ(StatesOf(put), Texts{});
  Beat(1, one, PositionOfLastPut() - 1);
  EXPECT_TRUE(IsFenced(1));
  Beat(1, one, PositionOfLastPut());
  EXPECT_FALSE(IsFenced(1));
}

TEST_F(PropagationTest, ABrokerThatFallsSilentOnItsWayBackIsGivenUpAndItsTargetForgotten) {
  Activate();
  const int64_t one = Register(1);
  Beat(1, one, Offset(0));
  const Offset old_target = committed->provenance().end_offset;
  v1::PutEntryRequest request = PutForAll();
  request.mutable_options()->mutable_wait_timeout()->set_seconds(60);
  const CommandHeard put = Submit(request, now.now + seconds(100));
  CommitAll();
  RunTimersFor(seconds(11));
  EXPECT_EQ(StatesOf(put), Texts{"1 FENCED_MEANWHILE"});
  Beat(1, one, old_target);
  EXPECT_TRUE(IsFenced(1)) << "it would serve without the write";
  Beat(1, one, PositionOfLastPut());
  EXPECT_FALSE(IsFenced(1));
}

TEST_F(PropagationTest, ABrokerThatWantsToStayFencedIsNotOnItsWayBack) {
  Activate();
  const int64_t one = Register(1);
  v1::HeartbeatRequest request = Heartbeat(1, one, Offset(0));
  request.set_want_fence(true);
  Report(request);
  const CommandHeard put = Submit(PutForAll());
  CommitAll();
  EXPECT_EQ(StatesOf(put), Texts{});
}

TEST_F(PropagationTest, ReportsARejectionWithItsReason) {
  Activate();
  const int64_t one = RegisterUnfenced(1);
  const int64_t two = RegisterUnfenced(2);
  const CommandHeard put = Submit(PutForAll());
  CommitAll();
  Acknowledge(1, one, end());
  EXPECT_TRUE(put->is_waiting());
  Reject(2, two, end() - 1, "no such feature");
  EXPECT_EQ(StatesOf(put), (Texts{"1 APPLIED", "2 REJECTED"}));
  EXPECT_EQ(PropagationOf(put).outcome(), v1::Propagation::OUTCOME_NOT_REACHABLE);
  EXPECT_EQ(PropagationOf(put).brokers(1).message(),
            fmt::format("offset {}: no such feature", end() - 1));
  // What it rejects stays between it and everything behind; what lies before does not.
  const CommandHeard later = Submit(PutForAll());
  CommitAll();
  Acknowledge(1, one, end());
  EXPECT_EQ(StatesOf(later), (Texts{"1 APPLIED", "2 REJECTED"}));
  // Until it has applied it after all.
  Acknowledge(2, two, end());
  const CommandHeard cured = Submit(PutForAll());
  CommitAll();
  EXPECT_TRUE(cured->is_waiting());
  Acknowledge(1, one, end());
  Acknowledge(2, two, end());
  EXPECT_EQ(StatesOf(cured), (Texts{"1 APPLIED", "2 APPLIED"}));
}

TEST_F(PropagationTest, ACountIsReachedByWhoComesFirst) {
  Activate();
  const int64_t one = RegisterUnfenced(1);
  const int64_t two = RegisterUnfenced(2);
  RegisterUnfenced(3);
  v1::PutEntryRequest request = WaitingPut(v1::WAIT_APPLIED_BY_COUNT);
  request.mutable_options()->set_wait_count(2);
  const CommandHeard put = Submit(request);
  CommitAll();
  Acknowledge(2, two, end());
  EXPECT_TRUE(put->is_waiting());
  Acknowledge(1, one, end());
  EXPECT_EQ(StatesOf(put), (Texts{"1 APPLIED", "2 APPLIED", "3 PENDING"}));
  EXPECT_EQ(PropagationOf(put).outcome(), v1::Propagation::OUTCOME_APPLIED);
  request.mutable_options()->set_wait_count(4);
  const CommandHeard too_many = Submit(request);
  CommitAll();
  EXPECT_EQ(PropagationOf(too_many).outcome(), v1::Propagation::OUTCOME_NOT_REACHABLE);
}

TEST_F(PropagationTest, NamedBrokersAreWaitedForAndNoOthers) {
  Activate();
  const int64_t one = RegisterUnfenced(1);
  RegisterUnfenced(2);
  const CommandHeard put = Submit(WaitingPut(v1::WAIT_APPLIED_BY, {1}));
  CommitAll();
  Acknowledge(1, one, end());
  EXPECT_EQ(StatesOf(put), Texts{"1 APPLIED"});
  const CommandHeard unknown = Submit(WaitingPut(v1::WAIT_APPLIED_BY, {7, 1}));
  CommitAll();
  Acknowledge(1, one, end());
  EXPECT_EQ(StatesOf(unknown), (Texts{"1 APPLIED", "7 FENCED_MEANWHILE"}));
  EXPECT_EQ(PropagationOf(unknown).outcome(), v1::Propagation::OUTCOME_NOT_REACHABLE);
}

TEST_F(PropagationTest, ALostLeadershipCutsTheWaitShortAndNotTheWrite) {
  Activate();
  const int64_t one = RegisterUnfenced(1);
  const CommandHeard committed_put = Submit(PutForAll());
  CommitAll();
  const CommandHeard appended_put = Submit(PutForAll());
  const Offset position = PositionOfLastPut() - 1;
  controller().Deactivate();
  EXPECT_EQ(StatesOf(committed_put), Texts{"1 PENDING"});
  EXPECT_EQ(PropagationOf(committed_put).outcome(), v1::Propagation::OUTCOME_LEADER_CHANGED);
  EXPECT_EQ(appended_put->reason(), ErrorReason::kOutcomeUnknown);
  EXPECT_EQ(committed_put->times + appended_put->times, 2);
  // The next leader is asked by position.
  log.TruncateTo(position);
  controller().Activate(now, kEpoch + 1, committed);
  v1::Propagation answer;
  bool is_answered = false;
  AppliedWait wait;
  wait.kind = v1::WAIT_APPLIED_BY_ALL;
  controller().AwaitApplied(now, PropagationOf(committed_put).position(), wait, kNever,
                            [&](absl::StatusOr<v1::Propagation> heard) {
                              ASSERT_TRUE(heard.ok()) << heard.status();
                              answer = *std::move(heard);
                              is_answered = true;
                            });
  EXPECT_FALSE(is_answered);
  Acknowledge(1, one, position);
  ASSERT_TRUE(is_answered);
  EXPECT_EQ(answer.outcome(), v1::Propagation::OUTCOME_APPLIED);
  EXPECT_EQ(answer.brokers(0).broker_id(), 1);
}

TEST_F(PropagationTest, WaitsEndWhenTheNodeStops) {
  Activate();
  RegisterUnfenced(1);
  const CommandHeard put = Submit(PutForAll());
  const CommandHeard later = Submit(PutForAll());
  Commit(end() - 1);
  EXPECT_TRUE(put->is_waiting());
  controller().StopFencing();
  EXPECT_EQ(PropagationOf(put).outcome(), v1::Propagation::OUTCOME_LEADER_CHANGED);
  EXPECT_TRUE(later->is_waiting());
  CommitAll();
  EXPECT_EQ(PropagationOf(later).outcome(), v1::Propagation::OUTCOME_LEADER_CHANGED);
}

TEST_F(PropagationTest, AwaitAppliedWaitsForTheCommitToo) {
  Activate();
  const int64_t one = RegisterUnfenced(1);
  Submit(Put("k"));
  v1::Position position;
  position.set_generation(kGeneration);
  position.set_epoch(kEpoch.value());
  position.set_offset(end().value());
  std::vector<std::string> heard;
  const auto note = [&heard](const std::string& name) {
    return [&heard, name](absl::StatusOr<v1::Propagation> answer) {
      heard.push_back(name + (answer.ok() ? "" : answer.status().ToString()));
    };
  };
  AppliedWait wait;
  controller().AwaitApplied(now, position, wait, kNever, note("committed"));
  wait.kind = v1::WAIT_APPLIED_BY_ALL;
  controller().AwaitApplied(now, position, wait, kNever, note("applied"));
  EXPECT_EQ(heard, Texts{});
  CommitAll();
  EXPECT_EQ(heard, Texts{"committed"});
  Acknowledge(1, one, end());
  EXPECT_EQ(heard, (Texts{"committed", "applied"}));
}

TEST_F(PropagationTest, RefusesWaitsThatMakeNoSense) {
  Activate();
  const auto refused = [this](const std::function<void(v1::WriteOptions&)>& change) {
    v1::PutEntryRequest request = Put("k");
    change(*request.mutable_options());
    return Submit(request)->reason() == ErrorReason::kInvalidRequest;
  };
  EXPECT_TRUE(refused([](auto& o) { o.set_wait(static_cast<v1::Wait>(99)); }));
  EXPECT_TRUE(refused([](auto& o) { o.mutable_wait_timeout()->set_seconds(1); }));
  EXPECT_TRUE(refused([](auto& o) { o.set_wait_count(1); }));
  EXPECT_TRUE(refused([](auto& o) { o.add_wait_broker_ids(1); }));
  EXPECT_TRUE(refused([](auto& o) { o.set_wait(v1::WAIT_APPLIED_BY); }));
  EXPECT_TRUE(refused([](auto& o) { o.set_wait(v1::WAIT_APPLIED_BY_COUNT); }));
  const auto all = [](auto& o) -> auto& {
    o.set_wait(v1::WAIT_APPLIED_BY_ALL);
    return *o.mutable_wait_timeout();
  };
  EXPECT_TRUE(refused([&](auto& o) { all(o).set_seconds(-1); }));
  EXPECT_TRUE(refused([&](auto& o) { all(o).set_nanos(-1); }));
  EXPECT_TRUE(refused([&](auto& o) { all(o).set_nanos(1'000'000'000); }));
  EXPECT_TRUE(refused([&](auto& o) { all(o).set_seconds(301); }));
  EXPECT_TRUE(refused([](auto& o) {
    o.set_wait(v1::WAIT_APPLIED_BY_COUNT);
    o.set_wait_count(-1);
  }));
  EXPECT_TRUE(refused([](auto& o) {
    o.set_wait(v1::WAIT_APPLIED_BY);
    o.add_wait_broker_ids(1);
    o.add_wait_broker_ids(1);
  }));
  EXPECT_TRUE(refused([](auto& o) {
    o.set_wait(v1::WAIT_APPLIED_BY);
    o.add_wait_broker_ids(-1);
  }));
  EXPECT_EQ(log.batches.size(), 0u);
}

TEST_F(PropagationTest, ShedsWaitsAboveTheLimitAndNoOtherWrites) {
  config.max_applied_waits = 2;
  Activate();
  RegisterUnfenced(1);
  for (int i = 0; i < 2; ++i) {
    Submit(PutForAll());
    CommitAll();
  }
  const Offset before = end();
  EXPECT_EQ(Submit(PutForAll())->reason(), ErrorReason::kClassShed);
  EXPECT_EQ(end(), before);
  Submit(Put("other"));
  EXPECT_EQ(end(), before + 1);
}

TEST_F(PropagationTest, MeasuresHowLongACommitTakesToEveryBroker) {
  std::vector<Duration> measured;
  Activate();
  const int64_t one = RegisterUnfenced(1);
  Acknowledge(1, one, end());
  controller().SetPropagationObserver([&](Duration elapsed) { measured.push_back(elapsed); });
  Submit(Put("k"));
  CommitAll();
  Advance(milliseconds(3));
  Submit(Put("l"));
  CommitAll();  // not followed: one at a time
  Advance(milliseconds(4));
  Acknowledge(1, one, end());
  EXPECT_EQ(measured, std::vector<Duration>{milliseconds(7)});
}

}  // namespace
}  // namespace kvorum::controller
