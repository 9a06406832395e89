// Random commands, their records and the images they make. Whatever the commands: the log replayed
// from nothing, the images made step by step and an image rebuilt from its own chunks are the same;
// images that were shared stay as they were; and what must always hold of a partition holds.

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/metadata/image_text.h"
#include "server/metadata/image_writer.h"
#include "server/metadata/record_codec.h"
#include "tests/unit/metadata/random_commands.h"

namespace kvorum {
namespace {

constexpr int kSteps = 800;

std::string BytesOf(const std::shared_ptr<const MetadataImage>& image) {
  std::string bytes;
  ImageChunker chunker(image, Audience::kControllers, 4096);
  while (const auto chunk = chunker.Next()) {
    bytes += *chunk;
  }
  return bytes;
}

// What must hold of one partition (consensus rules of KIP-497, KIP-841 and KIP-966).
void CheckPartition(const MetadataImage& image, const Topic& topic, const Partition& partition) {
  const auto is_active = [&](BrokerId id) { return image.brokers().IsActive(id); };
  for (const BrokerId id : partition.isr) {
    ASSERT_TRUE(is_active(id)) << "in sync but not active: " << id.value();
  }
  ASSERT_EQ(partition.leader == kNoLeader, partition.isr.empty()) << "who is in sync may lead";
  ASSERT_TRUE(partition.leader == kNoLeader || Contains(partition.isr, partition.leader));
  if (partition.isr.size() >= MinIsr(topic, partition.replicas.size())) {
    ASSERT_TRUE(partition.elr.empty()) << "nobody else has everything";
  }
  if (partition.leader == kNoLeader) {
    ASSERT_TRUE(std::none_of(partition.elr.begin(), partition.elr.end(), is_active));
    ASSERT_FALSE(partition.elr.empty() && is_active(partition.last_known_leader));
  } else {
    ASSERT_EQ(partition.last_known_leader, kNoLeader);
  }
}

// The topic's config, else what it was created with, else the default of all brokers, else 1.
int32_t MinInsyncByTheConfigs(const MetadataImage& image, const Topic& topic) {
  constexpr std::string_view kName = "min.insync.replicas";
  const auto& configs = image.configs();
  if (const auto* own = configs.Find({v1::CONFIG_RESOURCE_TYPE_TOPIC, *topic.name, kName})) {
    return std::stoi(*own);
  }
  if (topic.ToRecord().min_insync_replicas() > 1) {
    return topic.ToRecord().min_insync_replicas();
  }
  const auto* all = configs.Find({v1::CONFIG_RESOURCE_TYPE_BROKER, "", kName});
  return all == nullptr ? 1 : std::stoi(*all);
}

// What must hold of every image, found by a walk that shares no code with the deltas.
void CheckInvariants(const MetadataImage& image) {
  const TopicsImage& topics = image.topics();
  size_t partitions = 0;
  std::map<BrokerId, BrokerLoad> loads;
  std::map<HostedTopic, int32_t> hosted;
  for (const auto& [id, topic] : topics.by_id) {
    ASSERT_EQ(topics.Find(*topic.name), &topic);
    ASSERT_EQ(topic.min_insync_replicas, MinInsyncByTheConfigs(image, topic));
    std::array<int32_t, kPartitionTraits> counts{};
    int32_t expected_index = 0;
    for (const auto& [index, partition] : topic.partitions) {
      ASSERT_EQ(index, expected_index++);
      ASSERT_NO_FATAL_FAILURE(CheckPartition(image, topic, partition)) << *topic.name << index;
      for (const BrokerId broker : partition.replicas) {
        ++loads[broker].replicas;
        loads[broker].in_sync += Contains(partition.isr, broker) ? 1 : 0;
        loads[broker].leaders += partition.leader == broker ? 1 : 0;
        ++hosted[{broker, id}];
      }
      const size_t factor = partition.replicas.size() - partition.adding.size();
      counts[0] += partition.leader == kNoLeader ? 1 : 0;
      counts[1] += partition.isr.size() < factor ? 1 : 0;
      counts[2] += partition.isr.size() <= MinIsr(topic, partition.replicas.size()) ? 1 : 0;
      counts[3] += partition.adding.empty() && partition.removing.empty() ? 0 : 1;
      counts[4] += partition.leader == partition.replicas.front() ? 0 : 1;
      ++partitions;
    }
    ASSERT_EQ(topic.counts, counts);
    for (size_t trait = 0; trait < kPartitionTraits; ++trait) {
      ASSERT_EQ(topics.with_trait[trait].Contains(id), counts[trait] > 0) << trait;
    }
  }
  ASSERT_EQ(topics.partition_count, partitions);
  ASSERT_EQ(topics.by_name.size(), topics.by_id.size());
  ASSERT_EQ(topics.loads.size(), loads.size());
  for (const auto& [broker, load] : loads) {
    ASSERT_EQ(topics.LoadOf(broker), load) << broker.value();
  }
  ASSERT_EQ(topics.hosted.size(), hosted.size());
  for (const auto& [key, count] : hosted) {
    ASSERT_EQ(*topics.hosted.Find(key), count);
  }
}

// The same for what lives beside topics and brokers.
void CheckSettings(const MetadataImage& image) {
  const EntriesImage& entries = image.entries();
  std::map<std::string, EntryUsage> usage;
  size_t owned = 0;
  for (const auto& [key, record] : entries.entries) {
    EntryUsage& of_namespace = usage[std::string(key.name_space)];
    ++of_namespace.count;
    of_namespace.bytes += static_cast<int64_t>(record->key().size() + record->value().size());
    if (record->has_owner()) {
      const BrokerId owner{record->owner().broker_id()};
      const Broker* broker = image.brokers().Find(owner);
      ASSERT_TRUE(broker != nullptr && !broker->is_fenced)
          << "an entry outlives its owner's session";
      ASSERT_EQ(image.brokers().Find(owner)->epoch.value(), record->owner().broker_epoch());
      ASSERT_TRUE(entries.owned.Contains(OwnedEntryKey{owner, key}));
      ++owned;
    }
  }
  ASSERT_EQ(entries.owned.size(), owned);
  ASSERT_EQ(entries.usage.size(), usage.size());
  EntryUsage total;
  for (const auto& [name, counted] : usage) {
    ASSERT_EQ(entries.usage.Find(name)->count, counted.count);
    ASSERT_EQ(entries.usage.Find(name)->bytes, counted.bytes);
    total = {total.count + counted.count, total.bytes + counted.bytes};
  }
  ASSERT_EQ(entries.total.count, total.count);
  ASSERT_EQ(entries.total.bytes, total.bytes);
  for (const auto& [key, record] : image.configs().configs) {
    ASSERT_TRUE(key.type != v1::CONFIG_RESOURCE_TYPE_TOPIC ||
                image.topics().Find(key.resource) != nullptr)
        << "a config outlives its topic";
  }
  ASSERT_EQ(image.acls().by_id.size(), image.acls().by_binding.size());
  for (const auto& [key, quota] : image.quotas().quotas) {
    ASSERT_FALSE(quota->limits.empty());
  }
  // What the image needs is what its records need.
  int32_t level = kMinMetadataLevel;
  ImageCursor cursor(std::make_shared<const MetadataImage>(image), Audience::kControllers);
  for (v1::MetadataRecord record; cursor.Next(record); record.Clear()) {
    level = std::max(level, MinMetadataLevel(record));
  }
  ASSERT_EQ(MetadataLevelInUse(image), level);
}

class ReplayPropertyTest : public testing::TestWithParam<uint64_t> {};

TEST_P(ReplayPropertyTest, AllWaysToAnImageGiveTheSameImage) {
  RandomCommands commands(GetParam());
  World& world = commands.world();
  std::vector<std::pair<std::shared_ptr<const MetadataImage>, std::string>> old_images;
  for (int step = 0; step < kSteps; ++step) {
    commands.Step();
    CheckInvariants(world.image());
    if (step % 5 == 0) {
      CheckSettings(world.image());
    }
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
  ImageChunker chunker(world.shared_image(), Audience::kControllers, 1000);
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
  // The first and the last of these are the controller's to write.
  std::set<v1::MetadataRecord::RecordCase> reached = {v1::MetadataRecord::kNoOp,
                                                      v1::MetadataRecord::kWriteReason};
  int transactions = 0;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    RandomCommands commands(seed);
    for (int step = 0; step < kSteps; ++step) {
      commands.Step();
    }
    transactions += commands.transactions();
    for (const auto& [offset, record] : commands.world().log()) {
      reached.insert(record.record_case());
    }
  }
  const auto* oneof = v1::MetadataRecord::descriptor()->FindOneofByName("record");
  EXPECT_EQ(static_cast<int>(reached.size()), oneof->field_count());
  EXPECT_GT(transactions, 20);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ReplayPropertyTest, testing::Range<uint64_t>(1, 21));

}  // namespace
}  // namespace kvorum
