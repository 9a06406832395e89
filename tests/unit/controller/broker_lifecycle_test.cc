// The broker state machine of consensus.md §6.4, controlled shutdown, and what is done in the
// background.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/requests.h"
#include "tests/unit/controller/controller_fixture.h"

namespace kvorum::controller {
namespace {

using std::chrono::seconds;

TEST(BrokerStateTest, FollowsTheTableOfTransitions) {
  using S = BrokerState;
  const HeartbeatFacts none;
  EXPECT_EQ(NextState(S::kFenced, none), S::kFenced);
  EXPECT_EQ(NextState(S::kFenced, {.is_caught_up = true}), S::kUnfenced);
  EXPECT_EQ(NextState(S::kFenced, {.wants_fence = true, .is_caught_up = true}), S::kFenced);
  EXPECT_EQ(NextState(S::kFenced, {.wants_shutdown = true, .is_caught_up = true}), S::kShutdownNow);
  EXPECT_EQ(NextState(S::kUnfenced, none), S::kUnfenced);
  EXPECT_EQ(NextState(S::kUnfenced, {.wants_fence = true, .leads = true}), S::kFenced);
  EXPECT_EQ(NextState(S::kUnfenced, {.wants_fence = true, .wants_shutdown = true, .leads = true}),
            S::kShutdownNow);
  EXPECT_EQ(NextState(S::kUnfenced, {.wants_shutdown = true, .leads = true}),
            S::kControlledShutdown);
  EXPECT_EQ(NextState(S::kUnfenced, {.wants_shutdown = true}), S::kShutdownNow);
  EXPECT_EQ(NextState(S::kControlledShutdown, none), S::kControlledShutdown);
  EXPECT_EQ(NextState(S::kControlledShutdown, {.leads = true, .moves_are_applied = true}),
            S::kControlledShutdown);
  EXPECT_EQ(NextState(S::kControlledShutdown, {.moves_are_applied = true}), S::kShutdownNow);
}

class BrokerLifecycleTest : public ControllerFixture {
 protected:
  BrokerLifecycleTest() { config.max_idle_interval = Duration(0); }

  // A topic with one partition per list of replicas.
  void CreateTopic(const std::vector<std::vector<int32_t>>& assignments) {
    v1::CreateTopicsRequest request;
    v1::NewTopic& topic = *request.add_topics();
    topic.set_name("t");
    for (const std::vector<int32_t>& replicas : assignments) {
      v1::ReplicaAssignment& assignment = *topic.add_assignments();
      assignment.set_partition_index(topic.assignments_size() - 1);
      assignment.mutable_replicas()->Assign(replicas.begin(), replicas.end());
    }
    const CommandHeard heard = Submit(request);
    CommitAll();
    ASSERT_TRUE(heard->is_ok()) << heard->status();
    const auto& item = std::get<v1::CreateTopicsResponse>(**heard->reply).results(0).status();
    ASSERT_EQ(item.code(), 0) << item.message();
  }

  v1::HeartbeatResponse Goodbye(int32_t id, int64_t epoch) {
    v1::HeartbeatRequest request = Heartbeat(id, epoch, log.log_end_offset());
    request.set_want_shutdown(true);
    const ReportHeard heard = Report(request);
    CommitAll();
    EXPECT_TRUE(heard->is_ok()) << heard->status();
    return heard->is_ok() ? ResponseOf(heard) : v1::HeartbeatResponse();
  }

  Partition Now(int32_t index) {
    return *controller().latest()->topics().Find("t")->partitions.Find(index);
  }
};

TEST_F(BrokerLifecycleTest, ALeaderLeavesWhenAllOthersHaveAppliedThatItsLeadershipsMoved) {
  Activate();
  const int64_t first = RegisterUnfenced(1);
  const int64_t second = RegisterUnfenced(2);
  const int64_t third = RegisterUnfenced(3);
  CreateTopic({{1, 2}, {2, 1}});
  const Offset before = log.log_end_offset();
  v1::HeartbeatResponse response = Goodbye(1, first);
  EXPECT_TRUE(response.in_controlled_shutdown());
  EXPECT_FALSE(response.should_shutdown());
  EXPECT_FALSE(response.is_fenced()) << "it still serves";
  EXPECT_EQ(Now(0).leader, BrokerId(2));
  const Offset moved = log.log_end_offset();
  EXPECT_GT(moved, before);

  Beat(2, second, moved);
  Beat(3, third, moved - 1);
  EXPECT_FALSE(Goodbye(1, first).should_shutdown()) << "3 has not applied it";
  Submit(Put("later"));
  CommitAll();
  Beat(3, third, moved);
  response = Goodbye(1, first);
  EXPECT_TRUE(response.should_shutdown()) << "the offset was fixed when it began";
  EXPECT_TRUE(response.is_fenced());
  EXPECT_TRUE(IsFenced(1));
}

TEST_F(BrokerLifecycleTest, ALeaderWithoutOtherActiveBrokersNeedNotWait) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  CreateTopic({{1}});
  EXPECT_TRUE(Goodbye(1, epoch).in_controlled_shutdown());
  EXPECT_EQ(Now(0).leader, kNoLeader);
  EXPECT_TRUE(Goodbye(1, epoch).should_shutdown());
}

TEST_F(BrokerLifecycleTest, ABrokerInControlledShutdownStaysInItAndIsNotUnfenced) {
  Activate();
  const int64_t first = RegisterUnfenced(1);
  RegisterUnfenced(2);
  CreateTopic({{1, 2}});
  Goodbye(1, first);
  const ReportHeard heard = Beat(1, first, log.log_end_offset());
  CommitAll();
  EXPECT_TRUE(ResponseOf(heard).in_controlled_shutdown());
  EXPECT_EQ(Now(0).leader, BrokerId(2));
}

TEST_F(BrokerLifecycleTest, AWriteThatWaitsForAllWaitsForOneThatShutsDownToo) {
  Activate();
  const int64_t first = RegisterUnfenced(1);
  const int64_t second = RegisterUnfenced(2);
  CreateTopic({{1, 2}});
  EXPECT_TRUE(Goodbye(1, first).in_controlled_shutdown());
  v1::PutEntryRequest put = Put("k");
  put.mutable_options()->set_wait(v1::WAIT_APPLIED_BY_ALL);
  const CommandHeard heard = Submit(put);
  CommitAll();
  Beat(2, second, log.log_end_offset());
  EXPECT_TRUE(heard->is_waiting()) << "1 serves its clients still";
  Beat(1, first, log.log_end_offset());
  EXPECT_TRUE(heard->is_ok()) << heard->status();
}

TEST_F(BrokerLifecycleTest, ANewControllerGoesOnWithAControlledShutdown) {
  Activate();
  const int64_t first = RegisterUnfenced(1);
  const int64_t second = RegisterUnfenced(2);
  CreateTopic({{1, 2}});
  Goodbye(1, first);
  controller().Deactivate();
  Activate();
  EXPECT_FALSE(Goodbye(1, first).should_shutdown()) << "nothing is known of 2";
  Beat(2, second, log.log_end_offset());
  EXPECT_TRUE(Goodbye(1, first).should_shutdown());
}

TEST_F(BrokerLifecycleTest, ASilentBrokerInControlledShutdownIsFenced) {
  Activate();
  const int64_t first = RegisterUnfenced(1);
  const int64_t second = RegisterUnfenced(2);
  CreateTopic({{1, 2}});
  Goodbye(1, first);
  for (int i = 0; i < 12; ++i) {
    RunTimersFor(seconds(1));
    Beat(2, second, Offset(1));
    CommitAll();
  }
  EXPECT_TRUE(IsFenced(1));
  EXPECT_FALSE(IsFenced(2));
}

TEST_F(BrokerLifecycleTest, AFencingEndsAControlledShutdownAndTheNextOneWaitsAnew) {
  Activate();
  const int64_t first = RegisterUnfenced(1);
  const int64_t second = RegisterUnfenced(2);
  Register(3);  // stays fenced
  CreateTopic({{1, 2}, {1, 3}});
  ASSERT_TRUE(Goodbye(1, first).in_controlled_shutdown());
  const Offset moved = log.log_end_offset();
  for (int i = 0; i < 12; ++i) {
    RunTimersFor(seconds(1));
    Beat(2, second, moved);
    CommitAll();
  }
  ASSERT_TRUE(IsFenced(1));
  Beat(1, first, log.log_end_offset());
  CommitAll();
  ASSERT_FALSE(IsFenced(1));
  ASSERT_EQ(Now(1).leader, BrokerId(1));
  Beat(2, second, moved);
  EXPECT_TRUE(Goodbye(1, first).in_controlled_shutdown());
  EXPECT_FALSE(Goodbye(1, first).should_shutdown()) << "what 2 applied was for the one before";
  Beat(2, second, log.log_end_offset());
  EXPECT_TRUE(Goodbye(1, first).should_shutdown());
}

TEST_F(BrokerLifecycleTest, ALeavingBrokerWaitsForActiveBrokersOnly) {
  Activate();
  const int64_t first = RegisterUnfenced(1);
  const int64_t second = RegisterUnfenced(2);
  const int64_t third = RegisterUnfenced(3);
  v1::HeartbeatRequest leaves = Heartbeat(3, third, Offset(1));
  leaves.set_want_fence(true);
  Report(leaves);
  CommitAll();
  ASSERT_TRUE(IsFenced(3));
  CreateTopic({{1, 2}});
  ASSERT_TRUE(Goodbye(1, first).in_controlled_shutdown());
  EXPECT_FALSE(Goodbye(1, first).should_shutdown()) << "2 has not applied it";
  Beat(2, second, log.log_end_offset());
  EXPECT_TRUE(Goodbye(1, first).should_shutdown()) << "3 is fenced";
}

TEST_F(BrokerLifecycleTest, BrokersThatLeaveTogetherDoNotWaitForEachOther) {
  Activate();
  const int64_t first = RegisterUnfenced(1);
  const int64_t second = RegisterUnfenced(2);
  const int64_t third = RegisterUnfenced(3);
  CreateTopic({{1, 2}, {3, 2}});
  ASSERT_TRUE(Goodbye(3, third).in_controlled_shutdown());
  ASSERT_TRUE(Goodbye(1, first).in_controlled_shutdown());
  EXPECT_FALSE(Goodbye(1, first).should_shutdown()) << "2 has not applied it";
  Beat(2, second, log.log_end_offset());
  EXPECT_TRUE(Goodbye(1, first).should_shutdown());
}

TEST_F(BrokerLifecycleTest, OfflineLogDirectoriesAreNotedAndAllOfThemFence) {
  Activate();
  v1::RegisterBrokerRequest registration = Registration(1);
  const std::string a(16, 'a');
  const std::string b(16, 'b');
  registration.add_log_dirs(a);
  registration.add_log_dirs(b);
  Submit(registration);
  CommitAll();
  const int64_t epoch = committed->brokers().Find(BrokerId(1))->epoch.value();
  v1::HeartbeatRequest request = Heartbeat(1, epoch, log.log_end_offset());
  request.add_offline_log_dirs(b);
  Report(request);
  CommitAll();
  EXPECT_FALSE(IsFenced(1)) << "one is left";
  EXPECT_EQ(committed->brokers().Find(BrokerId(1))->offline_log_dirs.size(), 1u);
  const size_t batches = log.batches.size();
  Report(request);
  EXPECT_EQ(log.batches.size(), batches) << "that is known";
  request.add_offline_log_dirs(a);
  Report(request);
  CommitAll();
  EXPECT_TRUE(IsFenced(1));
  request.clear_offline_log_dirs();
  request.set_applied_offset(log.log_end_offset().value());
  Report(request);
  CommitAll();
  EXPECT_FALSE(IsFenced(1));
  request.add_offline_log_dirs(std::string(16, 'c'));
  EXPECT_EQ(Report(request)->reason(), ErrorReason::kInvalidRequest) << "not its own";
}

TEST_F(BrokerLifecycleTest, WhoKnowsTheEpochBeforeNeedNotWaitForItsSession) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  EXPECT_EQ(Submit(Registration(1, 'b'))->reason(), ErrorReason::kDuplicateBrokerRegistration);
  v1::RegisterBrokerRequest request = Registration(1, 'b');
  request.set_previous_broker_epoch(epoch);
  const CommandHeard heard = Submit(request);
  CommitAll();
  EXPECT_TRUE(heard->is_ok()) << heard->status();
  EXPECT_EQ(Beat(1, epoch, Offset(1))->reason(), ErrorReason::kStaleBrokerEpoch);
}

TEST_F(BrokerLifecycleTest, WhoseCallEndedIsReplacedAtOnce) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  const auto held = Hold(1, epoch, 5);
  EXPECT_EQ(Submit(Registration(1, 'b'))->reason(), ErrorReason::kDuplicateBrokerRegistration);
  EXPECT_TRUE(held->is_waiting());
  controller().OnHoldEnded(now, 5, HoldEnd::kCallerGone);
  EXPECT_TRUE(absl::IsCancelled(held->status()));
  EXPECT_FALSE(IsFenced(1)) << "only another incarnation ends its session before time";
  const CommandHeard heard = Submit(Registration(1, 'b'));
  CommitAll();
  EXPECT_TRUE(heard->is_ok()) << heard->status();
  EXPECT_EQ(Beat(1, epoch, Offset(1))->reason(), ErrorReason::kStaleBrokerEpoch);
}

TEST_F(BrokerLifecycleTest, ASignOfLifeTakesTheEndOfACallBack) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  Hold(1, epoch, 5);
  controller().OnHoldEnded(now, 5, HoldEnd::kCallerGone);
  Beat(1, epoch, Offset(1));
  EXPECT_EQ(Submit(Registration(1, 'b'))->reason(), ErrorReason::kDuplicateBrokerRegistration);
  Hold(1, epoch, 6);
  controller().OnHoldEnded(now, 6, HoldEnd::kCallerGone);
  Hold(1, epoch, 7);
  EXPECT_EQ(Submit(Registration(1, 'b'))->reason(), ErrorReason::kDuplicateBrokerRegistration)
      << "a new call is a sign of life";
}

TEST_F(BrokerLifecycleTest, ACallThatRanIntoItsDeadlineTellsNothingOfItsProcess) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  const auto held = Hold(1, epoch, 5);
  controller().OnHoldEnded(now, 5, HoldEnd::kExpired);
  EXPECT_TRUE(absl::IsCancelled(held->status()));
  EXPECT_EQ(Submit(Registration(1, 'b'))->reason(), ErrorReason::kDuplicateBrokerRegistration);
}

// The end of a connection may be noticed after the next one was made.
TEST_F(BrokerLifecycleTest, OnlyTheNewestCallCounts) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  const auto first = Hold(1, epoch, 5);
  const auto second = Hold(1, epoch, 6);
  EXPECT_TRUE(first->is_ok());
  controller().OnHoldEnded(now, 5, HoldEnd::kCallerGone);
  EXPECT_EQ(first->times, 1);
  EXPECT_TRUE(second->is_waiting());
  EXPECT_EQ(Submit(Registration(1, 'b'))->reason(), ErrorReason::kDuplicateBrokerRegistration);
}

TEST_F(BrokerLifecycleTest, ACallEndsWithItsRegistrationAndWithTheController) {
  Activate();
  int64_t epoch = RegisterUnfenced(1);
  EXPECT_EQ(Hold(1, epoch + 1, 4)->reason(), ErrorReason::kStaleBrokerEpoch);
  EXPECT_EQ(Hold(2, epoch, 4)->reason(), ErrorReason::kBrokerIdNotRegistered);
  const auto replaced = Hold(1, epoch, 5);
  v1::RegisterBrokerRequest next = Registration(1, 'b');
  next.set_previous_broker_epoch(epoch);
  Submit(next);
  CommitAll();
  EXPECT_TRUE(replaced->is_ok());
  epoch = committed->brokers().Find(BrokerId(1))->epoch.value();
  const auto removed = Hold(1, epoch, 6);
  Submit(Unregistration(1));
  EXPECT_TRUE(removed->is_ok());
  CommitAll();
  epoch = RegisterUnfenced(1);
  const auto stopped = Hold(1, epoch, 7);
  controller().StopFencing();
  EXPECT_EQ(stopped->reason(), ErrorReason::kShuttingDown);
  const auto deposed = Hold(1, epoch, 8);
  controller().Deactivate();
  EXPECT_EQ(deposed->reason(), ErrorReason::kNotController);
  controller().OnHoldEnded(now, 8, HoldEnd::kCallerGone);
  for (const auto& heard : {replaced, removed, stopped, deposed}) {
    EXPECT_EQ(heard->times, 1);
  }
}

TEST_F(BrokerLifecycleTest, AControllerThatWasHeldUpDoesNotTakeItsOwnSilenceForTheirs) {
  Activate();
  RegisterUnfenced(1);
  RegisterUnfenced(2);
  RunTimersFor(seconds(3));
  // Neither heartbeats nor timers ran meanwhile: the machine was paused, or the loop was busy.
  Advance(seconds(20));
  controller().HandleTimer(now);
  EXPECT_FALSE(IsFenced(1));
  EXPECT_FALSE(IsFenced(2));
  RunTimersFor(seconds(5));
  EXPECT_FALSE(IsFenced(1)) << "what it was silent before counts, no more";
  RunTimersFor(seconds(5));
  EXPECT_TRUE(IsFenced(1)) << "and who is really gone is fenced after all";
}

TEST_F(BrokerLifecycleTest, PreferredLeadersComeBackByThemselves) {
  config.leader_balance_interval = seconds(60);
  config.leader_balance_max_changes = 2;
  Activate();
  const int64_t first = RegisterUnfenced(1);
  const int64_t second = RegisterUnfenced(2);
  CreateTopic({{1, 2}, {1, 2}, {1, 2}});
  v1::HeartbeatRequest request = Heartbeat(1, first, log.log_end_offset());
  request.set_want_fence(true);
  Report(request);
  CommitAll();
  ASSERT_EQ(Now(0).leader, BrokerId(2));
  Beat(1, first, log.log_end_offset());
  CommitAll();
  for (const int32_t index : {0, 1, 2}) {
    v1::AlterPartitionRequest alter;
    alter.set_broker_id(2);
    alter.set_broker_epoch(second);
    v1::AlterPartitionRequest::Item& item = *alter.add_partitions();
    item.set_topic_id(committed->topics().Find("t")->id.ToString());
    item.set_partition_index(index);
    item.set_leader_epoch(Now(index).leader_epoch);
    item.set_partition_epoch(Now(index).partition_epoch);
    for (const int32_t id : {1, 2}) {
      item.add_new_isr()->set_broker_id(id);
      item.mutable_new_isr(id - 1)->set_broker_epoch(-1);
    }
    Submit(alter);
  }
  CommitAll();
  const size_t before = log.batches.size();
  for (int i = 0; i < 59; ++i) {
    RunTimersFor(seconds(1));
    Beat(1, first, Offset(1));
    Beat(2, second, Offset(1));
  }
  EXPECT_EQ(Now(0).leader, BrokerId(2)) << "not before its time";
  RunTimersFor(seconds(1));
  for (const int32_t index : {0, 1, 2}) {
    EXPECT_EQ(Now(index).leader, BrokerId(1));
  }
  EXPECT_EQ(log.batches.size() - before, 2u) << "two at a time";
}

TEST_F(BrokerLifecycleTest, UncleanElectionsAreHeldForTopicsThatAllowThem) {
  config.bootstrap_metadata_level = kMaxMetadataLevel;
  config.unclean_election_interval = seconds(60);
  config.leader_balance_max_changes = 2;
  Activate();
  CommitAll();
  const int64_t first = RegisterUnfenced(1);
  const int64_t second = RegisterUnfenced(2);
  CreateTopic({{2, 1}, {2, 1}, {2, 1}});
  for (const auto& [id, epoch] : {std::pair(1, first), std::pair(2, second)}) {
    v1::HeartbeatRequest request = Heartbeat(id, epoch, log.log_end_offset());
    request.set_want_fence(true);
    Report(request);
    CommitAll();
  }
  Beat(1, first, log.log_end_offset());
  CommitAll();
  ASSERT_FALSE(IsFenced(1));
  ASSERT_EQ(Now(0).leader, kNoLeader) << "1 lacks what 2 acknowledged";
  const auto wait = [&](int rounds) {
    for (int i = 0; i < rounds; ++i) {
      RunTimersFor(seconds(1));
      Beat(1, first, log.log_end_offset());
      CommitAll();
    }
  };
  wait(61);
  ASSERT_EQ(Now(0).leader, kNoLeader) << "nobody allowed it";
  const v1::AlterConfigsRequest allow =
      SetTopicConfig("t", "unclean.leader.election.enable", "true");
  ASSERT_TRUE(Submit(allow)->is_waiting());
  CommitAll();
  const size_t before = log.batches.size();
  wait(60);
  for (const int32_t index : {0, 1, 2}) {
    EXPECT_EQ(Now(index).leader, BrokerId(1));
    EXPECT_EQ(Now(index).leader_recovery_state, v1::LEADER_RECOVERY_STATE_RECOVERING);
  }
  EXPECT_EQ(log.batches.size() - before, 2u) << "two at a time";
}

}  // namespace
}  // namespace kvorum::controller
