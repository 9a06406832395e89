// Heartbeats, acknowledgements, fencing (KIP-631).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/controller/controller_fixture.h"

namespace kvorum::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class BrokerReportsTest : public ControllerFixture {
 protected:
  BrokerReportsTest() { config.max_idle_interval = Duration(0); }

  // What was fenced or unfenced, in log order.
  std::vector<std::string> Changes() const {
    std::vector<std::string> changes;
    for (const FakeLogAppender::Batch& batch : log.batches) {
      for (const v1::MetadataRecord& record : batch.records) {
        if (record.has_broker_registration_change()) {
          const auto& change = record.broker_registration_change();
          changes.push_back(
              fmt::format("{}{}", change.fenced() ? "fence " : "unfence ", change.broker_id()));
        }
      }
    }
    return changes;
  }
};

using Texts = std::vector<std::string>;

TEST_F(BrokerReportsTest, RefusesBadReportsByName) {
  Activate();
  const int64_t epoch = Register(1);
  const Offset end = log.log_end_offset();
  EXPECT_EQ(Beat(2, epoch, end)->reason(), ErrorReason::kBrokerIdNotRegistered);
  EXPECT_EQ(Beat(1, epoch - 1, end)->reason(), ErrorReason::kStaleBrokerEpoch);
  EXPECT_EQ(Beat(1, epoch + 1, end)->reason(), ErrorReason::kStaleBrokerEpoch);
  EXPECT_EQ(Beat(-1, epoch, end)->reason(), ErrorReason::kInvalidRequest);
  EXPECT_EQ(Beat(1, epoch, Offset(-1))->reason(), ErrorReason::kInvalidRequest);
  EXPECT_EQ(Beat(1, epoch, end + 1)->reason(), ErrorReason::kInvalidRequest);
  EXPECT_EQ(Changes(), Texts{});
  EXPECT_FALSE(controller().liveness()->HasLiveSession(BrokerId(1))) << "none was a sign of life";
}

TEST_F(BrokerReportsTest, UnfencesABrokerThatHasAppliedItsRegistration) {
  Activate();
  const int64_t epoch = Register(1);
  const ReportHeard early = Beat(1, epoch, Offset(epoch));
  ASSERT_TRUE(early->is_ok());
  EXPECT_FALSE(ResponseOf(early).is_caught_up());
  EXPECT_TRUE(ResponseOf(early).is_fenced());
  const ReportHeard caught_up = Beat(1, epoch, Offset(epoch + 1));
  EXPECT_TRUE(caught_up->is_waiting()) << "it must not serve before that is committed";
  CommitAll();
  ASSERT_TRUE(caught_up->is_ok());
  EXPECT_TRUE(ResponseOf(caught_up).is_caught_up());
  EXPECT_FALSE(ResponseOf(caught_up).is_fenced());
  EXPECT_FALSE(ResponseOf(caught_up).should_shutdown());
  EXPECT_EQ(Changes(), Texts{"unfence 1"});
}

TEST_F(BrokerReportsTest, NotesASignOfLifeInAReportThatIsRefused) {
  Activate();
  const int64_t epoch = Register(1);
  Beat(1, epoch, Offset(epoch + 1));
  CommitAll();
  Advance(seconds(1));
  controller().NoteRefusedReport(now, Heartbeat(1, epoch - 1, Offset(0)));
  EXPECT_EQ(controller().liveness()->HeartbeatAgeMs(BrokerId(1)), 1000) << "another incarnation";
  controller().NoteRefusedReport(now, Heartbeat(1, epoch, Offset(0)));
  EXPECT_EQ(controller().liveness()->HeartbeatAgeMs(BrokerId(1)), 0);
}

TEST_F(BrokerReportsTest, FixesTheUnfenceTargetAtTheFirstHeartbeat) {
  Activate();
  const int64_t epoch = Register(1);
  for (int i = 0; i < 5; ++i) {
    Submit(Put(fmt::format("k{}", i)));
  }
  CommitAll();
  const Offset target = committed->provenance().end_offset;
  Beat(1, epoch, Offset(0));  // has not even seen its own registration
  Submit(Put("later"));
  CommitAll();
  EXPECT_FALSE(ResponseOf(Beat(1, epoch, target - 1)).is_caught_up());
  EXPECT_TRUE(IsFenced(1));
  Submit(Put("later still"));
  CommitAll();
  Beat(1, epoch, target);
  EXPECT_FALSE(IsFenced(1)) << "a target that moves would never be met (KAFKA-13955)";
}

TEST_F(BrokerReportsTest, FixesANewTargetAfterAFencing) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  RunTimersFor(seconds(11));
  CommitAll();
  ASSERT_TRUE(IsFenced(1));
  const Offset target = committed->provenance().end_offset;
  EXPECT_FALSE(ResponseOf(Beat(1, epoch, target - 1)).is_caught_up());
  EXPECT_TRUE(IsFenced(1));
  Beat(1, epoch, target);
  EXPECT_FALSE(IsFenced(1));
}

TEST_F(BrokerReportsTest, FencesNobodyForSilenceWhileItStops) {
  Activate();
  RegisterUnfenced(1);
  controller().StopFencing();
  RunTimersFor(seconds(30));
  CommitAll();
  EXPECT_FALSE(IsFenced(1)) << "a node that stops refuses heartbeats";
}

TEST_F(BrokerReportsTest, LetsABrokerStayFenced) {
  Activate();
  const int64_t epoch = Register(1);
  v1::HeartbeatRequest request = Heartbeat(1, epoch, log.log_end_offset());
  request.set_want_fence(true);
  const ReportHeard heard = Report(request);
  ASSERT_TRUE(heard->is_ok());
  EXPECT_TRUE(ResponseOf(heard).is_fenced());
  EXPECT_TRUE(ResponseOf(heard).is_caught_up());
  EXPECT_EQ(Changes(), Texts{});
}

TEST_F(BrokerReportsTest, FencesABrokerThatAsksForIt) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  v1::HeartbeatRequest request = Heartbeat(1, epoch, log.log_end_offset());
  request.set_want_fence(true);
  const ReportHeard heard = Report(request);
  EXPECT_TRUE(heard->is_waiting());
  CommitAll();
  EXPECT_TRUE(ResponseOf(heard).is_fenced());
  EXPECT_FALSE(ResponseOf(heard).should_shutdown());
  EXPECT_EQ(Changes(), (Texts{"unfence 1", "fence 1"}));
}

// Kafka takes one that waited too long for a sign of life only.
TEST_F(BrokerReportsTest, CarriesAHeartbeatOutThatComesLate) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  Advance(seconds(20));  // its session is over, but nobody has looked
  v1::HeartbeatRequest request = Heartbeat(1, epoch, log.log_end_offset());
  request.set_want_fence(true);
  const ReportHeard heard = Report(request);
  CommitAll();
  ASSERT_TRUE(heard->is_ok()) << heard->status();
  EXPECT_TRUE(ResponseOf(heard).is_fenced());
  EXPECT_TRUE(IsFenced(1));
}

TEST_F(BrokerReportsTest, LetsABrokerLeaveAndItsNextIncarnationComeAtOnce) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  EXPECT_TRUE(Submit(Registration(1, 'b'))->status().code() == absl::StatusCode::kAlreadyExists);
  v1::HeartbeatRequest request = Heartbeat(1, epoch, log.log_end_offset());
  request.set_want_shutdown(true);
  const ReportHeard heard = Report(request);
  EXPECT_TRUE(heard->is_waiting()) << "it may exit when the fencing is committed";
  CommitAll();
  EXPECT_TRUE(ResponseOf(heard).should_shutdown());
  EXPECT_TRUE(ResponseOf(heard).is_fenced());
  EXPECT_GT(Register(1, 'b'), epoch);
}

TEST_F(BrokerReportsTest, LetsAFencedBrokerLeaveWithoutARecord) {
  Activate();
  const int64_t epoch = Register(1);
  v1::HeartbeatRequest request = Heartbeat(1, epoch, Offset(0));
  request.set_want_shutdown(true);
  const ReportHeard heard = Report(request);
  ASSERT_TRUE(heard->is_ok());
  EXPECT_TRUE(ResponseOf(heard).should_shutdown());
  EXPECT_EQ(Changes(), Texts{});
}

TEST_F(BrokerReportsTest, RemembersWhatABrokerAcknowledgesAndRejects) {
  Activate();
  const int64_t epoch = Register(1);
  v1::AcknowledgeMetadataRequest request;
  request.set_broker_id(1);
  request.set_broker_epoch(epoch);
  request.set_applied_offset(1);
  request.mutable_rejected()->set_offset(1);
  request.mutable_rejected()->set_message("unknown record");
  EXPECT_TRUE(Report(request)->is_ok());
  EXPECT_EQ(controller().liveness()->AppliedOffset(BrokerId(1)), Offset(1));
  EXPECT_EQ(controller().liveness()->LastRejection(BrokerId(1)), "offset 1: unknown record");
  EXPECT_TRUE(controller().liveness()->HasLiveSession(BrokerId(1)));

  request.mutable_rejected()->set_message(std::string(1025, 'x'));
  EXPECT_EQ(Report(request)->reason(), ErrorReason::kInvalidRequest);
  request.clear_rejected();
  request.set_applied_offset(-1);
  EXPECT_EQ(Report(request)->reason(), ErrorReason::kInvalidRequest);
  request.set_applied_offset(0);
  request.set_broker_epoch(epoch + 1);
  EXPECT_EQ(Report(request)->reason(), ErrorReason::kStaleBrokerEpoch);
}

TEST_F(BrokerReportsTest, ARejectionThatANewerReportHasOvertakenIsNone) {
  Activate();
  const int64_t epoch = Register(1);
  ASSERT_TRUE(Beat(1, epoch, Offset(epoch + 1))->is_waiting());
  CommitAll();
  v1::AcknowledgeMetadataRequest late;  // from before it got over it
  late.set_broker_id(1);
  late.set_broker_epoch(epoch);
  late.set_applied_offset(epoch);
  late.mutable_rejected()->set_offset(epoch);
  late.mutable_rejected()->set_message("unknown record");
  EXPECT_TRUE(Report(late)->is_ok());
  EXPECT_EQ(controller().liveness()->AppliedOffset(BrokerId(1)), Offset(epoch + 1));
  EXPECT_EQ(controller().liveness()->LastRejection(BrokerId(1)), "");
}

TEST_F(BrokerReportsTest, ForgetsTheSoftStateOfTheIncarnationBefore) {
  Activate();
  const int64_t epoch = Register(1);
  v1::AcknowledgeMetadataRequest request;
  request.set_broker_id(1);
  request.set_broker_epoch(epoch);
  request.set_applied_offset(2);
  request.mutable_rejected()->set_message("no");
  Report(request);
  Advance(seconds(20));
  Register(1, 'b');
  EXPECT_EQ(controller().liveness()->AppliedOffset(BrokerId(1)), std::nullopt);
  EXPECT_EQ(controller().liveness()->LastRejection(BrokerId(1)), "");
}

// A write that was committed while the broker looked silent did not wait for it, though the silence
// was the controller's own.
TEST_F(BrokerReportsTest, AnOldUnfenceTargetDoesNotOutliveASilenceThatIsExcused) {
  Activate();
  const int64_t epoch = Register(1);
  const Offset target = committed->provenance().end_offset;
  Beat(1, epoch, Offset(0));
  Advance(seconds(20));  // no timer ran
  Submit(Put("a"));
  CommitAll();
  const Offset end = committed->provenance().end_offset;
  controller().HandleTimer(now);
  Beat(1, epoch, target);
  CommitAll();
  EXPECT_TRUE(IsFenced(1));
  Beat(1, epoch, end);
  CommitAll();
  EXPECT_FALSE(IsFenced(1));
}

TEST_F(BrokerReportsTest, ForgetsTheSessionOfWhoIsUnregistered) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  EXPECT_EQ(Beat(1, epoch, Offset(2))->is_ok(), true);
  Submit(Unregistration(1));
  CommitAll();
  EXPECT_EQ(controller().liveness()->HeartbeatAgeMs(BrokerId(1)), std::nullopt);
  RunTimersFor(seconds(20));
  EXPECT_EQ(Changes(), Texts{"unfence 1"}) << "there is nobody to fence";
}

TEST_F(BrokerReportsTest, KeepsTheSessionWhenTheSameIncarnationRegistersAgain) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  v1::RegisterBrokerRequest again = Registration(1);
  again.set_rack("moved");
  Submit(again);
  CommitAll();
  EXPECT_EQ(committed->brokers().Find(BrokerId(1))->epoch, BrokerEpoch(epoch));
  EXPECT_TRUE(controller().liveness()->HasLiveSession(BrokerId(1)));
  EXPECT_EQ(Submit(Registration(1, 'b'))->reason(), ErrorReason::kDuplicateBrokerRegistration);
}

TEST_F(BrokerReportsTest, AnswersAReportOnlyWhenWhatItSawIsCommitted) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  Submit(Put("a"));
  const ReportHeard heard = Beat(1, epoch, Offset(1));
  EXPECT_TRUE(heard->is_waiting());
  controller().Deactivate();
  EXPECT_EQ(heard->reason(), ErrorReason::kOutcomeUnknown);
  EXPECT_EQ(heard->times, 1);
}

TEST_F(BrokerReportsTest, BoundsTheRepliesOfReportsButCountsTheSignOfLife) {
  config.max_pending_replies = 3;
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  Submit(Put("never committed"));
  for (int i = 0; i < 100; ++i) {
    Beat(1, epoch, Offset(1));
  }
  EXPECT_EQ(controller().pending_replies(), 6u);
  Advance(seconds(5));
  EXPECT_EQ(Beat(1, epoch, Offset(1))->reason(), ErrorReason::kClassShed);
  EXPECT_EQ(controller().liveness()->HeartbeatAgeMs(BrokerId(1)), 0);
}

// --- stale sessions ---

TEST_F(BrokerReportsTest, FencesASilentBrokerAfterItsSessionAndNotBefore) {
  Activate();
  RegisterUnfenced(1);
  RunTimersFor(milliseconds(8999));
  EXPECT_FALSE(IsFenced(1));
  RunTimersFor(milliseconds(1125 + 1));
  EXPECT_TRUE(IsFenced(1));
  CommitAll();
  RunTimersFor(seconds(30));
  EXPECT_EQ(Changes(), (Texts{"unfence 1", "fence 1"})) << "once";
}

TEST_F(BrokerReportsTest, KeepsABrokerThatHeartbeats) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  for (int i = 0; i < 20; ++i) {
    RunTimersFor(seconds(8));
    Beat(1, epoch, log.log_end_offset());
  }
  EXPECT_FALSE(IsFenced(1));
}

TEST_F(BrokerReportsTest, FencesStaleBrokersOneByOneTheLongestSilentFirst) {
  Activate();
  Advance(milliseconds(100));
  std::vector<int64_t> epochs;
  for (int32_t id = 1; id <= 4; ++id) {
    epochs.push_back(RegisterUnfenced(id));
  }
  for (const int32_t id : {3, 1, 4}) {
    Advance(milliseconds(10));
    Beat(id, epochs[static_cast<size_t>(id - 1)], Offset(1));
  }
  RunTimersFor(milliseconds(9500));
  Advance(controller().NextDeadline() - now.now);  // all are stale, 2 the longest
  const size_t before = log.batches.size();
  controller().HandleTimer(now);
  EXPECT_EQ(log.batches.size(), before + 1) << "one at a time, so that the rest can still elect";
  EXPECT_TRUE(IsFenced(2));
  EXPECT_FALSE(IsFenced(3));
  EXPECT_EQ(controller().NextDeadline(), now.now) << "the next at once";
  RunTimersFor(milliseconds(1));
  const Texts changes = Changes();
  EXPECT_EQ(Texts(changes.begin() + 4, changes.end()),
            (Texts{"fence 2", "fence 3", "fence 1", "fence 4"}));
  CommitAll();
}

TEST_F(BrokerReportsTest, GrantsEverybodyAFullSessionAfterActivation) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  RegisterUnfenced(2);
  Register(3);
  controller().Deactivate();
  Advance(seconds(100));  // somebody else heard them meanwhile, or nobody did
  Activate();
  EXPECT_TRUE(controller().liveness()->HasLiveSession(BrokerId(1)));
  EXPECT_FALSE(controller().liveness()->HasLiveSession(BrokerId(3))) << "fenced ones have none";
  RunTimersFor(milliseconds(8999));
  EXPECT_FALSE(IsFenced(1));
  EXPECT_FALSE(IsFenced(2));
  Beat(1, epoch, Offset(1));
  RunTimersFor(milliseconds(1126));
  EXPECT_FALSE(IsFenced(1));
  EXPECT_TRUE(IsFenced(2));
}

}  // namespace
}  // namespace kvorum::controller
