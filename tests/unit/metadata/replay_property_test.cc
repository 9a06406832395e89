// Random commands, their records and the images they make. Whatever the commands: the log replayed
// from nothing, the images made step by step and an image rebuilt from its own chunks are the same;
// images that were shared stay as they were; and what must always hold of a partition holds.

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/metadata/image_text.h"
#include "server/metadata/image_writer.h"
#include "server/metadata/record_codec.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

constexpr int kSteps = 400;

std::string BytesOf(const std::shared_ptr<const MetadataImage>& image) {
  std::string bytes;
  ImageChunker chunker(image, 4'096);
  while (const auto chunk = chunker.Next()) {
    bytes += *chunk;
  }
  return bytes;
}

class RandomCommands {
 public:
  explicit RandomCommands(uint64_t seed) : world_(seed), random_(seed + 1'000) {}

  World& world() { return world_; }

  void Step() {
    switch (random_.Below(12)) {
      case 0:
        (void)world_.Run(world_.Registration(AnyBroker()));
        break;
      case 1:
      case 2:
        world_.Unfence(AnyBroker());
        break;
      case 3:
        world_.Fence(AnyBroker());
        break;
      case 4: {
        v1::UnregisterBrokerRequest request;
        request.set_broker_id(AnyBroker());
        if (random_.OneIn(1, 4)) {
          (void)world_.Run(request);
        }
        break;
      }
      case 5:
      case 6:
        CreateTopics();
        break;
      case 7: {
        v1::DeleteTopicsRequest request;
        request.add_topics()->set_name(AnyTopic());
        (void)world_.Run(request);
        break;
      }
      case 8: {
        v1::CreatePartitionsRequest request;
        request.add_topics()->set_name(AnyTopic());
        request.mutable_topics(0)->set_new_partition_count(static_cast<int32_t>(random_.Below(9)));
        (void)world_.Run(request);
        break;
      }
      case 9:
        AlterPartitions();
        break;
      default:
        ChangeEntry();
    }
  }

 private:
  int32_t AnyBroker() { return static_cast<int32_t>(random_.Below(6)); }
  std::string AnyTopic() {
    static constexpr const char* kNames[] = {"a", "b", "c.d", "c_d", "e.f", "g"};
    return kNames[random_.Below(6)];
  }

  void CreateTopics() {
    v1::CreateTopicsRequest request;
    for (uint64_t i = 0; i <= random_.Below(3); ++i) {
      v1::NewTopic& topic = *request.add_topics();
      topic.set_name(AnyTopic());
      topic.set_partition_count(static_cast<int32_t>(random_.Below(6)));
      topic.set_replication_factor(static_cast<int32_t>(random_.Below(4)));
    }
    (void)world_.Run(request);
  }

  void AlterPartitions() {
    v1::AlterPartitionRequest request;
    request.set_broker_id(AnyBroker());
    const Broker* broker = world_.image().brokers().Find(BrokerId{request.broker_id()});
    if (broker == nullptr) {
      return;
    }
    request.set_broker_epoch(broker->epoch.value());
    for (const auto& [id, topic] : world_.image().topics().by_id) {
      for (const auto& [index, partition] : topic.partitions) {
        v1::AlterPartitionRequest::Item& item = *request.add_partitions();
        item.set_topic_id(id.ToString());
        item.set_partition_index(index);
        item.set_leader_epoch(partition.leader_epoch);
        item.set_partition_epoch(partition.partition_epoch);
        for (const BrokerId replica : partition.replicas) {
          if (replica == broker->id || random_.OneIn(1, 2)) {
            v1::IsrMember& member = *item.add_new_isr();
            member.set_broker_id(replica.value());
            member.set_broker_epoch(-1);
          }
        }
      }
    }
    (void)world_.Run(request);
  }

  void ChangeEntry() {
    const std::string key = "key/" + std::to_string(random_.Below(40));
    if (random_.OneIn(1, 3)) {
      v1::DeleteEntryRequest request;
      request.set_key(key);
      (void)world_.Run(request);
    } else {
      v1::PutEntryRequest request;
      request.set_key(key);
      request.set_value(std::string(random_.Below(50), 'v'));
      (void)world_.Run(request);
    }
  }

  World world_;
  Random random_;
};

// What must hold of every image, found by a walk that shares no code with the deltas.
void CheckInvariants(const MetadataImage& image) {
  const TopicsImage& topics = image.topics();
  size_t partitions = 0;
  size_t in_sync = 0;
  for (const auto& [id, topic] : topics.by_id) {
    ASSERT_EQ(topics.Find(*topic.name), &topic);
    int32_t leaderless = 0;
    int32_t expected_index = 0;
    for (const auto& [index, partition] : topic.partitions) {
      ASSERT_EQ(index, expected_index++);
      ASSERT_FALSE(partition.isr.empty());
      for (const BrokerId broker : partition.isr) {
        ASSERT_TRUE(topics.isr_index.Contains(IsrKey{broker, {id, index}}));
      }
      if (partition.leader != kNoLeader) {
        ASSERT_TRUE(image.brokers().IsActive(partition.leader));
        ASSERT_NE(std::find(partition.isr.begin(), partition.isr.end(), partition.leader),
                  partition.isr.end());
      } else {
        ASSERT_TRUE(std::none_of(partition.isr.begin(), partition.isr.end(), [&](BrokerId broker) {
          return image.brokers().IsActive(broker);
        })) << "someone could lead";
        ++leaderless;
      }
      ++partitions;
      in_sync += partition.isr.size();
    }
    ASSERT_EQ(topic.leaderless_count, leaderless);
  }
  ASSERT_EQ(topics.partition_count, partitions);
  ASSERT_EQ(topics.isr_index.size(), in_sync);
  ASSERT_EQ(topics.by_name.size(), topics.by_id.size());
}

class ReplayPropertyTest : public testing::TestWithParam<uint64_t> {};

TEST_P(ReplayPropertyTest, AllWaysToAnImageGiveTheSameImage) {
  RandomCommands commands(GetParam());
  World& world = commands.world();
  std::vector<std::pair<std::shared_ptr<const MetadataImage>, std::string>> old_images;
  for (int step = 0; step < kSteps; ++step) {
    commands.Step();
    CheckInvariants(world.image());
    if (HasFatalFailure()) {
      FAIL() << "step " << step << "\n" << ToText(world.image());
    }
    if (step % 40 == 0) {
      old_images.emplace_back(world.shared_image(), BytesOf(world.shared_image()));
    }
  }
  ASSERT_GT(world.log().size(), 200u);
  const std::string bytes = BytesOf(world.shared_image());

  // The log, from nothing, all in one delta.
  MetadataDelta whole{MetadataImage()};
  for (const auto& [offset, record] : world.log()) {
    whole.Replay(record, offset);
  }
  const auto replayed = whole.Apply(world.image().provenance());
  EXPECT_EQ(BytesOf(replayed), bytes);
  EXPECT_EQ(ToText(*replayed), ToText(world.image()));

  // The log through its encoding.
  MetadataDelta coded{MetadataImage()};
  for (const auto& [offset, record] : world.log()) {
    coded.Replay(DecodeRecords(EncodeRecords({record}))->front(), offset);
  }
  EXPECT_EQ(coded.Apply(world.image().provenance())->StateHash(), world.image().StateHash());

  // The image's own chunks.
  MetadataDelta snapshot{MetadataImage()};
  ImageChunker chunker(world.shared_image(), 1'000);
  while (const auto chunk = chunker.Next()) {
    const auto records = DecodeRecords(*chunk);
    ASSERT_TRUE(records.ok()) << records.status();
    for (const v1::MetadataRecord& record : *records) {
      snapshot.Replay(record, world.next_offset() - 1);
    }
  }
  const auto rebuilt = snapshot.Apply(world.image().provenance());
  EXPECT_EQ(BytesOf(rebuilt), bytes);
  EXPECT_EQ(ToText(*rebuilt), ToText(world.image()));

  for (const auto& [image, image_bytes] : old_images) {
    EXPECT_EQ(BytesOf(image), image_bytes) << "an image changed after it was shared";
  }
}

// Otherwise the property above would say little.
TEST(RandomCommandsTest, ReachEveryKindOfRecord) {
  std::set<v1::MetadataRecord::RecordCase> reached = {v1::MetadataRecord::kNoOp};
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    RandomCommands commands(seed);
    for (int step = 0; step < kSteps; ++step) {
      commands.Step();
    }
    for (const auto& [offset, record] : commands.world().log()) {
      reached.insert(record.record_case());
    }
  }
  const auto* oneof = v1::MetadataRecord::descriptor()->FindOneofByName("record");
  EXPECT_EQ(static_cast<int>(reached.size()), oneof->field_count());
}

INSTANTIATE_TEST_SUITE_P(Seeds, ReplayPropertyTest, testing::Range<uint64_t>(1, 21));

}  // namespace
}  // namespace kvorum
