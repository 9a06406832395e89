// What the active controller lets into the log at which level, and what a new log begins with.

#include "server/metadata/metadata_level.h"

#include <gtest/gtest.h>

#include "tests/support/requests.h"
#include "tests/unit/controller/controller_fixture.h"

namespace kvorum::controller {
namespace {

class MetadataLevelTest : public ControllerFixture {
 protected:
  static v1::AlterConfigsRequest SetConfig() {
    v1::AlterConfigsRequest request;
    v1::AlterConfigsRequest::Item& item = *request.add_resources();
    item.mutable_resource()->set_type(v1::CONFIG_RESOURCE_TYPE_BROKER);
    item.add_operations()->set_name("log.roll.ms");
    item.mutable_operations(0)->set_operation(v1::CONFIG_OPERATION_SET);
    item.mutable_operations(0)->set_value("7");
    return request;
  }
  static v1::UpdateFeaturesRequest Upgrade() {
    return UpgradeFeature(kMetadataVersionFeature, kMaxMetadataLevel);
  }
  int32_t level() { return controller().latest()->features().metadata_level(); }
};

TEST_F(MetadataLevelTest, ARecordBeyondTheFinalizedLevelIsNotWritten) {
  Activate();
  const CommandHeard refused = Submit(SetConfig());
  EXPECT_EQ(refused->reason(), ErrorReason::kUnsupportedVersion);
  EXPECT_TRUE(log.batches.empty());
  v1::AlterConfigsRequest asked = SetConfig();
  asked.mutable_options()->set_validate_only(true);
  EXPECT_EQ(Submit(asked)->reason(), ErrorReason::kUnsupportedVersion) << "nor promised";

  const CommandHeard upgraded = Submit(Upgrade());
  const CommandHeard set = Submit(SetConfig());
  CommitAll();
  EXPECT_TRUE(upgraded->is_ok()) << upgraded->status();
  EXPECT_TRUE(set->is_ok()) << set->status();
  EXPECT_EQ(committed->configs().configs.size(), 1u);
}

TEST_F(MetadataLevelTest, ANewLogBeginsAtTheNewestLevel) {
  config.bootstrap_metadata_level = kMaxMetadataLevel;
  Activate();
  EXPECT_EQ(level(), kMaxMetadataLevel);
  ASSERT_EQ(log.batches.size(), 1u);
  EXPECT_TRUE(log.batches[0].records[0].has_feature_level());
  CommitAll();
  controller().Deactivate();
  Activate();
  EXPECT_EQ(log.batches.size(), 1u) << "once";
}

TEST_F(MetadataLevelTest, ALogWithContentStaysAtItsLevel) {
  Activate();
  Submit(Put("k"));
  CommitAll();
  controller().Deactivate();
  ControllerConfig newer = config;
  newer.bootstrap_metadata_level = kMaxMetadataLevel;
  ActiveController later(newer, kGeneration, log, Random(1));
  later.Activate(now, Epoch{8}, committed);
  EXPECT_EQ(later.latest()->features().metadata_level(), kMinMetadataLevel);
}

TEST_F(MetadataLevelTest, ANewLogStaysBehindForAVoterThatIsOlder) {
  config.bootstrap_metadata_level = kMaxMetadataLevel;
  log.voters = {
      {NodeId{1}, LevelRange()}, {NodeId{2}, std::nullopt}, {NodeId{3}, LevelRange{1, 1}}};
  Activate();
  EXPECT_EQ(level(), kMinMetadataLevel);
  EXPECT_TRUE(log.batches.empty());
}

TEST_F(MetadataLevelTest, AnUpgradeAsksTheVoters) {
  Activate();
  log.voters = {{NodeId{1}, LevelRange()}, {NodeId{2}, LevelRange{1, 1}}};
  const CommandHeard refused = Submit(Upgrade());
  ASSERT_TRUE(refused->is_ok());
  EXPECT_EQ(std::get<v1::UpdateFeaturesResponse>(**refused->reply).results(0).status().reason(),
            "INVALID_UPDATE_VERSION");
  log.voters[1].levels = LevelRange();
  Submit(Upgrade());
  EXPECT_EQ(level(), kMaxMetadataLevel);
}

}  // namespace
}  // namespace kvorum::controller
