#include "client/metadata_cache.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/client/fake_controller.h"

namespace kvorum::client {
namespace {

using testing::At;

const std::string kTopicId(16, 't');

v1::MetadataRecord Topic(const std::string& name, const std::string& id = kTopicId) {
  v1::MetadataRecord record;
  record.mutable_topic()->set_topic_id(id);
  record.mutable_topic()->set_name(name);
  return record;
}

v1::MetadataRecord Partition(int32_t index, int32_t leader) {
  v1::MetadataRecord record;
  record.mutable_partition()->set_topic_id(kTopicId);
  record.mutable_partition()->set_partition_index(index);
  record.mutable_partition()->add_replicas(leader);
  record.mutable_partition()->add_isr(leader);
  record.mutable_partition()->set_leader(leader);
  return record;
}

v1::MetadataRecord PartitionChange(int32_t index, int32_t leader, int32_t partition_epoch) {
  v1::MetadataRecord record;
  record.mutable_partition_change()->set_topic_id(kTopicId);
  record.mutable_partition_change()->set_partition_index(index);
  record.mutable_partition_change()->set_leader(leader);
  record.mutable_partition_change()->set_partition_epoch(partition_epoch);
  return record;
}

v1::MetadataRecord Broker(int32_t id, int64_t epoch) {
  v1::MetadataRecord record;
  record.mutable_register_broker()->set_broker_id(id);
  record.mutable_register_broker()->set_broker_epoch(epoch);
  record.mutable_register_broker()->set_fenced(true);
  return record;
}

v1::MetadataRecord Fence(int32_t id, int64_t epoch, bool fenced) {
  v1::MetadataRecord record;
  record.mutable_broker_registration_change()->set_broker_id(id);
  record.mutable_broker_registration_change()->set_broker_epoch(epoch);
  record.mutable_broker_registration_change()->set_fenced(fenced);
  return record;
}

v1::MetadataRecord Entry(const std::string& key, const std::string& value, int64_t version) {
  v1::MetadataRecord record;
  record.mutable_entry()->set_key(key);
  record.mutable_entry()->set_value(value);
  record.mutable_entry()->set_version(version);
  return record;
}

v1::MetadataRecord RemoveEntry(const std::string& key) {
  v1::MetadataRecord record;
  record.mutable_remove_entry()->set_key(key);
  return record;
}

v1::MetadataRecord RemoveTopic(const std::string& name) {
  v1::MetadataRecord record;
  record.mutable_remove_topic()->set_topic_id(kTopicId);
  record.mutable_remove_topic()->set_name(name);
  return record;
}

class MetadataCacheTest : public ::testing::Test {
 protected:
  std::optional<ApplyError> Commit(const std::vector<v1::MetadataRecord>& records) {
    CommittedRecords commit;
    commit.from = cache_.position().offset();
    commit.to = At(commit.from + static_cast<int64_t>(records.size()), 1);
    commit.records.Assign(records.begin(), records.end());
    return cache_.OnCommit(commit);
  }

  MetadataCache cache_;
};

TEST_F(MetadataCacheTest, AppliesEveryKindOfRecord) {
  ASSERT_FALSE(Commit({Broker(1, 0), Fence(1, 0, false), Topic("orders"), Partition(0, 1),
                       Partition(1, 1), PartitionChange(1, 2, 1), Entry("k", "v", 6)}));
  const auto snapshot = cache_.Snapshot();
  EXPECT_EQ(snapshot->position.offset(), 7);
  EXPECT_FALSE(snapshot->brokers.at(1).fenced);
  EXPECT_EQ(snapshot->topics.at("orders")->partitions.at(0).leader, 1);
  EXPECT_EQ(snapshot->topics.at("orders")->partitions.at(1).leader, 2);
  EXPECT_EQ(snapshot->entries.at("k")->value, "v");
}

TEST_F(MetadataCacheTest, LeavesASnapshotAloneWhenTheCacheMovesOn) {
  ASSERT_FALSE(Commit({Topic("orders"), Partition(0, 1)}));
  const auto before = cache_.Snapshot();
  ASSERT_FALSE(Commit({PartitionChange(0, 5, 1)}));
  EXPECT_EQ(before->topics.at("orders")->partitions.at(0).leader, 1);
  EXPECT_EQ(cache_.Snapshot()->topics.at("orders")->partitions.at(0).leader, 5);
  EXPECT_NE(before->digest, cache_.digest());
}

TEST_F(MetadataCacheTest, ComesBackToTheSameDigestWithTheSameContents) {
  const uint64_t empty = cache_.digest();
  ASSERT_FALSE(Commit({Topic("orders"), Partition(0, 1), Entry("k", "v", 2)}));
  EXPECT_NE(cache_.digest(), empty);
  ASSERT_FALSE(Commit({RemoveTopic("orders"), RemoveEntry("k")}));
  EXPECT_EQ(cache_.digest(), empty);
  EXPECT_TRUE(cache_.Snapshot()->topics.empty());
}

TEST_F(MetadataCacheTest, HasTheSameDigestBySnapshotAndByCommits) {
  ASSERT_FALSE(Commit({Broker(1, 0), Fence(1, 0, false), Topic("orders"), Partition(0, 1)}));
  v1::MetadataRecord broker = Broker(1, 0);
  broker.mutable_register_broker()->set_fenced(false);
  Records records;
  for (const v1::MetadataRecord& record : {Topic("orders"), Partition(0, 1), broker}) {
    *records.Add() = record;
  }
  MetadataCache other;
  other.OnSnapshotBegin();
  ASSERT_FALSE(other.OnSnapshotRecords(records));
  EXPECT_NE(other.digest(), cache_.digest());
  other.OnSnapshotEnd(At(4, 1));
  EXPECT_EQ(other.digest(), cache_.digest());
}

TEST_F(MetadataCacheTest, KeepsTheOldStateUntilASnapshotIsComplete) {
  ASSERT_FALSE(Commit({Entry("old", "v", 0)}));
  Records records;
  *records.Add() = Entry("new", "v", 9);
  cache_.OnReset({});
  cache_.OnSnapshotBegin();
  ASSERT_FALSE(cache_.OnSnapshotRecords(records));
  EXPECT_TRUE(cache_.Snapshot()->entries.contains("old"));
  // The stream broke; the next one brings another snapshot.
  cache_.OnSnapshotBegin();
  ASSERT_FALSE(cache_.OnSnapshotRecords(records));
  cache_.OnSnapshotEnd(At(10, 1));
  EXPECT_FALSE(cache_.Snapshot()->entries.contains("old"));
  EXPECT_TRUE(cache_.Snapshot()->entries.contains("new"));
}

TEST_F(MetadataCacheTest, StopsAtARecordItDoesNotKnow) {
  ASSERT_FALSE(Commit({Entry("k", "v", 0)}));
  const auto before = cache_.Snapshot();
  const auto error = Commit({Entry("k", "w", 1), v1::MetadataRecord()});
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->offset, 2);
  EXPECT_FALSE(cache_.error().empty());
  EXPECT_EQ(cache_.Snapshot(), before);
}

TEST_F(MetadataCacheTest, RefusesRecordsThatDoNotFit) {
  const std::vector<v1::MetadataRecord> misfits = {
      Fence(1, 0, true),     Partition(0, 1),  PartitionChange(0, 1, 1),
      RemoveTopic("orders"), RemoveEntry("k"),
  };
  for (const v1::MetadataRecord& record : misfits) {
    MetadataCache cache;
    CommittedRecords commit;
    *commit.records.Add() = record;
    EXPECT_TRUE(cache.OnCommit(commit).has_value()) << record.ShortDebugString();
  }
}

TEST_F(MetadataCacheTest, ConfigsGoWithATopicThatAFilterLeavesOut) {
  v1::MetadataRecord config;
  config.mutable_config()->set_resource_type(v1::CONFIG_RESOURCE_TYPE_TOPIC);
  config.mutable_config()->set_resource_name("orders");
  config.mutable_config()->set_name("cleanup.policy");
  config.mutable_config()->set_value("compact");
  const uint64_t empty = cache_.digest();
  CommittedRecords commit;
  *commit.records.Add() = config;
  commit.offsets = {3};
  ASSERT_FALSE(cache_.OnCommit(commit).has_value());
  EXPECT_EQ(cache_.Snapshot()->settings->configs.size(), 1u);
  commit.records.Clear();
  *commit.records.Add() = RemoveTopic("orders");
  ASSERT_FALSE(cache_.OnCommit(commit).has_value());
  EXPECT_EQ(cache_.digest(), empty) << "the topic was removed";

  commit.records.Clear();
  *commit.records.Add() = config;
  ASSERT_FALSE(cache_.OnCommit(commit).has_value());
  CommittedRecords left;
  left.left_scope.Add()->set_topic_id(kTopicId);
  left.left_scope.Mutable(0)->set_topic_name("orders");
  ASSERT_FALSE(cache_.OnCommit(left).has_value());
  EXPECT_EQ(cache_.digest(), empty) << "the topic left the scope";
}

TEST_F(MetadataCacheTest, APartitionThatLeftTheScopeIsGoneAndItsTopicStays) {
  std::vector<MetadataChanges> told;
  cache_.AddListener([&](const MetadataChanges& changes) { told.push_back(changes); });
  ASSERT_FALSE(Commit({Topic("orders"), Partition(0, 1)}).has_value());
  const uint64_t before = cache_.digest();
  ASSERT_FALSE(Commit({Partition(1, 1)}).has_value());
  ASSERT_NE(cache_.digest(), before);
  told.clear();

  CommittedRecords left;
  left.from = 3;
  left.to = At(5, 1);
  left.left_scope.Add()->set_topic_id(kTopicId);
  left.left_scope.Mutable(0)->set_partition_index(1);
  ASSERT_FALSE(cache_.OnCommit(left).has_value());
  EXPECT_EQ(cache_.digest(), before);
  const auto snapshot = cache_.Snapshot();
  EXPECT_EQ(snapshot->position.offset(), 5);
  ASSERT_TRUE(snapshot->topics.contains("orders"));
  EXPECT_TRUE(snapshot->topics.at("orders")->partitions.contains(0));
  EXPECT_FALSE(snapshot->topics.at("orders")->partitions.contains(1));
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].topics, std::set<std::string>{"orders"});
}

TEST_F(MetadataCacheTest, RefusesVersionsThatGoBack) {
  ASSERT_FALSE(Commit({Entry("k", "v", 5)}));
  EXPECT_TRUE(Commit({Entry("k", "w", 5)}).has_value());
}

TEST_F(MetadataCacheTest, TellsListenersWhatEachCommitChanged) {
  std::vector<MetadataChanges> told;
  cache_.AddListener([&](const MetadataChanges& changes) {
    EXPECT_GE(cache_.Snapshot()->position.offset(), changes.position.offset())
        << "what is told can be looked up";
    told.push_back(changes);
  });
  cache_.OnSnapshotBegin();
  cache_.OnSnapshotEnd(At(10, 1));
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].everything);

  const auto last = [&]() -> const MetadataChanges& { return told.back(); };
  ASSERT_FALSE(Commit({Topic("orders"), Partition(0, 1), Broker(4, 11)}).has_value());
  EXPECT_EQ(last().topics, std::set<std::string>{"orders"});
  EXPECT_EQ(last().brokers, std::set<int32_t>{4});
  EXPECT_FALSE(last().settings);
  ASSERT_FALSE(Commit({PartitionChange(0, 2, 1)}).has_value());
  EXPECT_EQ(last().topics, std::set<std::string>{"orders"})
      << "by name, though the record has the id";
  ASSERT_FALSE(Commit({Entry("a", "1", 20), RemoveTopic("orders")}).has_value());
  EXPECT_EQ(last().entries, (std::set<std::pair<std::string, std::string>>{{"", "a"}}));
  EXPECT_EQ(last().topics, std::set<std::string>{"orders"});
  EXPECT_FALSE(cache_.Snapshot()->topics.contains("orders"));
  v1::MetadataRecord feature;
  feature.mutable_feature_level()->set_name("metadata.version");
  feature.mutable_feature_level()->set_level(1);
  ASSERT_FALSE(Commit({feature}).has_value());
  EXPECT_TRUE(last().settings);

  const size_t count = told.size();
  ASSERT_FALSE(Commit({}).has_value());
  EXPECT_EQ(told.size(), count) << "a control batch changes nothing";
  EXPECT_TRUE(Commit({RemoveEntry("unknown")}).has_value());
  EXPECT_EQ(told.size(), count) << "nor does what was refused";
}

TEST_F(MetadataCacheTest, WhoWaitsForAPositionIsWokenByABookmarkToo) {
  cache_.OnSnapshotBegin();
  cache_.OnSnapshotEnd(At(10, 1));
  std::thread bookmark([&] {
    v1::Bookmark later;
    *later.mutable_position() = At(15, 1);
    cache_.OnBookmark(later);
  });
  EXPECT_TRUE(cache_.AwaitPosition(At(15, 1), std::chrono::seconds(20)));
  bookmark.join();
}

TEST_F(MetadataCacheTest, MovesItsPositionAtABookmark) {
  v1::Bookmark bookmark;
  *bookmark.mutable_position() = At(17, 3);
  cache_.OnBookmark(bookmark);
  EXPECT_EQ(cache_.Snapshot()->position.offset(), 17);
}

}  // namespace
}  // namespace kvorum::client
