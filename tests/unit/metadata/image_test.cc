// Images, their chunks and their text.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metadata/image_text.h"
#include "server/metadata/image_writer.h"
#include "server/metadata/record_codec.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

void FillSmall(World& world) {
  world.AddBrokers({2, 1}, {"", "r1"});
  world.AddTopic("t.1", {{1, 2}, {2, 1}});
  v1::PutEntryRequest put;
  put.set_key("k");
  put.set_value("v");
  ASSERT_TRUE(world.Run(put).ok());
}

TEST(MetadataImageTest, TheEmptyImageHasHashZeroAndNoChunks) {
  EXPECT_EQ(MetadataImage::Empty()->StateHash(), 0u);
  EXPECT_EQ(MetadataImage::Empty()->provenance(), Provenance());
  EXPECT_EQ(ImageChunker(MetadataImage::Empty(), Audience::kControllers, 100).Next(), std::nullopt);
}

TEST(MetadataImageTest, UnchangedDomainsAreShared) {
  World world;
  FillSmall(world);
  const auto before = world.shared_image();
  v1::PutEntryRequest put;
  put.set_key("k2");
  ASSERT_TRUE(world.Run(put).ok());
  EXPECT_EQ(before->domains().brokers, world.image().domains().brokers);
  EXPECT_EQ(before->domains().topics, world.image().domains().topics);
  EXPECT_NE(before->domains().entries, world.image().domains().entries);
  EXPECT_EQ(before->entries().Find("k2"), nullptr);
}

TEST(MetadataImageTest, TheHashForgetsWhatIsGone) {
  World world;
  FillSmall(world);
  const uint64_t hash = world.image().StateHash();
  v1::PutEntryRequest put;
  put.set_key("k2");
  ASSERT_TRUE(world.Run(put).ok());
  EXPECT_NE(world.image().StateHash(), hash);
  v1::DeleteEntryRequest remove;
  remove.set_key("k2");
  ASSERT_TRUE(world.Run(remove).ok());
  EXPECT_EQ(world.image().StateHash(), hash);
}

TEST(MetadataDeltaTest, ApplyMayBeCalledAgainAfterMore) {
  MetadataDelta delta{MetadataImage()};
  v1::MetadataRecord record;
  record.mutable_entry()->set_key("a");
  record.mutable_entry()->set_version(1);
  delta.Replay(record, Offset{1});
  const auto first = delta.Apply(Provenance{Offset{2}, Epoch{1}, 5});
  record.mutable_entry()->set_key("b");
  record.mutable_entry()->set_version(2);
  delta.Replay(record, Offset{2});
  const auto second = delta.Apply(Provenance{Offset{3}, Epoch{1}, 6});
  EXPECT_EQ(first->entries().entries.size(), 1u);
  EXPECT_EQ(second->entries().entries.size(), 2u);
  EXPECT_EQ(second->provenance().end_offset, Offset{3});
}

TEST(MetadataDeltaTest, ANoOpMovesTheProvenanceOnly) {
  World world;
  FillSmall(world);
  const auto before = world.shared_image();
  v1::MetadataRecord record;
  record.mutable_no_op();
  world.Apply({record});
  EXPECT_EQ(world.image().StateHash(), before->StateHash());
  EXPECT_EQ(world.image().provenance().end_offset, before->provenance().end_offset + 1);
}

TEST(ImageChunkerTest, ChunksKeepTheirLimitAndJoinToTheWhole) {
  World world;
  FillSmall(world);
  v1::PutEntryRequest put;
  put.set_key("large");
  put.set_value(std::string(1'000, 'v'));
  ASSERT_TRUE(world.Run(put).ok());

  std::string whole;
  ImageChunker one(world.shared_image(), Audience::kControllers, 1 << 20);
  whole = *one.Next();
  EXPECT_EQ(one.Next(), std::nullopt);

  std::string joined;
  int chunks = 0;
  ImageChunker many(world.shared_image(), Audience::kControllers, 100);
  while (const auto chunk = many.Next()) {
    const auto records = DecodeRecords(*chunk);
    ASSERT_TRUE(records.ok());
    EXPECT_TRUE(chunk->size() <= 100 || records->size() == 1) << chunk->size();
    joined += *chunk;
    ++chunks;
  }
  EXPECT_EQ(joined, whole);
  EXPECT_GT(chunks, 3);
}

TEST(ImageChunkerTest, WritesBrokersTopicsEntriesEachByKey) {
  World world;
  FillSmall(world);
  const auto records =
      DecodeRecords(*ImageChunker(world.shared_image(), Audience::kControllers, 1 << 20).Next());
  std::vector<v1::MetadataRecord::RecordCase> kinds;
  for (const v1::MetadataRecord& record : *records) {
    kinds.push_back(record.record_case());
  }
  using Kind = v1::MetadataRecord;
  EXPECT_THAT(kinds,
              testing::ElementsAre(Kind::kRegisterBroker, Kind::kRegisterBroker, Kind::kTopic,
                                   Kind::kPartition, Kind::kPartition, Kind::kEntry));
  EXPECT_EQ((*records)[0].register_broker().broker_id(), 1);
}

// consensus.md 6.9: features first, so that a reader knows what language follows.
TEST(ImageChunkerTest, WritesDomainsInTheOrderInWhichTheyNeedEachOther) {
  World world;
  world.Apply(BootstrapRecords(kMaxMetadataLevel));
  FillSmall(world);
  const std::string topic = *world.image().topics().by_name.begin()->value.name;
  std::vector<v1::MetadataRecord> settings(5);
  settings[0].mutable_user_scram_credential()->set_user("alice");
  settings[0].mutable_user_scram_credential()->set_mechanism(v1::SCRAM_MECHANISM_SHA_256);
  settings[1].mutable_access_control_entry()->set_id("0123456789abcdef");
  settings[1].mutable_access_control_entry()->mutable_binding();
  settings[2].mutable_producer_ids()->set_next_producer_id(1'000);
  settings[3].mutable_client_quota()->add_entity()->set_type(v1::QUOTA_ENTITY_TYPE_USER);
  settings[3].mutable_client_quota()->set_key("request_percentage");
  settings[3].mutable_client_quota()->set_value(1);
  settings[4].mutable_config()->set_resource_type(v1::CONFIG_RESOURCE_TYPE_TOPIC);
  settings[4].mutable_config()->set_resource_name(topic);
  settings[4].mutable_config()->set_name("retention.ms");
  world.Apply(settings);
  std::vector<v1::MetadataRecord::RecordCase> kinds;
  ImageCursor cursor(world.shared_image(), Audience::kControllers);
  for (v1::MetadataRecord record; cursor.Next(record);) {
    if (kinds.empty() || kinds.back() != record.record_case()) {
      kinds.push_back(record.record_case());
    }
  }
  using Kind = v1::MetadataRecord;
  EXPECT_THAT(kinds, testing::ElementsAre(Kind::kFeatureLevel, Kind::kRegisterBroker, Kind::kTopic,
                                          Kind::kPartition, Kind::kConfig, Kind::kClientQuota,
                                          Kind::kProducerIds, Kind::kAccessControlEntry,
                                          Kind::kUserScramCredential, Kind::kEntry));
}

TEST(ImageChunkerTest, OutlivesWhoeverMadeTheImage) {
  auto world = std::make_unique<World>();
  FillSmall(*world);
  ImageChunker chunker(world->shared_image(), Audience::kControllers, 1);
  world.reset();
  int chunks = 0;
  while (chunker.Next().has_value()) {
    ++chunks;
  }
  EXPECT_EQ(chunks, 6);
}

TEST(ImageTextTest, ShowsOneEntityPerLine) {
  World world;
  FillSmall(world);
  world.Fence(2);
  const std::string text = ToText(world.image());
  EXPECT_THAT(text, testing::HasSubstr("broker 1 epoch=3"));
  EXPECT_THAT(text, testing::HasSubstr(" unfenced rack=r1 PLAINTEXT=broker-1:9092\n"));
  EXPECT_THAT(text, testing::HasSubstr("topic t.1 id="));
  EXPECT_THAT(text, testing::HasSubstr("partition 0 replicas=1,2 isr=1 leader=1 leader_epoch=0 "
                                       "partition_epoch=1\n"));
  EXPECT_THAT(text, testing::HasSubstr("partition 1 replicas=2,1 isr=1 leader=1 leader_epoch=1 "
                                       "partition_epoch=1\n"));
  EXPECT_THAT(text, testing::HasSubstr("entry k version=8 bytes=1\n"));
}

}  // namespace
}  // namespace kvorum
