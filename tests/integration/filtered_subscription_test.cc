// Streams of a part of the metadata (api.md §5 "Filters"), on real processes.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/metadata_cache.h"
#include "client/metadata_watcher.h"
#include "tests/integration/fake_broker.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A cache that remembers why it was reset.
class NotingCache : public client::MetadataCache {
 public:
  void OnReset(const v1::Reset& reset) override {
    {
      const std::lock_guard lock(mutex_);
      reasons_.push_back(reset.reason());
    }
    MetadataCache::OnReset(reset);
  }

  std::vector<int> reasons() const {
    const std::lock_guard lock(mutex_);
    return reasons_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<int> reasons_;
};

// A subscriber of a part, made of the client library. One thread.
class Follower {
 public:
  Follower(const Cluster& cluster, client::MetadataWatcherOptions options,
           const FakeBroker* broker = nullptr)
      : watcher_(EndpointsOf(cluster), std::move(options), cache_) {
    if (broker != nullptr) {
      watcher_.SetBroker(broker->id(), broker->epoch());
    }
    watcher_.Start();
  }

  const NotingCache& cache() const { return cache_; }
  client::WatcherStatus status() const { return watcher_.status(); }
  std::shared_ptr<const client::MetadataSnapshot> now() const { return cache_.Snapshot(); }
  void Stop() { watcher_.Stop(); }

  // nullptr: it has none such.
  std::shared_ptr<const client::CachedTopic> Topic(const std::string& name) const {
    const auto snapshot = now();
    const auto it = snapshot->topics.find(name);
    return it == snapshot->topics.end() ? nullptr : it->second;
  }

 private:
  static std::shared_ptr<client::Endpoints> EndpointsOf(const Cluster& cluster) {
    auto parsed = client::ParseEndpoints(cluster.endpoints());
    EXPECT_TRUE(parsed.ok());
    return std::make_shared<client::Endpoints>(*std::move(parsed));
  }

  NotingCache cache_;
  client::MetadataWatcher watcher_;
};

using Replicas = std::vector<std::vector<int32_t>>;  // by partition

class FilteredSubscriptionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_.StartAll();
    ASSERT_GE(cluster_.WaitForLeader(), 0);
    client_ = cluster_.MakeClient();
    for (int32_t id = 1; id <= 4; ++id) {
      brokers_.emplace_back(*client_, id);
      ASSERT_TRUE(brokers_.back().Register());
      ASSERT_TRUE(brokers_.back().BecomeUnfenced());
    }
  }

  void CreateTopic(const std::string& name, const Replicas& assignment) {
    v1::CreateTopicsRequest request;
    v1::NewTopic& topic = *request.add_topics();
    topic.set_name(name);
    for (size_t i = 0; i < assignment.size(); ++i) {
      v1::ReplicaAssignment& partition = *topic.add_assignments();
      partition.set_partition_index(static_cast<int32_t>(i));
      partition.mutable_replicas()->Assign(assignment[i].begin(), assignment[i].end());
    }
    v1::TopicConfig& config = *topic.add_configs();
    config.set_name("retention.ms");
    config.set_value("1234");
    const auto answer = client_->CreateTopics(request);
    ASSERT_TRUE(answer.ok()) << client::ToText(answer.error());
    ASSERT_EQ(answer->results(0).status().code(), 0) << answer->results(0).status().message();
  }

  // Asks for the move; what can be done without the brokers is done at once.
  void Move(const std::string& topic, int32_t index, const std::vector<int32_t>& replicas) {
    v1::AlterPartitionReassignmentsRequest request;
    auto& move = *request.add_partitions();
    move.mutable_topic()->set_name(topic);
    move.set_partition_index(index);
    move.mutable_replicas()->Assign(replicas.begin(), replicas.end());
    const auto answer = client_->AlterPartitionReassignments(request);
    ASSERT_TRUE(answer.ok()) << client::ToText(answer.error());
    ASSERT_EQ(answer->results(0).status().code(), 0) << answer->results(0).status().message();
  }

  int64_t CommittedEnd() {
    const auto answer = client_->ListBrokers({});
    EXPECT_TRUE(answer.ok());
    return answer.ok() ? answer->header().applied().offset() : -1;
  }

  bool AwaitEnd(const Follower& follower) {
    const int64_t end = CommittedEnd();
    return Eventually([&] { return follower.cache().position().offset() >= end; });
  }

  const FakeBroker& broker(int32_t id) const { return brokers_.at(static_cast<size_t>(id - 1)); }

  // Its brokers do not heartbeat on their own.
  Cluster cluster_{ClusterOptions{.run_flags = {"--broker-session-timeout-ms", "600000"}}};
  std::unique_ptr<client::ControllerClient> client_;
  std::vector<FakeBroker> brokers_;
};

v1::SubscribeFilter KindsFilter(const std::vector<std::string>& kinds) {
  v1::SubscribeFilter filter;
  filter.mutable_kinds()->Assign(kinds.begin(), kinds.end());
  return filter;
}

// The topics of `all` with the partitions that pass, as text: what a filtered cache must hold.
std::string TopicsAsText(
    const client::MetadataSnapshot& all,
    const std::function<bool(const client::CachedTopic&, const client::CachedPartition&)>& passes) {
  std::string text;
  for (const auto& [name, topic] : all.topics) {
    std::string partitions;
    for (const auto& [index, partition] : topic->partitions) {
      if (passes(*topic, partition)) {
        partitions +=
            fmt::format(" {}:{} leader {}@{} isr {}", index, fmt::join(partition.replicas, ","),
                        partition.leader, partition.leader_epoch, fmt::join(partition.isr, ","));
      }
    }
    if (!partitions.empty()) {
      text += name + partitions + "\n";
    }
  }
  return text;
}

std::string TopicsAsText(const client::MetadataSnapshot& some) {
  return TopicsAsText(some, [](const auto&, const auto&) { return true; });
}

bool IsOn(const client::CachedPartition& partition, int32_t broker) {
  const auto& replicas = partition.replicas;
  return std::find(replicas.begin(), replicas.end(), broker) != replicas.end();
}

TEST_F(FilteredSubscriptionTest, EachHoldsItsPartAndNothingElseAcrossADeathOfTheLeader) {
  CreateTopic("orders", {{1, 2}, {2, 3}});
  CreateTopic("orders.dead", {{3}});
  CreateTopic("x", {{1}});
  const auto topic_id = [this](const std::string& name) {
    v1::GetTopicRequest request;
    request.mutable_topic()->set_name(name);
    const auto answer = client_->GetTopic(request);
    EXPECT_TRUE(answer.ok());
    return answer.ok() ? answer->topic().topic_id() : "";
  };
  client::MetadataWatcherOptions entries_only;
  entries_only.filter = KindsFilter({"entry"});
  client::MetadataWatcherOptions by_name;
  by_name.filter.add_topic_names("orders");
  client::MetadataWatcherOptions by_prefix;
  by_prefix.filter.add_topic_prefixes("orders");
  client::MetadataWatcherOptions by_id;
  by_id.filter.add_topic_ids(topic_id("x"));
  client::MetadataWatcherOptions hosted;
  hosted.filter.set_hosted_by_broker(true);
  client::MetadataWatcherOptions nothing;
  nothing.filter = KindsFilter({"client_quota"});
  // On the node that dies.
  const std::string first = cluster_.endpoint(cluster_.WaitForLeader());
  for (auto* options : {&entries_only, &by_name, &by_prefix, &by_id, &hosted, &nothing}) {
    options->first_endpoint = first;
  }
  std::vector<std::unique_ptr<Follower>> followers;
  followers.push_back(std::make_unique<Follower>(cluster_, client::MetadataWatcherOptions()));
  for (const auto& options : {entries_only, by_name, by_prefix, by_id, nothing}) {
    followers.push_back(std::make_unique<Follower>(cluster_, options));
  }
  followers.push_back(std::make_unique<Follower>(cluster_, hosted, &broker(1)));
  for (const auto& follower : followers) {
    ASSERT_TRUE(AwaitEnd(*follower)) << follower->status().fatal_error;
  }

  WriteLoad load(cluster_, 2, "load/");
  ASSERT_TRUE(load.AwaitMore(40));
  cluster_.Kill(cluster_.WaitForLeader());
  ASSERT_TRUE(load.AwaitMore(40));
  CreateTopic("orders.late", {{2, 1}, {3, 2}});
  CreateTopic("y", {{3, 2}});
  Move("x", 0, {1, 4});
  load.Stop();
  for (const auto& follower : followers) {
    ASSERT_TRUE(AwaitEnd(*follower)) << follower->status().last_error;
    follower->Stop();
    const client::WatcherStatus status = follower->status();
    EXPECT_EQ(status.counters.gaps + status.counters.duplicates + status.counters.malformed, 0);
    EXPECT_EQ(status.fatal_error, "");
    // Another node may not know any more what the filter let through at an older place.
    EXPECT_THAT(follower->cache().reasons(), Each(v1::Reset::REASON_COMPACTED));
  }

  const auto all = followers[0]->now();
  const Entries expected_entries = ListAll(*client_);
  EXPECT_EQ(all->topics.size(), 5U);
  const auto check = [&](size_t which, bool has_entries, const std::string& topics) {
    const auto held = followers[which]->now();
    EXPECT_EQ(TopicsAsText(*held), topics) << "follower " << which;
    Entries entries;
    for (const auto& [key, entry] : held->entries) {
      entries[key] = entry->value;
    }
    EXPECT_EQ(entries, has_entries ? expected_entries : Entries()) << "follower " << which;
  };
  const auto named = [&](const std::function<bool(const std::string&)>& passes) {
    return TopicsAsText(*all, [&](const auto& topic, const auto&) { return passes(topic.name); });
  };
  check(1, true, "");
  check(2, true, named([](const std::string& name) { return name == "orders"; }));
  check(3, true, named([](const std::string& name) { return name.starts_with("orders"); }));
  check(4, true, named([](const std::string& name) { return name == "x"; }));
  check(5, false, "");
  check(6, true, TopicsAsText(*all, [](const auto&, const client::CachedPartition& partition) {
          return IsOn(partition, 1);
        }));
}

TEST_F(FilteredSubscriptionTest, APartitionThatMovesToABrokerAppearsWholeAndOneThatLeavesIsTold) {
  CreateTopic("t", {{1, 2}, {1, 2}});
  client::MetadataWatcherOptions hosted;
  hosted.filter.set_hosted_by_broker(true);
  Follower old_host(cluster_, hosted, &broker(1));
  Follower new_host(cluster_, hosted, &broker(4));
  ASSERT_TRUE(AwaitEnd(old_host));
  ASSERT_TRUE(AwaitEnd(new_host));
  ASSERT_NE(old_host.Topic("t"), nullptr);
  EXPECT_EQ(old_host.Topic("t")->partitions.size(), 2U);
  EXPECT_EQ(new_host.Topic("t"), nullptr);
  const auto has_config = [](const Follower& follower) {
    return follower.now()->settings->FindConfig(v1::CONFIG_RESOURCE_TYPE_TOPIC, "t",
                                                "retention.ms") != nullptr;
  };
  EXPECT_TRUE(has_config(old_host));
  EXPECT_FALSE(has_config(new_host));

  Move("t", 0, {1, 2, 4});
  ASSERT_TRUE(AwaitEnd(new_host));
  ASSERT_NE(new_host.Topic("t"), nullptr);
  ASSERT_EQ(new_host.Topic("t")->partitions.size(), 1U) << "the other one is not its business";
  const client::CachedPartition entered = new_host.Topic("t")->partitions.at(0);
  EXPECT_THAT(entered.replicas, ElementsAre(1, 2, 4));
  EXPECT_THAT(entered.isr, ElementsAre(1, 2));
  EXPECT_THAT(entered.adding_replicas, ElementsAre(4));
  EXPECT_EQ(entered.leader, 1);
  EXPECT_TRUE(has_config(new_host)) << "with what belongs to it";

  Move("t", 0, {2});
  ASSERT_TRUE(AwaitEnd(old_host));
  ASSERT_NE(old_host.Topic("t"), nullptr);
  EXPECT_EQ(old_host.Topic("t")->partitions.size(), 1U);
  EXPECT_FALSE(old_host.Topic("t")->partitions.contains(0));
  Move("t", 1, {2});
  ASSERT_TRUE(AwaitEnd(old_host));
  EXPECT_EQ(old_host.Topic("t"), nullptr) << "its last partition has left";
  EXPECT_FALSE(has_config(old_host));
  ASSERT_TRUE(AwaitEnd(new_host));
  EXPECT_EQ(new_host.Topic("t"), nullptr);
  for (const Follower* follower : {&old_host, &new_host}) {
    EXPECT_EQ(follower->status().fatal_error, "");
    EXPECT_THAT(follower->cache().reasons(), IsEmpty());
  }
}

TEST_F(FilteredSubscriptionTest, AnotherFilterBeginsWithResetAndTheSameOneGoesOn) {
  CreateTopic("orders", {{1, 2}});
  CreateTopic("x", {{3}});
  client::MetadataWatcherOptions options;
  options.first_endpoint = cluster_.endpoint(0);
  options.filter.add_topic_names("orders");
  Follower first(cluster_, options);
  ASSERT_TRUE(AwaitEnd(first));
  first.Stop();
  ASSERT_NE(first.status().filter_id, 0U);
  options.resume_from = first.status().position;
  options.resume_filter_id = first.status().filter_id;
  const auto is_live = [](const Follower& follower) {
    return Eventually([&] { return follower.status().live; });
  };

  client::MetadataWatcherOptions wider = options;
  wider.filter.add_topic_names("x");
  Follower other(cluster_, wider);
  ASSERT_TRUE(is_live(other));
  EXPECT_THAT(other.cache().reasons(), ElementsAre(v1::Reset::REASON_FILTER));
  EXPECT_NE(other.Topic("x"), nullptr) << "it has what the filter before kept away";
  EXPECT_NE(other.status().filter_id, first.status().filter_id);

  client::MetadataWatcherOptions unfiltered = options;
  unfiltered.filter.Clear();
  Follower everything(cluster_, unfiltered);
  ASSERT_TRUE(is_live(everything));
  EXPECT_THAT(everything.cache().reasons(), ElementsAre(v1::Reset::REASON_FILTER));
  EXPECT_EQ(everything.now()->topics.size(), 2U);

  for (int node = 0; node < cluster_.size(); ++node) {
    options.first_endpoint = cluster_.endpoint(node);
    Follower same(cluster_, options);
    ASSERT_TRUE(is_live(same));
    EXPECT_THAT(same.cache().reasons(), IsEmpty()) << "node " << node + 1;
    EXPECT_EQ(same.status().counters.snapshots, 0) << "node " << node + 1;
    EXPECT_EQ(same.status().filter_id, first.status().filter_id);
  }
}

}  // namespace
}  // namespace kvorum::testing
