#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

constexpr auto kUpgrade = v1::FEATURE_UPGRADE_TYPE_UPGRADE;
constexpr auto kSafe = v1::FEATURE_UPGRADE_TYPE_SAFE_DOWNGRADE;
constexpr auto kUnsafe = v1::FEATURE_UPGRADE_TYPE_UNSAFE_DOWNGRADE;
const std::string kMetadata = kMetadataVersionFeature;

void Add(v1::UpdateFeaturesRequest& request, const std::string& name, int32_t level,
         v1::FeatureUpgradeType type = kUpgrade) {
  v1::UpdateFeaturesRequest::Item& item = *request.add_updates();
  item.set_name(name);
  item.set_level(level);
  item.set_upgrade_type(type);
}

v1::UpdateFeaturesRequest Update(const std::string& name, int32_t level,
                                 v1::FeatureUpgradeType type = kUpgrade) {
  v1::UpdateFeaturesRequest request;
  Add(request, name, level, type);
  return request;
}

void Support(v1::RegisterBrokerRequest& request, const std::string& name, int32_t min,
             int32_t max) {
  v1::SupportedFeature& feature = *request.add_features();
  feature.set_name(name);
  feature.set_min_level(min);
  feature.set_max_level(max);
}

class FeaturesTest : public testing::Test {
 protected:
  v1::ItemStatus Run(const v1::UpdateFeaturesRequest& request) {
    const auto response = world_.Run(request);
    return response.ok() ? response->results(0).status() : v1::ItemStatus();
  }
  // A cluster at the newest level, with a broker that supports "group.version" 1 to `max`.
  void AddBroker(int32_t id, int32_t max) {
    if (world_.image().features().metadata_level() < kMaxMetadataLevel) {
      world_.Apply(BootstrapRecords(kMaxMetadataLevel));
    }
    v1::RegisterBrokerRequest request = world_.Registration(id);
    Support(request, "group.version", 1, max);
    const auto response = world_.Run(request);
    ASSERT_TRUE(response.ok()) << response.status();
  }
  int32_t Level(const std::string& name) const { return world_.image().features().LevelOf(name); }

  World world_;
};

TEST_F(FeaturesTest, ALogWithoutLevelsIsAtTheFirst) {
  EXPECT_EQ(world_.image().features().metadata_level(), 1);
  EXPECT_THAT(Run(Update(kMetadata, 1)), ItemIsOk());
  EXPECT_TRUE(world_.Plan(Update(kMetadata, 1))->records.empty());
  EXPECT_THAT(Run(Update(kMetadata, 2)), ItemIsOk());
  EXPECT_EQ(world_.image().features().metadata_level(), 2);
}

TEST_F(FeaturesTest, UnknownFeaturesAndLevelsOutOfRangeAreInvalidUpdates) {
  AddBroker(1, 3);
  for (const auto& [name, level] :
       std::vector<std::pair<std::string, int32_t>>{{"nonsense", 1},
                                                    {"", 1},
                                                    {"group.version", 4},
                                                    {"group.version", -1},
                                                    {"group.version", 40'000},
                                                    {kMetadata, 0},
                                                    {kMetadata, kMaxMetadataLevel + 1},
                                                    {kMetadata, -1}}) {
    const auto type = level <= 0 ? kSafe : kUpgrade;
    EXPECT_THAT(Run(Update(name, level, type)), ItemHasReason(ErrorReason::kInvalidUpdateVersion))
        << name << " " << level;
  }
  EXPECT_THAT(Run(Update("group.version", 3)), ItemIsOk());
}

TEST_F(FeaturesTest, EveryRegisteredBrokerMustSupportALevel) {
  AddBroker(1, 3);
  AddBroker(2, 2);
  EXPECT_THAT(Run(Update("group.version", 3)), ItemHasReason(ErrorReason::kInvalidUpdateVersion));
  EXPECT_THAT(Run(Update("group.version", 2)), ItemIsOk());
  ASSERT_TRUE(world_.Run(Update("group.version", 0, kUnsafe)).ok());
  ASSERT_TRUE(world_.Run(world_.Registration(3)).ok());  // says nothing: level 0 only
  EXPECT_THAT(Run(Update("group.version", 1)), ItemHasReason(ErrorReason::kInvalidUpdateVersion));
  v1::UnregisterBrokerRequest gone;
  gone.set_broker_id(3);
  ASSERT_TRUE(world_.Run(gone).ok());
  EXPECT_THAT(Run(Update("group.version", 1)), ItemIsOk());
}

TEST_F(FeaturesTest, EveryVoterMustSupportAMetadataLevelAndHaveSaidSo) {
  world_.voters() = {{NodeId{1}, LevelRange{1, 2}}, {NodeId{2}, std::nullopt}};
  EXPECT_THAT(Run(Update(kMetadata, 2)), ItemHasReason(ErrorReason::kInvalidUpdateVersion));
  world_.voters()[1].levels = LevelRange{1, 1};
  EXPECT_THAT(Run(Update(kMetadata, 2)), ItemHasReason(ErrorReason::kInvalidUpdateVersion));
  world_.voters()[1].levels = LevelRange{1, 2};
  EXPECT_THAT(Run(Update(kMetadata, 2)), ItemIsOk());
}

TEST_F(FeaturesTest, ABrokerThatSaysItReadsOnlyTheFirstLevelKeepsTheLogThere) {
  world_.Apply(BootstrapRecords(1));
  v1::MetadataRecord record;
  *record.mutable_register_broker() = [&] {
    v1::RegisterBrokerRecord broker;
    broker.set_incarnation_id(std::string(16, 'i'));
    broker.set_broker_epoch(world_.next_offset().value());
    v1::SupportedFeature& feature = *broker.add_features();
    feature.set_name(kMetadata);
    feature.set_min_level(1);
    feature.set_max_level(1);
    return broker;
  }();
  world_.Apply({record});
  EXPECT_THAT(Run(Update(kMetadata, 2)), ItemHasReason(ErrorReason::kInvalidUpdateVersion));
}

TEST_F(FeaturesTest, ABrokerThatDoesNotTellFollowsAnyMetadataLevel) {
  ASSERT_TRUE(world_.Run(world_.Registration(1)).ok());
  EXPECT_THAT(Run(Update(kMetadata, kMaxMetadataLevel)), ItemIsOk());
  EXPECT_TRUE(world_.Run(world_.Registration(2)).ok());
}

TEST_F(FeaturesTest, DowngradesMustBeAskedFor) {
  AddBroker(1, 3);
  ASSERT_THAT(Run(Update("group.version", 3)), ItemIsOk());
  EXPECT_THAT(Run(Update("group.version", 2)), ItemHasReason(ErrorReason::kInvalidUpdateVersion));
  EXPECT_THAT(Run(Update("group.version", 2, kSafe)), ItemIsOk());
  EXPECT_THAT(Run(Update("group.version", 3, kSafe)),
              ItemHasReason(ErrorReason::kInvalidUpdateVersion))
      << "nor may one go up";
  EXPECT_THAT(Run(Update("group.version", 0, kUnsafe)), ItemIsOk());
  EXPECT_EQ(Level("group.version"), 0);
  for (const auto type :
       {v1::FEATURE_UPGRADE_TYPE_UNSPECIFIED, static_cast<v1::FeatureUpgradeType>(9)}) {
    EXPECT_THAT(Run(Update("group.version", 1, type)), ItemHasReason(ErrorReason::kInvalidRequest));
  }
}

TEST_F(FeaturesTest, MetadataGoesDownOnlyWhereNothingIsLost) {
  ASSERT_THAT(Run(Update(kMetadata, 2)), ItemIsOk());
  EXPECT_THAT(Run(Update(kMetadata, 1, kUnsafe)),
              ItemHasReason(ErrorReason::kInvalidUpdateVersion));
  v1::PutEntryRequest put;
  put.set_namespace_("n");
  put.set_key("k");
  ASSERT_TRUE(world_.Run(put).ok());
  EXPECT_THAT(Run(Update(kMetadata, 1, kSafe)), ItemHasReason(ErrorReason::kInvalidUpdateVersion));
  v1::DeleteEntryRequest remove;
  remove.set_namespace_("n");
  remove.set_key("k");
  ASSERT_TRUE(world_.Run(remove).ok());
  EXPECT_THAT(Run(Update(kMetadata, 1, kSafe)), ItemIsOk());
  EXPECT_EQ(world_.image().features().metadata_level(), 1);
}

TEST_F(FeaturesTest, OtherFeaturesDependOnTheMetadataLevel) {
  AddBroker(1, 3);
  v1::MetadataRecord first;
  first.mutable_feature_level()->set_name(kMetadata);
  first.mutable_feature_level()->set_level(1);
  world_.Apply({first});
  EXPECT_THAT(Run(Update("group.version", 1)), ItemHasReason(ErrorReason::kInvalidUpdateVersion));
  v1::UpdateFeaturesRequest both = Update("group.version", 1);
  Add(both, kMetadata, 2);
  const auto result = world_.Plan(both);
  ASSERT_EQ(result->records.size(), 2u);
  EXPECT_EQ(result->records[0].feature_level().name(), kMetadata) << "first what the other needs";
  EXPECT_TRUE(CheckLevelAllows(result->records, 1).ok());
}

TEST_F(FeaturesTest, AnUpdateIsAllOrNothing) {
  AddBroker(1, 3);
  v1::UpdateFeaturesRequest request = Update("group.version", 1);
  Add(request, "nonsense", 1);
  const auto result = world_.Plan(request);
  EXPECT_TRUE(result->records.empty());
  EXPECT_THAT(result->response.results(0).status(), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(result->response.results(1).status(),
              ItemHasReason(ErrorReason::kInvalidUpdateVersion));
}

TEST_F(FeaturesTest, LimitsOfARequestAndOfTheCluster) {
  AddBroker(1, 3);
  EXPECT_THAT(world_.Run(v1::UpdateFeaturesRequest()), HasReason(ErrorReason::kInvalidRequest));
  v1::UpdateFeaturesRequest many;
  for (int i = 0; i <= kMaxFeaturesPerRequest; ++i) {
    Add(many, "f", 1);
  }
  EXPECT_THAT(world_.Run(many), HasReason(ErrorReason::kPolicyViolation));
  v1::UpdateFeaturesRequest twice = Update("group.version", 1);
  Add(twice, "group.version", 2);
  EXPECT_THAT(Run(twice), ItemHasReason(ErrorReason::kInvalidRequest));
  world_.limits().max_features = 1;
  EXPECT_THAT(Run(Update("group.version", 1)), ItemHasReason(ErrorReason::kLimitExceeded));
}

TEST_F(FeaturesTest, DescribeTellsWhatIsFinalizedAndWhatAllSupport) {
  AddBroker(1, 3);
  AddBroker(2, 2);
  ASSERT_THAT(Run(Update("group.version", 1)), ItemIsOk());
  const auto response = world_.Read(v1::DescribeFeaturesRequest());
  ASSERT_EQ(response->features_size(), 2);
  EXPECT_EQ(response->features(0).name(), "group.version");
  EXPECT_EQ(response->features(0).finalized_level(), 1);
  EXPECT_EQ(response->features(0).min_supported_level(), 1);
  EXPECT_EQ(response->features(0).max_supported_level(), 2);
  EXPECT_EQ(response->features(1).name(), kMetadata);
  EXPECT_EQ(response->features(1).finalized_level(), kMaxMetadataLevel);
  EXPECT_EQ(response->features(1).max_supported_level(), kMaxMetadataLevel);
}

TEST_F(FeaturesTest, ABrokerThatCannotWorkAtTheFinalizedLevelsIsNotRegistered) {
  AddBroker(1, 3);
  ASSERT_THAT(Run(Update("group.version", 3)), ItemIsOk());
  EXPECT_THAT(world_.Run(world_.Registration(2)), HasReason(ErrorReason::kUnsupportedVersion));
  v1::RegisterBrokerRequest request = world_.Registration(2);
  Support(request, "group.version", 1, 2);
  EXPECT_THAT(world_.Run(request), HasReason(ErrorReason::kUnsupportedVersion));
  request.mutable_features(0)->set_max_level(4);
  Support(request, kMetadata, 1, 1);
  EXPECT_THAT(world_.Run(request), HasReason(ErrorReason::kUnsupportedVersion));
  request.mutable_features(1)->set_max_level(kMaxMetadataLevel);
  EXPECT_TRUE(world_.Run(request).ok());
}

TEST_F(FeaturesTest, ABrokerThatIsBeyondAFinalizedLevelIsNotRegistered) {
  AddBroker(1, 3);
  ASSERT_THAT(Run(Update("group.version", 3)), ItemIsOk());
  v1::RegisterBrokerRequest request = world_.Registration(2);
  Support(request, "group.version", 4, 5);
  EXPECT_THAT(world_.Run(request), HasReason(ErrorReason::kUnsupportedVersion));
  request.mutable_features(0)->set_min_level(3);
  EXPECT_TRUE(world_.Run(request).ok());
}

TEST_F(FeaturesTest, WhatABrokerSaysItSupportsMustBeSound) {
  std::vector<v1::RegisterBrokerRequest> bad(5, world_.Registration(1));
  Support(bad[0], "", 0, 1);
  Support(bad[1], "f", 2, 1);
  Support(bad[2], "f", -1, 1);
  Support(bad[3], "f", 0, 32'768);
  Support(bad[4], "f", 0, 1);
  Support(bad[4], "f", 0, 1);
  for (size_t i = 0; i < bad.size(); ++i) {
    EXPECT_THAT(world_.Run(bad[i]), HasReason(ErrorReason::kInvalidRequest)) << i;
  }
  v1::RegisterBrokerRequest many = world_.Registration(1);
  for (int i = 0; i <= kMaxFeaturesPerRequest; ++i) {
    Support(many, std::to_string(i), 0, 1);
  }
  EXPECT_THAT(world_.Run(many), HasReason(ErrorReason::kInvalidRequest));
}

TEST_F(FeaturesTest, TheFirstLevelHasNoRoomForABrokersFeatures) {
  v1::RegisterBrokerRequest request = world_.Registration(1);
  Support(request, "b", 1, 3);
  Support(request, "a", 1, 3);
  ASSERT_TRUE(world_.Run(request).ok());
  EXPECT_TRUE(world_.image().brokers().Find(BrokerId{1})->features.empty());
  ASSERT_THAT(Run(Update(kMetadata, 2)), ItemIsOk());
  ASSERT_TRUE(world_.Run(request).ok());  // the same incarnation says it again
  const Broker& broker = *world_.image().brokers().Find(BrokerId{1});
  ASSERT_EQ(broker.features.size(), 2u);
  EXPECT_EQ(broker.features[0].name(), "a") << "by name, whatever the order of the request";
  request.mutable_features()->SwapElements(0, 1);
  EXPECT_TRUE(world_.Plan(request)->records.empty());
}

// --- the level of each record ---

TEST(MetadataLevelTest, RecordsAreRefusedBelowTheirLevel) {
  v1::MetadataRecord config;
  config.mutable_config()->set_name("retention.ms");
  EXPECT_THAT(CheckLevelAllows({config}, 1), HasReason(ErrorReason::kUnsupportedVersion));
  EXPECT_TRUE(CheckLevelAllows({config}, 2).ok());
  v1::MetadataRecord entry;
  entry.mutable_entry()->set_key("k");
  EXPECT_TRUE(CheckLevelAllows({entry}, 1).ok());
  entry.mutable_entry()->set_namespace_("n");
  EXPECT_THAT(CheckLevelAllows({entry}, 1), HasReason(ErrorReason::kUnsupportedVersion));
  entry.mutable_entry()->clear_namespace_();
  entry.mutable_entry()->mutable_owner();
  EXPECT_THAT(CheckLevelAllows({entry}, 1), HasReason(ErrorReason::kUnsupportedVersion));
  EXPECT_TRUE(CheckLevelAllows(BootstrapRecords(2), 1).ok());
  std::vector<v1::MetadataRecord> records = BootstrapRecords(2);
  records.push_back(config);
  EXPECT_TRUE(CheckLevelAllows(records, 1).ok()) << "what comes before raises it";
}

TEST(MetadataLevelTest, NoRecordNeedsMoreThanThisReleaseHas) {
  const auto* oneof = v1::MetadataRecord::descriptor()->FindOneofByName("record");
  int beyond_first = 0;
  for (int i = 0; i < oneof->field_count(); ++i) {
    v1::MetadataRecord record;
    record.GetReflection()->MutableMessage(&record, oneof->field(i));
    const int32_t level = MinMetadataLevel(record);
    EXPECT_GE(level, kMinMetadataLevel);
    EXPECT_LE(level, kMaxMetadataLevel);
    beyond_first += level > kMinMetadataLevel ? 1 : 0;
  }
  EXPECT_GE(beyond_first, 10);
}

TEST(FeaturesDeltaDeathTest, RefusesRecordsThatCannotApply) {
  World world;
  v1::MetadataRecord record;
  record.mutable_feature_level()->set_name("f");
  EXPECT_EXIT(world.Apply({record}), testing::ExitedWithCode(70), "offset 1: not finalized");
}

}  // namespace
}  // namespace kvorum
