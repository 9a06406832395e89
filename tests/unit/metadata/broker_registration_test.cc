// What registration says of a broker beyond its address: consensus.md §6.3; and draining.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

using testing::ElementsAre;

std::string Dir(char last) { return std::string(15, 'd') + last; }

TEST(RegistrationTest, KeepsLogDirectories) {
  World world;
  v1::RegisterBrokerRequest request = world.Registration(1);
  request.add_log_dirs(Dir('a'));
  request.add_log_dirs(Dir('b'));
  ASSERT_TRUE(world.Run(request).ok());
  v1::GetBrokerRequest get;
  get.set_broker_id(1);
  const auto response = world.Read(get);
  ASSERT_TRUE(response.ok());
  EXPECT_THAT(response->broker().log_dirs(), testing::SizeIs(2));
  EXPECT_EQ(response->broker().log_dirs(0), Uuid::FromBytes(Dir('a'))->ToString());
}

TEST(RegistrationTest, ALogDirectoryIsOneBrokersOnly) {
  World world;
  v1::RegisterBrokerRequest request = world.Registration(1);
  request.add_log_dirs(Dir('a'));
  ASSERT_TRUE(world.Run(request).ok());
  v1::RegisterBrokerRequest other = world.Registration(2);
  other.add_log_dirs(Dir('a'));
  EXPECT_THAT(world.Run(other), HasReason(ErrorReason::kInvalidRegistration));
  other.set_log_dirs(0, Dir('b'));
  EXPECT_TRUE(world.Run(other).ok());
  // The next incarnation may give one up; then it is free.
  request = world.Registration(1);
  request.add_log_dirs(Dir('c'));
  ASSERT_TRUE(world.Run(request).ok());
  other.set_log_dirs(0, Dir('a'));
  EXPECT_TRUE(world.Run(other).ok());
  v1::UnregisterBrokerRequest unregister;
  unregister.set_broker_id(2);
  ASSERT_TRUE(world.Run(unregister).ok());
  EXPECT_EQ(world.image().brokers().by_log_dir.size(), 1u);
}

TEST(RegistrationTest, RefusesBadLogDirectories) {
  World world;
  const auto expect_invalid = [&world](const v1::RegisterBrokerRequest& request) {
    EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kInvalidRegistration))
        << request.ShortDebugString();
  };
  v1::RegisterBrokerRequest request = world.Registration(1);
  request.add_log_dirs("short");
  expect_invalid(request);
  request.set_log_dirs(0, std::string(16, '\0'));
  expect_invalid(request);
  request.set_log_dirs(0, std::string(15, '\0') + '\x63');
  expect_invalid(request);
  request.set_log_dirs(0, std::string(15, '\0') + '\x64');
  EXPECT_TRUE(world.Plan(request).ok()) << "the first that is not reserved";
  request.add_log_dirs(request.log_dirs(0));
  expect_invalid(request);
  request = world.Registration(1);
  for (int i = 0; i <= kMaxLogDirs; ++i) {
    request.add_log_dirs(fmt::format("{:016}", i));
  }
  expect_invalid(request);
}

// consensus.md §6.3: the session before the directories before the features. The mere form of a
// request comes before all of them.
TEST(RegistrationTest, ChecksTheSessionThenTheDirectoriesThenTheFeatures) {
  World world;
  world.Apply(BootstrapRecords(kMaxMetadataLevel));
  ASSERT_TRUE(world.Run(world.Registration(1)).ok());
  v1::RegisterBrokerRequest other = world.Registration(2);
  other.add_log_dirs(Dir('a'));
  ASSERT_TRUE(world.Run(other).ok());
  v1::MetadataRecord finalized;
  finalized.mutable_feature_level()->set_name("group.version");
  finalized.mutable_feature_level()->set_level(1);
  world.Apply({finalized});

  v1::RegisterBrokerRequest request = world.Registration(1);  // another incarnation
  request.add_log_dirs(Dir('a'));
  world.liveness().live.insert(BrokerId{1});
  EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kDuplicateBrokerRegistration));
  world.liveness().live.clear();
  EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kInvalidRegistration));
  request.set_log_dirs(0, Dir('b'));
  EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kUnsupportedVersion));
  v1::SupportedFeature& feature = *request.add_features();
  feature.set_name("group.version");
  feature.set_max_level(1);
  EXPECT_TRUE(world.Run(request).ok());
}

// A broker need not tell its directories, nor that it can follow the log's language.
TEST(RegistrationTest, DirectoriesAndTheMetadataLevelMayBeLeftOut) {
  World world;
  world.Apply(BootstrapRecords(kMaxMetadataLevel));
  const v1::RegisterBrokerRequest request = world.Registration(1);
  ASSERT_TRUE(request.log_dirs().empty());
  ASSERT_TRUE(request.features().empty());
  EXPECT_TRUE(world.Run(request).ok());
  world.Unfence(1);
  EXPECT_TRUE(world.image().brokers().IsActive(BrokerId{1}));
}

TEST(RegistrationTest, WhoKnowsTheEpochBeforeTakesOverAtOnceAndCleanly) {
  World world;
  world.AddBrokers({1, 2});
  world.AddTopic("t", {{1, 2}}, 2);
  world.liveness().live.insert(BrokerId{1});
  v1::RegisterBrokerRequest request = world.Registration(1);
  request.set_previous_broker_epoch(world.broker(1).epoch.value() + 1);
  EXPECT_THAT(world.Run(request), HasReason(ErrorReason::kDuplicateBrokerRegistration));
  request.set_previous_broker_epoch(world.broker(1).epoch.value());
  EXPECT_TRUE(world.Run(request).ok());
  EXPECT_TRUE(world.broker(1).is_fenced);
  EXPECT_THAT(Ids(world.partition("t", 0).elr), ElementsAre(1)) << "it has lost nothing";
}

TEST(RegistrationTest, WhatItDoesNotKnowIsAnUncleanShutdown) {
  World world;
  world.AddBrokers({1, 2});
  world.AddTopic("t", {{1, 2}}, 2);
  world.Restart(1, /*is_clean=*/false);
  EXPECT_THAT(Ids(world.partition("t", 0).isr), ElementsAre(2));
  EXPECT_THAT(Ids(world.partition("t", 0).elr), testing::IsEmpty());
}

TEST(RegistrationTest, TheSameIncarnationKeepsItsState) {
  World world;
  v1::RegisterBrokerRequest request = world.Registration(1);
  request.add_log_dirs(Dir('a'));
  request.add_log_dirs(Dir('b'));
  ASSERT_TRUE(world.Run(request).ok());
  world.Unfence(1);
  world.Apply(DrainBroker(world.image(), BrokerId{1}));
  world.Apply(BeginControlledShutdown(world.image(), BrokerId{1}));
  world.Apply(SetOfflineLogDirs(world.image(), BrokerId{1},
                                {*Uuid::FromBytes(Dir('a')), *Uuid::FromBytes(Dir('b'))}));
  EXPECT_TRUE(world.Plan(request)->records.empty());
  request.mutable_log_dirs()->RemoveLast();
  ASSERT_TRUE(world.Run(request).ok());
  EXPECT_TRUE(world.broker(1).is_drained);
  EXPECT_TRUE(world.broker(1).in_controlled_shutdown);
  EXPECT_EQ(world.broker(1).offline_log_dirs.size(), 1u) << "the other is no longer its own";
}

TEST(ControlledShutdownTest, LeavesInSyncReplicasAndLeadershipButIsNotFenced) {
  World world;
  world.AddBrokers({1, 2});
  world.AddTopic("t", {{1, 2}, {2, 1}});
  const auto records = BeginControlledShutdown(world.image(), BrokerId{1});
  ASSERT_EQ(records.size(), 3u);
  EXPECT_TRUE(records[0].broker_registration_change().in_controlled_shutdown());
  EXPECT_FALSE(records[0].broker_registration_change().fenced());
  world.Apply(records);
  EXPECT_FALSE(world.image().brokers().IsActive(BrokerId{1}));
  EXPECT_EQ(world.image().topics().LoadOf(BrokerId{1}).in_sync, 0);
  EXPECT_TRUE(BeginControlledShutdown(world.image(), BrokerId{1}).empty());
  world.Fence(1);
  EXPECT_FALSE(world.broker(1).in_controlled_shutdown);
  EXPECT_TRUE(BeginControlledShutdown(world.image(), BrokerId{1}).empty()) << "it is fenced";
  EXPECT_TRUE(BeginControlledShutdown(world.image(), BrokerId{9}).empty());
}

TEST(ControlledShutdownTest, GoesOnWhereAFailoverCutItOff) {
  World world;
  world.AddBrokers({1, 2});
  world.AddTopic("t", {{1, 2}, {1, 2}});
  auto records = BeginControlledShutdown(world.image(), BrokerId{1});
  records.resize(2);  // the rest was in a batch that was lost
  world.Apply(records);
  EXPECT_EQ(world.image().topics().LoadOf(BrokerId{1}).leaders, 1);
  const auto rest = BeginControlledShutdown(world.image(), BrokerId{1});
  ASSERT_EQ(rest.size(), 1u);
  world.Apply(rest);
  EXPECT_EQ(world.image().topics().LoadOf(BrokerId{1}).leaders, 0);
}

TEST(ControlledShutdownTest, GetsNoNewReplicas) {
  World world;
  world.AddBrokers({1, 2, 3});
  world.Apply(BeginControlledShutdown(world.image(), BrokerId{1}));
  v1::CreateTopicsRequest create;
  create.add_topics()->set_name("t");
  create.mutable_topics(0)->set_partition_count(20);
  create.mutable_topics(0)->set_replication_factor(3);
  EXPECT_THAT(world.Run(create)->results(0).status(),
              ItemHasReason(ErrorReason::kInvalidReplicationFactor));
  create.mutable_topics(0)->set_replication_factor(2);
  EXPECT_THAT(world.Run(create)->results(0).status(), ItemIsOk());
  EXPECT_EQ(world.image().topics().LoadOf(BrokerId{1}), BrokerLoad());
}

class DrainTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.AddBrokers({1, 2, 3});
    world_.AddTopic("t", {{1, 2}, {2, 1}});
    world_.AddTopic("lone", {{1}});
  }
  absl::StatusOr<v1::DrainBrokerResponse> Drain(int32_t id) {
    v1::DrainBrokerRequest request;
    request.set_broker_id(id);
    return world_.Run(request);
  }

  World world_;
};

TEST_F(DrainTest, MovesLeadersAwayAndTellsWhatCannotMove) {
  const auto response = Drain(1);
  EXPECT_EQ(response->moved_leader_count(), 1);
  EXPECT_EQ(response->remaining_leader_count(), 1);
  EXPECT_EQ(world_.partition("t", 0).leader, BrokerId{2});
  EXPECT_EQ(world_.partition("lone", 0).leader, BrokerId{1}) << "nobody else can";
  EXPECT_THAT(Ids(world_.partition("t", 0).isr), ElementsAre(1, 2)) << "it stays in sync";
  EXPECT_EQ(Drain(1)->remaining_leader_count(), 1);
  EXPECT_TRUE(DrainBroker(world_.image(), BrokerId{1}).empty());
}

TEST_F(DrainTest, ItLeadsAgainOnlyWhereNobodyElseCan) {
  ASSERT_TRUE(Drain(1).ok());
  world_.Fence(2);
  EXPECT_EQ(world_.partition("t", 0).leader, BrokerId{1}) << "better than nobody";
  world_.Unfence(2);
  const auto result = world_.ReportIsr("t", 0, {1, 2});
  EXPECT_THAT(result.status(), ItemHasReason(ErrorReason::kNewLeaderElected));
  EXPECT_EQ(world_.partition("t", 0).leader, BrokerId{2});
  EXPECT_TRUE(BalanceLeaders(world_.image(), {}, 10).records.empty());
}

TEST_F(DrainTest, ItGetsNoNewReplicas) {
  ASSERT_TRUE(Drain(1).ok());
  v1::CreateTopicsRequest create;
  create.add_topics()->set_name("u");
  create.mutable_topics(0)->set_partition_count(20);
  create.mutable_topics(0)->set_replication_factor(2);
  ASSERT_THAT(world_.Run(create)->results(0).status(), ItemIsOk());
  EXPECT_EQ(world_.image().topics().LoadOf(BrokerId{1}).replicas, 3) << "those it had";
  v1::NewTopic& by_hand = *create.mutable_topics(0);
  by_hand.Clear();
  by_hand.set_name("v");
  by_hand.add_assignments()->add_replicas(1);
  EXPECT_THAT(world_.Run(create)->results(0).status(),
              ItemHasReason(ErrorReason::kInvalidReplicaAssignment));
}

TEST_F(DrainTest, StaysAcrossIncarnationsUntilItIsTakenBack) {
  ASSERT_TRUE(Drain(1).ok());
  world_.Restart(1, /*is_clean=*/true);
  EXPECT_TRUE(world_.broker(1).is_drained);
  v1::UndrainBrokerRequest undrain;
  undrain.set_broker_id(1);
  ASSERT_TRUE(world_.Run(undrain).ok());
  EXPECT_FALSE(world_.broker(1).is_drained);
  EXPECT_TRUE(world_.Plan(undrain)->records.empty());
}

TEST_F(DrainTest, RefusesUnknownBrokers) {
  EXPECT_THAT(Drain(9), HasReason(ErrorReason::kBrokerIdNotRegistered));
  EXPECT_THAT(Drain(-1), HasReason(ErrorReason::kInvalidRequest));
  v1::UndrainBrokerRequest undrain;
  undrain.set_broker_id(9);
  EXPECT_THAT(world_.Run(undrain), HasReason(ErrorReason::kBrokerIdNotRegistered));
  v1::GetBrokerRequest get;
  get.set_broker_id(9);
  EXPECT_THAT(world_.Read(get), HasReason(ErrorReason::kBrokerIdNotRegistered));
}

TEST_F(DrainTest, GetBrokerCountsItsPartitions) {
  v1::GetBrokerRequest get;
  get.set_broker_id(1);
  auto info = world_.Read(get)->broker();
  EXPECT_EQ(info.replica_count(), 3);
  EXPECT_EQ(info.in_sync_count(), 3);
  EXPECT_EQ(info.leader_count(), 2);
  EXPECT_FALSE(info.drained());
  world_.Fence(1);
  info = world_.Read(get)->broker();
  EXPECT_EQ(info.replica_count(), 3);
  EXPECT_EQ(info.in_sync_count(), 0);
  EXPECT_EQ(info.leader_count(), 0);
}

}  // namespace
}  // namespace kvorum
