// Filtered subscribers (api.md §5): what they hold is at each of their positions exactly what the
// filter lets through of the whole metadata there.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/base/random.h"
#include "server/metadata/image_writer.h"
#include "tests/unit/publish/publisher_fixture.h"

namespace kvorum::publish {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Things by name: "topic a", "partition <id>/0" and so on, each as the record that makes it.
using Things = std::map<std::string, std::string>;

std::string Hex(const std::string& bytes) { return Uuid::FromBytes(bytes)->ToString(); }

// With all that goes with it.
void RemoveTopic(const std::string& id, const std::string& name, Things& things) {
  things.erase("topic " + Hex(id));
  std::erase_if(things, [&](const auto& thing) {
    return thing.first.starts_with("partition " + Hex(id) + "/") ||
           thing.first.starts_with("config " + name + "/");
  });
}

void Apply(const v1::MetadataRecord& record, Things& things) {
  using Case = v1::MetadataRecord;
  const auto partition_name = [](const auto& partition) {
    return fmt::format("partition {}/{}", Hex(partition.topic_id()), partition.partition_index());
  };
  switch (record.record_case()) {
    case Case::kTopic:
      things["topic " + Hex(record.topic().topic_id())] = record.SerializeAsString();
      return;
    case Case::kRemoveTopic:
      RemoveTopic(record.remove_topic().topic_id(), record.remove_topic().name(), things);
      return;
    case Case::kConfig:
      things[fmt::format("config {}/{}", record.config().resource_name(), record.config().name())] =
          record.SerializeAsString();
      return;
    case Case::kRemoveConfig: {
      const v1::RemoveConfigRecord& config = record.remove_config();
      const auto name = fmt::format("config {}/{}", config.resource_name(), config.name());
      ASSERT_EQ(things.erase(name), 1u) << "the removal of " << name << ", which is not there";
      return;
    }
    case Case::kPartition:
      things[partition_name(record.partition())] = record.SerializeAsString();
      return;
    case Case::kPartitionChange: {
      const std::string name = partition_name(record.partition_change());
      ASSERT_TRUE(things.contains(name)) << "a change of " << name << ", which is not there";
      v1::MetadataRecord whole;
      ASSERT_TRUE(whole.ParseFromString(things[name]));
      whole.mutable_partition()->set_leader(record.partition_change().leader());
      whole.mutable_partition()->set_leader_epoch(record.partition_change().leader_epoch());
      whole.mutable_partition()->set_partition_epoch(record.partition_change().partition_epoch());
      *whole.mutable_partition()->mutable_isr() = record.partition_change().isr();
      things[name] = whole.SerializeAsString();
      return;
    }
    case Case::kEntry:
      things["entry " + record.entry().key()] = record.SerializeAsString();
      return;
    case Case::kRemoveEntry:
      things.erase("entry " + record.remove_entry().key());
      return;
    default:
      FAIL() << "unexpected " << record.ShortDebugString();
  }
}

// A subscriber with a filter: keeps what it is told, and the positions it was at.
class FilteredSink : public SubscriberSink {
 public:
  void Deliver(const Delivery& delivery) override {
    ASSERT_FALSE(outstanding);
    outstanding = true;
    const v1::SubscribeResponse response = Decode(delivery);
    for (const v1::MetadataUpdate& update : response.updates()) {
      OnUpdate(update);
    }
  }
  void Close(absl::Status status) override { closed = std::move(status); }

  v1::SubscribeRequest request;
  bool outstanding = false;
  std::optional<absl::Status> closed;
  v1::Hello hello;
  std::vector<v1::Reset> resets;
  Things things;
  v1::Position position;
  int commits = 0;
  int empty_commits = 0;
  int commits_in_parts = 0;
  int snapshots = 0;
  int hellos = 0;
  int bookmarks = 0;
  std::vector<std::string> left;
  // What was held at each position.
  std::map<Offset, Things> history;
  v1::GoAway go_away;

 private:
  void OnUpdate(const v1::MetadataUpdate& update) {
    if (update.has_hello()) {
      ++hellos;
      hello = update.hello();
      position = hello.start();
    } else if (update.has_reset()) {
      resets.push_back(update.reset());
    } else if (update.has_snapshot_chunk()) {
      for (const v1::MetadataRecord& record : update.snapshot_chunk().records()) {
        Apply(record, incoming_);
      }
    } else if (update.has_snapshot_end()) {
      things = std::exchange(incoming_, {});
      position = update.snapshot_end().position();
      ++snapshots;
      history[Offset(position.offset())] = things;
    } else if (update.has_commit()) {
      OnCommit(update.commit());
    } else if (update.has_bookmark()) {
      ++bookmarks;
      EXPECT_EQ(update.bookmark().position().offset(), position.offset());
    } else if (update.has_go_away()) {
      go_away = update.go_away();
    }
  }
  void OnCommit(const v1::Commit& commit) {
    EXPECT_EQ(commit.from(), position.offset()) << "a gap or a duplicate";
    EXPECT_EQ(commit.offsets_size(), hello.filter_id() == 0 ? 0 : commit.records_size());
    // A topic may take the name of one that the same commit removed.
    EXPECT_TRUE(std::is_sorted(commit.offsets().begin(), commit.offsets().end()));
    for (const v1::LeftScope& scope : commit.left_scope()) {
      const std::string id = Hex(scope.topic_id());
      left.push_back(scope.has_partition_index() ? fmt::format("{}/{}", id, scope.partition_index())
                                                 : id);
      if (scope.has_partition_index()) {
        things.erase(fmt::format("partition {}/{}", id, scope.partition_index()));
      } else {
        RemoveTopic(scope.topic_id(), scope.topic_name(), things);
      }
    }
    for (const v1::MetadataRecord& record : commit.records()) {
      Apply(record, things);
    }
    if (commit.part() + 1 < commit.part_count()) {
      return;
    }
    ++commits;
    commits_in_parts += commit.part_count() > 1 ? 1 : 0;
    empty_commits += commit.records().empty() && commit.left_scope().empty() ? 1 : 0;
    position = commit.to();
    history[Offset(position.offset())] = things;
  }

  Things incoming_;
};

class FilteredStreamTest : public PublisherFixture {
 protected:
  FilteredStreamTest() {
    for (const char name : {'a', 'b', 'c', 'd'}) {
      ids.push_back(*Uuid::FromBytes(std::string(16, name)));
    }
  }

  static v1::MetadataRecord TopicRecord(const Uuid& id, const std::string& name) {
    v1::MetadataRecord record;
    record.mutable_topic()->set_topic_id(id.ToBytes());
    record.mutable_topic()->set_name(name);
    record.mutable_topic()->set_min_insync_replicas(1);
    return record;
  }
  static v1::MetadataRecord ConfigRecord(const std::string& topic, const std::string& value) {
    v1::MetadataRecord record;
    record.mutable_config()->set_resource_type(v1::CONFIG_RESOURCE_TYPE_TOPIC);
    record.mutable_config()->set_resource_name(topic);
    record.mutable_config()->set_name("retention.ms");
    record.mutable_config()->set_value(value);
    return record;
  }
  static v1::MetadataRecord RemoveConfigRecord(const std::string& topic) {
    v1::MetadataRecord record;
    record.mutable_remove_config()->set_resource_type(v1::CONFIG_RESOURCE_TYPE_TOPIC);
    record.mutable_remove_config()->set_resource_name(topic);
    record.mutable_remove_config()->set_name("retention.ms");
    return record;
  }
  static v1::MetadataRecord RemoveTopic(const Uuid& id, const std::string& name) {
    v1::MetadataRecord record;
    record.mutable_remove_topic()->set_topic_id(id.ToBytes());
    record.mutable_remove_topic()->set_name(name);
    return record;
  }
  static v1::MetadataRecord PartitionRecord(const Uuid& id, int32_t index,
                                            std::vector<int32_t> replicas) {
    v1::MetadataRecord record;
    v1::PartitionRecord& partition = *record.mutable_partition();
    partition.set_topic_id(id.ToBytes());
    partition.set_partition_index(index);
    partition.mutable_replicas()->Assign(replicas.begin(), replicas.end());
    partition.mutable_isr()->Assign(replicas.begin(), replicas.end());
    partition.set_leader(replicas.front());
    return record;
  }
  static v1::MetadataRecord PartitionChange(const Uuid& id, int32_t index, std::vector<int32_t> isr,
                                            int32_t epoch) {
    v1::MetadataRecord record;
    v1::PartitionChangeRecord& change = *record.mutable_partition_change();
    change.set_topic_id(id.ToBytes());
    change.set_partition_index(index);
    change.mutable_isr()->Assign(isr.begin(), isr.end());
    change.set_leader(isr.front());
    change.set_leader_epoch(epoch);
    change.set_partition_epoch(epoch);
    return record;
  }

  void Commit(const std::vector<v1::MetadataRecord>& records) {
    Publish(history.AddRecords(records));
    images[history.end().offset] = history.image();
  }
  // Two topics and an entry.
  void CommitSome() {
    PublishControl();
    images[history.end().offset] = history.image();
    Commit({TopicRecord(ids[0], "orders"), PartitionRecord(ids[0], 0, {1, 2}),
            PartitionRecord(ids[0], 1, {2, 3})});
    Commit({TopicRecord(ids[1], "orders.dead"), PartitionRecord(ids[1], 0, {3})});
    Commit({PutRecord("k", "v", history.end().offset)});
  }

  SubscriptionId Subscribe(FilteredSink& sink) {
    return publisher().Subscribe(now, sink.request, sink);
  }
  void TakeAll(FilteredSink& sink, SubscriptionId id) {
    for (int i = 0; i < 10'000 && (sink.outstanding || log.AnswerNext()); ++i) {
      if (std::exchange(sink.outstanding, false)) {
        publisher().OnReady(now, id);
      }
    }
  }

  // What the filter lets through of the whole, by the image alone.
  Things Expected(const FilteredSink& sink, Offset at) const {
    const auto filter = SubscriptionFilter::Parse(sink.request);
    EXPECT_TRUE(filter.ok()) << filter.status();
    const std::shared_ptr<const MetadataImage> image = images.at(at);
    ImageCursor cursor(image, Audience::kSubscribers);
    Things things;
    for (v1::MetadataRecord record; cursor.Next(record); record.Clear()) {
      if (*filter == nullptr || (*filter)->WantsOfImage(*image, record)) {
        Apply(record, things);
      }
    }
    return things;
  }
  void ExpectTrueEverywhere(const FilteredSink& sink) const {
    EXPECT_FALSE(sink.history.empty());
    for (const auto& [offset, things] : sink.history) {
      EXPECT_EQ(things, Expected(sink, offset)) << "at " << offset;
    }
  }
  static std::vector<std::string> NamesOf(const Things& things) {
    std::vector<std::string> names;
    for (const auto& [name, record] : things) {
      names.push_back(name);
    }
    return names;
  }

  std::vector<Uuid> ids;
  std::map<Offset, std::shared_ptr<const MetadataImage>> images;
};

TEST_F(FilteredStreamTest, ByKind) {
  CommitSome();
  FilteredSink sink;
  sink.request.mutable_filter()->add_kinds("entry");
  const SubscriptionId id = Subscribe(sink);
  TakeAll(sink, id);
  EXPECT_NE(sink.hello.filter_id(), 0u);
  EXPECT_EQ(NamesOf(sink.things), std::vector<std::string>{"entry k"});
  Commit({TopicRecord(ids[2], "new"), PartitionRecord(ids[2], 0, {1})});
  Commit({PutRecord("l", "v", history.end().offset)});
  TakeAll(sink, id);
  EXPECT_EQ(sink.position.offset(), history.end().offset.value());
  EXPECT_EQ(sink.empty_commits, 1);
  ExpectTrueEverywhere(sink);
}

TEST_F(FilteredStreamTest, ByTopicNamePrefixAndId) {
  CommitSome();
  FilteredSink by_name;
  by_name.request.mutable_filter()->add_topic_names("orders");
  FilteredSink by_prefix;
  by_prefix.request.mutable_filter()->add_topic_prefixes("orders.");
  FilteredSink by_id;
  by_id.request.mutable_filter()->add_topic_ids(ids[2].ToString());
  const SubscriptionId name_id = Subscribe(by_name);
  const SubscriptionId prefix_id = Subscribe(by_prefix);
  const SubscriptionId id_id = Subscribe(by_id);
  Commit({TopicRecord(ids[2], "orders.new"), PartitionRecord(ids[2], 0, {1})});
  Commit({PartitionChange(ids[0], 1, {3}, 1), PartitionChange(ids[2], 0, {1}, 1)});
  Commit({RemoveTopic(ids[1], "orders.dead")});
  TakeAll(by_name, name_id);
  TakeAll(by_prefix, prefix_id);
  TakeAll(by_id, id_id);
  for (const FilteredSink* sink : {&by_name, &by_prefix, &by_id}) {
    ExpectTrueEverywhere(*sink);
    EXPECT_EQ(sink->position.offset(), history.end().offset.value());
    EXPECT_TRUE(sink->things.contains("entry k")) << "topics do not narrow other kinds";
  }
  EXPECT_EQ(NamesOf(by_id.things).size(), 3u);
}

TEST_F(FilteredStreamTest, TopicsThatComeAndGoWithAHost) {
  CommitSome();
  FilteredSink sink;
  sink.request.set_broker_id(1);
  sink.request.mutable_filter()->set_hosted_by_broker(true);
  const SubscriptionId id = Subscribe(sink);
  TakeAll(sink, id);
  EXPECT_EQ(sink.things.count("partition " + ids[0].ToString() + "/0"), 1u);
  EXPECT_EQ(sink.things.count("partition " + ids[0].ToString() + "/1"), 0u);
  EXPECT_EQ(sink.things.count("topic " + ids[1].ToString()), 0u);
  Commit({TopicRecord(ids[2], "new"), PartitionRecord(ids[2], 0, {2}),
          PartitionRecord(ids[2], 1, {1, 3})});
  Commit({PartitionRecord(ids[1], 1, {3, 1})});  // a topic grows into the scope
  Commit({PartitionChange(ids[0], 0, {2}, 1), PartitionChange(ids[0], 1, {2}, 1)});
  Commit({RemoveTopic(ids[0], "orders")});
  TakeAll(sink, id);
  ExpectTrueEverywhere(sink);
  EXPECT_EQ(sink.things.count("topic " + ids[1].ToString()), 1u);
  EXPECT_EQ(sink.position.offset(), history.end().offset.value());
}

TEST_F(FilteredStreamTest, ConfigsBelongToTheirTopics) {
  CommitSome();
  Commit({ConfigRecord("orders", "1"), ConfigRecord("orders.dead", "1")});
  FilteredSink by_id;
  by_id.request.mutable_filter()->add_topic_ids(ids[0].ToString());
  FilteredSink by_host;  // of orders.dead only
  by_host.request.set_broker_id(3);
  by_host.request.mutable_filter()->set_hosted_by_broker(true);
  by_host.request.mutable_filter()->add_topic_prefixes("orders.");
  FilteredSink by_kind;  // no topics, and yet it is told when configs go with theirs
  by_kind.request.mutable_filter()->add_kinds("config");
  std::vector<std::pair<FilteredSink*, SubscriptionId>> sinks;
  for (FilteredSink* sink : {&by_id, &by_host, &by_kind}) {
    sinks.emplace_back(sink, Subscribe(*sink));
    TakeAll(*sink, sinks.back().second);
  }
  EXPECT_EQ(by_id.things.count("config orders/retention.ms"), 1u);
  EXPECT_EQ(by_id.things.count("config orders.dead/retention.ms"), 0u);
  EXPECT_EQ(by_host.things.count("config orders.dead/retention.ms"), 1u);
  EXPECT_EQ(by_host.things.count("config orders/retention.ms"), 0u);
  Commit({ConfigRecord("orders", "2"), ConfigRecord("orders.dead", "2")});
  Commit({RemoveConfigRecord("orders.dead")});
  Commit({ConfigRecord("orders.dead", "3")});
  // The name passes to another topic, and with it its configs, to be seen by name and not by id.
  Commit({RemoveTopic(ids[0], "orders"), TopicRecord(ids[2], "orders"),
          PartitionRecord(ids[2], 0, {3}), ConfigRecord("orders", "4")});
  Commit({TopicRecord(ids[3], "orders.new"), ConfigRecord("orders.new", "5"),
          PartitionRecord(ids[3], 0, {3})});
  Commit({RemoveTopic(ids[1], "orders.dead")});
  for (const auto& [sink, id] : sinks) {
    TakeAll(*sink, id);
    ExpectTrueEverywhere(*sink);
  }
  EXPECT_EQ(by_id.things.count("config orders/retention.ms"), 0u);
  EXPECT_EQ(by_host.things.count("config orders.new/retention.ms"), 1u) << "whole, with its topic";
  EXPECT_EQ(NamesOf(by_kind.things), (std::vector<std::string>{"config orders.new/retention.ms",
                                                               "config orders/retention.ms"}));
}

// Replicas move in a way that the records of this release cannot say yet, so the images do.
TEST_F(FilteredStreamTest, WhatEntersAppearsWholeAndWhatLeavesIsTold) {
  const auto image_with = [this](std::vector<int32_t> zero, std::vector<int32_t> one, int64_t end) {
    MetadataDelta delta(*MetadataImage::Empty());
    delta.Replay(TopicRecord(ids[0], "t"), Offset(0));
    delta.Replay(PartitionRecord(ids[0], 0, std::move(zero)), Offset(0));
    delta.Replay(PartitionRecord(ids[0], 1, std::move(one)), Offset(0));
    return delta.Apply({Offset(end), Epoch(1), 0});
  };
  v1::SubscribeRequest request;
  request.set_broker_id(1);
  request.mutable_filter()->set_hosted_by_broker(true);
  const auto filter = *SubscriptionFilter::Parse(request);
  const auto nowhere = image_with({2}, {3}, 5);
  const auto first = image_with({2, 1}, {3}, 6);
  const auto second = image_with({2}, {1, 3}, 7);
  FilteredTail tail(filter, nowhere->provenance().position(), {kGeneration, 1 << 20, 1 << 17});
  const auto feed = [&](const MetadataImage& before, const MetadataImage& after) {
    const Offset from = before.provenance().end_offset;
    const std::vector<v1::MetadataRecord> records{PartitionChange(ids[0], 0, {2}, 1),
                                                  PartitionChange(ids[0], 1, {3}, 1)};
    tail.OnCommit({{from, after.provenance().end_offset, Epoch(1), nullptr},
                   records,
                   TopicsOf(records, before),
                   before,
                   after});
    Delivery delivery;
    tail.tail().EntryAt(from)->parts.front().AppendTo(delivery);
    return Decode(delivery).updates(0).commit();
  };
  const v1::Commit entered = feed(*nowhere, *first);
  ASSERT_EQ(entered.records_size(), 2);
  EXPECT_EQ(entered.records(0).topic().name(), "t");
  EXPECT_EQ(entered.records(1).partition().replicas_size(), 2) << "whole, not as a change";
  EXPECT_EQ(entered.left_scope_size(), 0);
  const v1::Commit swapped = feed(*first, *second);
  ASSERT_EQ(swapped.records_size(), 1) << "the topic is known";
  EXPECT_EQ(swapped.records(0).partition().partition_index(), 1);
  ASSERT_EQ(swapped.left_scope_size(), 1);
  EXPECT_EQ(swapped.left_scope(0).partition_index(), 0);
  const v1::Commit gone = feed(*second, *image_with({2}, {3}, 8));
  EXPECT_EQ(gone.records_size(), 0);
  ASSERT_EQ(gone.left_scope_size(), 1);
  EXPECT_FALSE(gone.left_scope(0).has_partition_index())
      << "with its last partition the topic leaves";
  EXPECT_EQ(gone.left_scope(0).topic_name(), "t");
}

TEST_F(FilteredStreamTest, ResumingGoesOnAndAnotherFilterStartsWithReset) {
  CommitSome();
  FilteredSink first;
  first.request.mutable_filter()->add_topic_names("orders");
  const SubscriptionId id = Subscribe(first);
  TakeAll(first, id);
  publisher().OnClosed(id);
  Commit({PartitionChange(ids[0], 0, {2}, 1)});

  FilteredSink again;
  again.request = first.request;
  *again.request.mutable_resume_from() = first.position;
  again.request.set_resume_filter_id(first.hello.filter_id());
  again.things = first.things;
  TakeAll(again, Subscribe(again));
  EXPECT_EQ(again.resets.size(), 0u);
  EXPECT_EQ(again.snapshots, 0);
  EXPECT_EQ(again.commits, 1);
  ExpectTrueEverywhere(again);

  FilteredSink wider;
  *wider.request.mutable_resume_from() = first.position;
  wider.request.set_resume_filter_id(first.hello.filter_id());
  wider.request.mutable_filter()->add_topic_prefixes("orders");
  TakeAll(wider, Subscribe(wider));
  ASSERT_EQ(wider.resets.size(), 1u);
  EXPECT_EQ(wider.resets[0].reason(), v1::Reset::REASON_FILTER);
  EXPECT_EQ(wider.snapshots, 1);
  EXPECT_GE(wider.position.offset(), first.position.offset());
  ExpectTrueEverywhere(wider);

  FilteredSink unfiltered;
  *unfiltered.request.mutable_resume_from() = first.position;
  unfiltered.request.set_resume_filter_id(first.hello.filter_id());
  TakeAll(unfiltered, Subscribe(unfiltered));
  ASSERT_EQ(unfiltered.resets.size(), 1u);
  EXPECT_EQ(unfiltered.hello.filter_id(), 0u);

  FilteredSink was_unfiltered;
  was_unfiltered.request.mutable_filter()->add_kinds("entry");
  *was_unfiltered.request.mutable_resume_from() = first.position;
  TakeAll(was_unfiltered, Subscribe(was_unfiltered));
  EXPECT_EQ(was_unfiltered.resets.size(), 1u);
}

TEST_F(FilteredStreamTest, WhoHadAnotherFilterIsToldSoOnce) {
  config.tail_max_bytes = 500;
  CommitSome();
  FilteredSink sink;  // everything, after a part of it
  sink.request.mutable_resume_from()->set_generation(kGeneration);
  sink.request.mutable_resume_from()->set_epoch(history.end().epoch.value());
  sink.request.mutable_resume_from()->set_offset(history.end().offset.value());
  sink.request.set_resume_filter_id(7);
  const SubscriptionId id = Subscribe(sink);
  TakeAll(sink, id);
  ASSERT_EQ(sink.resets.size(), 1u);
  EXPECT_EQ(sink.resets[0].reason(), v1::Reset::REASON_FILTER);
  // It takes nothing, and falls off the ring and the log.
  for (int i = 0; i < 10; ++i) {
    PublishPuts(1, 100);
  }
  log.read_error = MakeError(ErrorReason::kPositionDiscarded, "gone");
  // The next image is being made of the last one, so that there is none to begin with.
  publisher().OnCommit(history.AddPuts(1, 100));
  TakeAll(sink, id);
  EXPECT_EQ(sink.resets.size(), 1u);
  publisher().OnImage(now, history.image());
  TakeAll(sink, id);
  ASSERT_EQ(sink.resets.size(), 2u);
  EXPECT_EQ(sink.resets[1].reason(), v1::Reset::REASON_COMPACTED);
  EXPECT_EQ(sink.position.offset(), history.end().offset.value());
}

TEST_F(FilteredStreamTest, ASlowSubscriberThatFallsOffItsRingBeginsAnew) {
  config.filtered_tail_max_bytes = 2000;
  CommitSome();
  FilteredSink sink;
  sink.request.mutable_filter()->add_kinds("entry");
  const SubscriptionId id = Subscribe(sink);
  for (int i = 0; i < 50; ++i) {
    Commit({PutRecord("k", std::string(100, 'x'), history.end().offset)});
  }
  TakeAll(sink, id);
  EXPECT_EQ(sink.resets.size(), 1u);
  EXPECT_EQ(sink.resets[0].reason(), v1::Reset::REASON_COMPACTED);
  EXPECT_EQ(sink.snapshots, 2);
  EXPECT_EQ(sink.position.offset(), history.end().offset.value());
  ExpectTrueEverywhere(sink);
}

TEST_F(FilteredStreamTest, BookmarksComeAlsoWhenNothingPasses) {
  CommitSome();
  FilteredSink sink;
  sink.request.mutable_filter()->add_kinds("client_quota");
  const SubscriptionId id = Subscribe(sink);
  TakeAll(sink, id);
  for (int i = 1; i <= 3; ++i) {
    Commit({PutRecord("k", "v", history.end().offset)});
    TakeAll(sink, id);
    RunTimersFor(seconds(1));
    TakeAll(sink, id);
    EXPECT_EQ(sink.bookmarks, i);  // the sink checks that each is where the commits have led
    EXPECT_EQ(sink.position.offset(), history.end().offset.value());
  }
  for (int i = 4; i <= 6; ++i) {  // and when nothing happens at all
    RunTimersFor(seconds(1));
    TakeAll(sink, id);
    EXPECT_EQ(sink.bookmarks, i);
  }
  EXPECT_EQ(sink.commits, sink.empty_commits);
  EXPECT_TRUE(sink.things.empty());
}

// The image comes from a leader's snapshot: no commits led to it, and the log begins there.
TEST_F(FilteredStreamTest, ASnapshotThatTheNodeInstallsResetsItsStreams) {
  CommitSome();
  FilteredSink everything;
  FilteredSink part;
  part.request.mutable_filter()->add_kinds("entry");
  const SubscriptionId everything_id = Subscribe(everything);
  const SubscriptionId part_id = Subscribe(part);
  TakeAll(everything, everything_id);
  TakeAll(part, part_id);
  history.AddRecords({PutRecord("elsewhere", "v", history.end().offset)});
  history.AddRecords({PutRecord("elsewhere-2", "v", history.end().offset)});
  images[history.end().offset] = history.image();
  log.read_error = MakeError(ErrorReason::kPositionDiscarded, "below the start of the log");
  publisher().OnImage(now, history.image());
  TakeAll(everything, everything_id);
  TakeAll(part, part_id);
  Commit({PutRecord("after", "v", history.end().offset)});
  TakeAll(everything, everything_id);
  TakeAll(part, part_id);
  for (const FilteredSink* sink : {&everything, &part}) {
    EXPECT_EQ(sink->hellos, 1);
    ASSERT_EQ(sink->resets.size(), 1u);
    EXPECT_EQ(sink->resets[0].reason(), v1::Reset::REASON_COMPACTED);
    EXPECT_EQ(sink->snapshots, 2);
    EXPECT_EQ(sink->commits, 1);
    EXPECT_EQ(sink->position.offset(), history.end().offset.value());
    EXPECT_TRUE(sink->things.contains("entry after"));
    ExpectTrueEverywhere(*sink);
  }
}

TEST_F(FilteredStreamTest, ASnapshotThatTheNodeInstallsIsNotSeenWhereTheLogGoesOn) {
  CommitSome();
  FilteredSink sink;
  const SubscriptionId id = Subscribe(sink);
  TakeAll(sink, id);
  history.AddRecords({PutRecord("elsewhere", "v", history.end().offset)});
  images[history.end().offset] = history.image();
  publisher().OnImage(now, history.image());
  TakeAll(sink, id);
  EXPECT_EQ(sink.resets.size(), 0u);
  EXPECT_EQ(sink.commits, 1) << "read from the log";
  EXPECT_EQ(sink.position.offset(), history.end().offset.value());
  ExpectTrueEverywhere(sink);
}

TEST_F(FilteredStreamTest, MoreDifferentFiltersThanTheLimitAreShed) {
  config.max_filters = 1;
  CommitSome();
  FilteredSink first;
  first.request.mutable_filter()->add_kinds("entry");
  TakeAll(first, Subscribe(first));
  FilteredSink other;
  other.request.mutable_filter()->add_kinds("topic");
  Subscribe(other);
  ASSERT_TRUE(other.closed.has_value());
  EXPECT_EQ(GetErrorReason(*other.closed), ErrorReason::kClassShed);
  EXPECT_EQ(other.hellos, 0);
  FilteredSink equal;
  equal.request = first.request;
  TakeAll(equal, Subscribe(equal));
  EXPECT_EQ(equal.snapshots, 1);
  FilteredSink unfiltered;
  TakeAll(unfiltered, Subscribe(unfiltered));
  EXPECT_EQ(unfiltered.snapshots, 1);
}

TEST_F(FilteredStreamTest, WhatIsKeptForAFilterIsKeptForAWhileForWhoComesBack) {
  CommitSome();
  FilteredSink sink;
  sink.request.mutable_filter()->add_kinds("entry");
  for (const bool is_late : {false, true}) {
    FilteredSink first;
    first.request = sink.request;
    const SubscriptionId id = Subscribe(first);
    TakeAll(first, id);
    publisher().OnClosed(id);
    RunTimersFor(config.filter_linger - seconds(2));
    Commit({PutRecord("k", "v", history.end().offset)});
    RunTimersFor(is_late ? seconds(3) : seconds(1));

    FilteredSink back;
    back.request = first.request;
    *back.request.mutable_resume_from() = first.position;
    back.request.set_resume_filter_id(first.hello.filter_id());
    back.things = first.things;
    const SubscriptionId back_id = Subscribe(back);
    TakeAll(back, back_id);
    EXPECT_EQ(back.position.offset(), history.end().offset.value());
    ExpectTrueEverywhere(back);
    if (is_late) {
      ASSERT_EQ(back.resets.size(), 1u);
      EXPECT_EQ(back.resets[0].reason(), v1::Reset::REASON_COMPACTED);
    } else {
      EXPECT_EQ(back.resets.size(), 0u);
      EXPECT_EQ(back.commits, 1);
    }
    publisher().OnClosed(back_id);
  }
}

TEST_F(FilteredStreamTest, AStreamOfTheLeaderOnlyIsRefusedElsewhereAndEndsWithItsLeadership) {
  CommitSome();
  LeadBy(publisher(), 2, "node-2:7400");
  FilteredSink refused;
  refused.request.set_source(v1::SOURCE_LEADER);
  Subscribe(refused);
  ASSERT_TRUE(refused.closed.has_value());
  EXPECT_EQ(GetErrorReason(*refused.closed), ErrorReason::kNotController);
  EXPECT_EQ(GetErrorFacts(*refused.closed).at("leader_endpoint"), "node-2:7400");

  LeadBy(publisher(), 1, "node-1:7400");
  FilteredSink served;
  served.request.set_source(v1::SOURCE_LEADER);
  const SubscriptionId id = Subscribe(served);
  TakeAll(served, id);
  EXPECT_EQ(served.snapshots, 1);
  LeadBy(publisher(), 2, "node-2:7400");
  RunTimersFor(seconds(2));
  TakeAll(served, id);
  EXPECT_NE(served.go_away.message(), "");
  EXPECT_EQ(served.go_away.hint(), "node-2:7400");
  TakeAll(served, id);
  EXPECT_TRUE(served.closed.has_value() && served.closed->ok());
}

TEST_F(FilteredStreamTest, ManyFiltersOverARandomHistory) {
  Random random(7);
  config.max_message_bytes = 250;              // so that some commits come in parts
  std::vector<std::string> names(ids.size());  // empty: not there
  std::vector<std::vector<int32_t>> epochs(ids.size());
  std::vector<std::unique_ptr<FilteredSink>> sinks;
  std::vector<SubscriptionId> subscriptions;
  const auto add = [&](const std::function<void(v1::SubscribeRequest&)>& change) {
    sinks.push_back(std::make_unique<FilteredSink>());
    change(sinks.back()->request);
    subscriptions.push_back(Subscribe(*sinks.back()));
  };
  PublishControl();
  images[history.end().offset] = history.image();
  for (int32_t broker = 1; broker <= 3; ++broker) {
    add([broker](auto& r) {
      r.set_broker_id(broker);
      r.mutable_filter()->set_hosted_by_broker(true);
    });
  }
  add([](auto& r) { r.mutable_filter()->add_topic_prefixes("a"); });
  add([](auto& r) {
    r.mutable_filter()->add_kinds("partition");
    r.mutable_filter()->add_kinds("topic");
  });
  add([](auto& r) {
    r.set_broker_id(2);
    r.mutable_filter()->set_hosted_by_broker(true);
    r.mutable_filter()->add_topic_prefixes("b");
  });
  for (int step = 0; step < 400; ++step) {
    std::vector<v1::MetadataRecord> records;
    const size_t which = random.Below(ids.size());
    if (random.Below(6) == 0) {
      records.push_back(PutRecord(fmt::format("k{}", random.Below(5)), "v", history.end().offset));
    } else if (names[which].empty()) {
      // Topic ids are never used again.
      ids[which] = Uuid::FromRandom(random);
      names[which] = fmt::format("{}{}", random.Below(2) == 0 ? 'a' : 'b', step);
      records.push_back(TopicRecord(ids[which], names[which]));
      for (uint64_t i = random.Below(3) + 1; i > 0; --i) {
        epochs[which].push_back(0);
        const auto index = static_cast<int32_t>(epochs[which].size() - 1);
        records.push_back(
            PartitionRecord(ids[which], index, {static_cast<int32_t>(random.Below(3)) + 1}));
      }
    } else if (random.Below(4) == 0) {
      records.push_back(RemoveTopic(ids[which], names[which]));
      names[which].clear();
      epochs[which].clear();
    } else if (random.Below(2) == 0) {
      epochs[which].push_back(0);
      const auto index = static_cast<int32_t>(epochs[which].size() - 1);
      records.push_back(
          PartitionRecord(ids[which], index, {static_cast<int32_t>(random.Below(3)) + 1}));
    } else {
      const size_t index = random.Below(epochs[which].size());
      const Partition partition =
          *history.image()->topics().Find(ids[which])->partitions.Find(static_cast<int32_t>(index));
      records.push_back(PartitionChange(ids[which], static_cast<int32_t>(index),
                                        {partition.replicas.front().value()},
                                        ++epochs[which][index]));
    }
    // Now and then several commits come with one image.
    const CommittedUpdate update = history.AddRecords(records);
    images[history.end().offset] = history.image();
    publisher().OnCommit(update);
    if (random.Below(3) == 0) {
      continue;
    }
    publisher().OnImage(now, history.image());
    for (size_t i = 0; i < sinks.size(); ++i) {
      if (random.Below(3) == 0) {
        TakeAll(*sinks[i], subscriptions[i]);
      }
    }
  }
  publisher().OnImage(now, history.image());
  for (size_t i = 0; i < sinks.size(); ++i) {
    TakeAll(*sinks[i], subscriptions[i]);
    EXPECT_EQ(sinks[i]->position.offset(), history.end().offset.value()) << i;
    EXPECT_GT(sinks[i]->commits, 10) << i;
    EXPECT_GT(sinks[i]->commits_in_parts, 0) << i;
    ExpectTrueEverywhere(*sinks[i]);
  }
}

}  // namespace
}  // namespace kvorum::publish
