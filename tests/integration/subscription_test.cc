// The promises of the metadata stream, on real processes that die: in order, no gap, no duplicate,
// never backwards, and in the end what a linearizable read says.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "client/metadata_cache.h"
#include "client/metadata_watcher.h"
#include "tests/integration/demo_broker_process.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/stream_reader.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::AnyOf;
using ::testing::IsEmpty;

std::shared_ptr<client::Endpoints> EndpointsOf(const std::string& text) {
  auto parsed = client::ParseEndpoints(text);
  EXPECT_TRUE(parsed.ok());
  return std::make_shared<client::Endpoints>(*std::move(parsed));
}

// The end of what is committed now: a subscriber that is there has everything acknowledged so far.
int64_t CommittedEnd(client::ControllerClient& client) {
  const auto answer = client.ListBrokers({});
  EXPECT_TRUE(answer.ok());
  return answer.ok() ? answer->header().applied().offset() : -1;
}

// Kills the leader `times` times under `load`; the killed one is back before the next dies.
void KillLeaders(Cluster& cluster, const WriteLoad& load, int times) {
  for (int round = 0; round < times; ++round) {
    ASSERT_TRUE(load.AwaitMore(40));
    const int leader = cluster.WaitForLeader();
    ASSERT_GE(leader, 0);
    cluster.Kill(leader);
    ASSERT_TRUE(load.AwaitMore(40));
    cluster.Start(leader);
    ASSERT_TRUE(Eventually([&] {
      const auto answer = cluster.Describe(leader);
      return answer.has_value() && answer->header().leader_id() > 0 &&
             answer->header().applied().offset() > 0;
    }));
  }
}

Entries EntriesOf(const client::MetadataCache& cache) {
  Entries entries;
  for (const auto& [key, entry] : cache.Snapshot()->entries) {
    entries[key] = entry->value;
  }
  return entries;
}

TEST(SubscriptionTest, AWatcherMissesAndRepeatsNothingAcrossDeathsOfTheLeader) {
  Cluster cluster;
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_GE(leader, 0);
  client::MetadataCache cache;
  client::MetadataWatcherOptions options;
  options.first_endpoint = cluster.endpoint(leader);  // the first to die
  client::MetadataWatcher watcher(EndpointsOf(cluster.endpoints()), options, cache);
  watcher.Start();
  WriteLoad load(cluster, 3, "load/");
  KillLeaders(cluster, load, 3);
  load.Stop();
  const auto client = cluster.MakeClient();
  const int64_t end = CommittedEnd(*client);
  EXPECT_TRUE(Eventually([&] { return cache.position().offset() >= end; }));
  watcher.Stop();

  const client::WatcherStatus status = watcher.status();
  EXPECT_EQ(status.counters.gaps, 0);
  EXPECT_EQ(status.counters.duplicates, 0);
  EXPECT_EQ(status.counters.malformed, 0);
  EXPECT_EQ(status.counters.resets, 0);
  EXPECT_EQ(status.counters.snapshots, 1);
  EXPECT_GT(status.stream_count, 1);
  EXPECT_EQ(status.fatal_error, "");
  EXPECT_EQ(EntriesOf(cache), ListAll(*client));
  ExpectHolds(EntriesOf(cache), load, "load/");
}

TEST(SubscriptionTest, EveryControllerServesTheSameStreamWithoutGapOrDuplicateAcrossItsOwnDeath) {
  Cluster cluster;
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  std::vector<std::unique_ptr<StreamReader>> readers;
  for (int i = 0; i < cluster.size(); ++i) {
    readers.push_back(std::make_unique<StreamReader>(cluster.endpoint(i)));
  }
  WriteLoad load(cluster, 3, "load/");
  KillLeaders(cluster, load, 3);
  load.Stop();
  const auto client = cluster.MakeClient();
  const int64_t end = CommittedEnd(*client);
  const Entries expected = ListAll(*client);
  for (int i = 0; i < cluster.size(); ++i) {
    StreamReader& reader = *readers[static_cast<size_t>(i)];
    EXPECT_TRUE(reader.AwaitOffset(end)) << "node " << i + 1 << " at " << reader.offset();
    reader.Stop();
    const StreamChecker seen = reader.Snapshot();
    EXPECT_THAT(seen.problems(), IsEmpty()) << "node " << i + 1;
    EXPECT_EQ(seen.snapshots(), 1);
    EXPECT_EQ(seen.resets(), 0);
    EXPECT_EQ(seen.entries(), expected) << "node " << i + 1;
  }
}

TEST(SubscriptionTest, DemoBrokersEndUpWithEqualDigestsAndWithoutGaps) {
  Cluster cluster;
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  std::vector<DemoBrokerProcess> brokers;
  for (int32_t id = 1; id <= 3; ++id) {
    brokers.emplace_back(cluster, id);
    brokers.back().Start();
  }
  WriteLoad load(cluster, 2, "load/");
  for (const DemoBrokerProcess& broker : brokers) {
    ASSERT_TRUE(broker.AwaitUnfenced()) << broker.ReadLog();
  }
  KillLeaders(cluster, load, 2);
  load.Stop();
  const int64_t end = CommittedEnd(*cluster.MakeClient());
  for (const DemoBrokerProcess& broker : brokers) {
    EXPECT_TRUE(broker.AwaitOffset(end)) << broker.ReadLog();
  }
  // No-op records move the offsets on but leave the contents, and so the digests, alone.
  EXPECT_TRUE(Eventually([&] {
    return brokers[0].Text("digest") != "" &&
           brokers[0].Text("digest") == brokers[1].Text("digest") &&
           brokers[0].Text("digest") == brokers[2].Text("digest");
  }));
  for (DemoBrokerProcess& broker : brokers) {
    EXPECT_EQ(broker.Number("gaps"), 0);
    EXPECT_EQ(broker.Number("duplicates"), 0);
    EXPECT_EQ(broker.Number("malformed"), 0);
    EXPECT_EQ(broker.Number("registrations"), 1) << "fenced by the failovers?";
    EXPECT_EQ(broker.Number("entries"), static_cast<double>(ListAll(*cluster.MakeClient()).size()));
    EXPECT_EQ(broker.Stop(), 0) << broker.ReadLog();
  }
}

TEST(SubscriptionTest, AReaderThatResumesGetsExactlyWhatFollowsFromAnyController) {
  Cluster cluster(QuietOptions());
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("a", "1")).ok());
  const auto answer = client->ListBrokers({});
  ASSERT_TRUE(answer.ok());
  const v1::Position from = answer->header().applied();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(client->PutEntry(MakePut(fmt::format("b/{}", i), "2")).ok());
  }
  for (int i = 0; i < cluster.size(); ++i) {
    StreamReader reader(cluster.endpoint(i), from);
    ASSERT_TRUE(reader.AwaitOffset(from.offset() + 50)) << "node " << i + 1;
    reader.Stop();
    const StreamChecker seen = reader.Snapshot();
    EXPECT_THAT(seen.problems(), IsEmpty());
    EXPECT_EQ(seen.snapshots(), 0);
    EXPECT_EQ(seen.commits(), 50);
    EXPECT_EQ(seen.entries().size(), 50U);
    EXPECT_FALSE(seen.entries().contains("a"));
  }
}

TEST(SubscriptionTest, ResumesFromTheLogWhenTheControllerWasRestarted) {
  Cluster cluster(QuietOptions());
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("a", "1")).ok());
  const auto answer = client->ListBrokers({});
  ASSERT_TRUE(answer.ok());
  const v1::Position from = answer->header().applied();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(client->PutEntry(MakePut(fmt::format("b/{}", i), "2")).ok());
  }
  for (int i = 0; i < cluster.size(); ++i) {
    cluster.Kill(i);
  }
  cluster.StartAll();
  const int64_t end = CommittedEnd(*client);
  for (int i = 0; i < cluster.size(); ++i) {
    StreamReader reader(cluster.endpoint(i), from);
    EXPECT_TRUE(reader.AwaitOffset(end)) << "node " << i + 1;
    reader.Stop();
    const StreamChecker seen = reader.Snapshot();
    EXPECT_THAT(seen.problems(), IsEmpty());
    EXPECT_EQ(seen.snapshots(), 0);
    EXPECT_EQ(seen.entries().size(), 20U);
  }
}

TEST(SubscriptionTest, BookmarksComeWhileNothingHappens) {
  ClusterOptions options = QuietOptions();
  options.run_flags.insert(options.run_flags.end(), {"--stream-bookmark-interval-ms", "100"});
  Cluster cluster(options);
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  for (int i = 0; i < cluster.size(); ++i) {
    const StreamReader reader(cluster.endpoint(i));
    EXPECT_TRUE(Eventually([&] { return reader.Snapshot().bookmarks() >= 3; })) << "node " << i + 1;
    EXPECT_THAT(reader.Snapshot().problems(), IsEmpty());
  }
}

TEST(SubscriptionTest, ALargeCommitIsDeliveredInPartsAndSeenWhole) {
  Cluster cluster(QuietOptions());
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  DemoBrokerProcess broker(cluster, 1);
  broker.Start();
  ASSERT_TRUE(broker.AwaitUnfenced()) << broker.ReadLog();
  const StreamReader reader(cluster.endpoint(0));
  ASSERT_TRUE(reader.AwaitOffset(CommittedEnd(*client)));

  constexpr int kPartitions = 9'000;  // of about 50 bytes each; a message carries 128 KiB
  v1::CreateTopicsRequest request;
  v1::NewTopic* topic = request.add_topics();
  topic->set_name("large");
  topic->set_partition_count(kPartitions);
  const auto created = client->CreateTopics(request);
  ASSERT_TRUE(created.ok()) << client::ToText(created.error());
  ASSERT_EQ(created->results(0).status().code(), 0) << created->results(0).status().message();
  const int64_t end = CommittedEnd(*client);
  ASSERT_TRUE(reader.AwaitOffset(end));
  const StreamChecker seen = reader.Snapshot();
  EXPECT_THAT(seen.problems(), IsEmpty());
  EXPECT_EQ(seen.split_commits(), 1);
  EXPECT_EQ(seen.partition_counts().at("large"), kPartitions);

  // And as a snapshot, in chunks.
  const StreamReader later(cluster.endpoint(1));
  ASSERT_TRUE(later.AwaitOffset(end));
  EXPECT_THAT(later.Snapshot().problems(), IsEmpty());
  EXPECT_EQ(later.Snapshot().partition_counts().at("large"), kPartitions);
  EXPECT_TRUE(broker.AwaitOffset(end));
  EXPECT_EQ(broker.Number("partitions"), kPartitions);
}

TEST(SubscriptionTest, AnOrderlyStopSendsSubscribersElsewhere) {
  Cluster cluster;
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_GE(leader, 0);
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("a", "1")).ok());
  const int follower = (leader + 1) % cluster.size();
  client::MetadataCache cache;
  client::MetadataWatcherOptions options;
  options.first_endpoint = cluster.endpoint(follower);
  client::MetadataWatcher watcher(EndpointsOf(cluster.endpoints()), options, cache);
  watcher.Start();
  const StreamReader of_follower(cluster.endpoint(follower));
  const StreamReader of_leader(cluster.endpoint(leader));
  const int64_t end = CommittedEnd(*client);
  ASSERT_TRUE(of_follower.AwaitOffset(end));
  ASSERT_TRUE(of_leader.AwaitOffset(end));
  ASSERT_TRUE(Eventually([&] { return cache.position().offset() >= end; }));

  EXPECT_EQ(cluster.Stop(follower), 0);
  EXPECT_TRUE(of_follower.Snapshot().told_to_go());
  EXPECT_EQ(of_follower.Snapshot().go_away_hint(), cluster.endpoint(leader));
  EXPECT_THAT(of_follower.Snapshot().problems(), IsEmpty());
  ASSERT_TRUE(client->PutEntry(MakePut("b", "2")).ok());
  const int64_t later = CommittedEnd(*client);
  EXPECT_TRUE(Eventually([&] { return cache.position().offset() >= later; }));
  EXPECT_EQ(watcher.status().endpoint, cluster.endpoint(leader)) << "it went where it was sent";
  watcher.Stop();
  EXPECT_EQ(watcher.status().counters.snapshots, 1);
  EXPECT_EQ(watcher.status().stream_count, 2);

  cluster.Start(follower);
  ASSERT_TRUE(Eventually([&] {
    const auto answer = cluster.Describe(follower);
    return answer.has_value() && answer->header().applied().offset() >= later;
  }));
  EXPECT_EQ(cluster.Stop(leader), 0);
  EXPECT_TRUE(of_leader.Snapshot().told_to_go());
  EXPECT_NE(of_leader.Snapshot().go_away_hint(), cluster.endpoint(leader)) << "not to itself";
  EXPECT_THAT(of_leader.Snapshot().problems(), IsEmpty());
}

TEST(SubscriptionTest, AStreamOfTheLeaderEndsWithItsLeadership) {
  Cluster cluster(QuietOptions());
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_GE(leader, 0);
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("a", "1")).ok());
  const StreamReader of_leader(cluster.endpoint(leader), std::nullopt, v1::SOURCE_LEADER);
  const StreamReader of_any(cluster.endpoint(leader));
  ASSERT_TRUE(of_leader.AwaitOffset(CommittedEnd(*client)));
  ASSERT_TRUE(of_any.AwaitOffset(CommittedEnd(*client)));
  const int next = (leader + 1) % cluster.size();
  const CommandResult moved =
      RunCommand({Cluster::BinaryPath("kvorumctl"), "--endpoints", cluster.endpoints(), "quorum",
                  "transfer-leadership", "--node-id", fmt::format("{}", next + 1)});
  ASSERT_EQ(moved.exit_code, 0) << moved.output;
  EXPECT_TRUE(Eventually([&] { return of_leader.Snapshot().told_to_go(); }));
  EXPECT_THAT(of_leader.Snapshot().go_away_hint(), AnyOf("", cluster.endpoint(next)))
      << "the new one, if it is known by then";
  EXPECT_THAT(of_leader.Snapshot().problems(), IsEmpty());
  ASSERT_TRUE(PutUntilAcknowledged(*client, "b", "2").ok());
  EXPECT_TRUE(of_any.AwaitOffset(CommittedEnd(*client)));
  EXPECT_EQ(of_any.streams(), 1) << "this one does not mind";
}

TEST(SubscriptionTest, AFollowerThatIsBehindASubscriberSendsItToTheLeader) {
  Cluster cluster(QuietOptions());
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_GE(leader, 0);
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("a", "1")).ok());
  ASSERT_TRUE(AwaitConvergence(cluster).has_value());
  const auto answer = client->ListBrokers({});
  ASSERT_TRUE(answer.ok());
  v1::Position ahead = answer->header().applied();
  ahead.set_offset(ahead.offset() + 1000);
  const StreamReader lost(cluster.endpoint((leader + 1) % cluster.size()), ahead);
  ASSERT_TRUE(Eventually([&] { return lost.Snapshot().told_to_go(); }));
  EXPECT_EQ(lost.Snapshot().go_away_hint(), cluster.endpoint(leader));
  EXPECT_EQ(lost.Snapshot().snapshots(), 0) << "it is never sent back";
}

TEST(SubscriptionTest, BookmarksTellWhoLeadsAndHowFarTheLogIsCommitted) {
  ClusterOptions options = QuietOptions();
  options.run_flags.insert(options.run_flags.end(), {"--stream-bookmark-interval-ms", "100"});
  Cluster cluster(options);
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_GE(leader, 0);
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("a", "1")).ok());
  const auto state = AwaitConvergence(cluster);
  ASSERT_TRUE(state.has_value());
  for (int i = 0; i < cluster.size(); ++i) {
    const StreamReader reader(cluster.endpoint(i));
    ASSERT_TRUE(Eventually([&] { return reader.Snapshot().last_bookmark().has_value(); }));
    const v1::Bookmark bookmark = *reader.Snapshot().last_bookmark();
    EXPECT_EQ(bookmark.leader_id(), leader + 1) << "node " << i + 1;
    EXPECT_EQ(bookmark.leader_epoch(), state->leader_epoch) << "node " << i + 1;
    EXPECT_EQ(bookmark.high_watermark(), state->applied) << "node " << i + 1;
    EXPECT_EQ(bookmark.position().offset(), state->applied) << "node " << i + 1;
  }
}

}  // namespace
}  // namespace kvorum::testing
