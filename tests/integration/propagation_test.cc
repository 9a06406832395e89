// Writes that wait until every broker has them (api.md §3), on real processes that die: an answer
// that says "applied" is true at the moment it arrives.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "tests/integration/demo_broker_process.h"
#include "tests/integration/fake_broker.h"
#include "tests/integration/live_broker.h"
#include "tests/integration/test_util.h"
#include "tests/support/process.h"

namespace kvorum::testing {
namespace {

using ::testing::HasSubstr;
using Status = v1::Propagation::BrokerStatus;

v1::PutEntryRequest WaitingPut(std::string_view key, milliseconds timeout) {
  v1::PutEntryRequest request = MakePut(key, "v");
  request.mutable_options()->set_wait(v1::WAIT_APPLIED_BY_ALL);
  request.mutable_options()->mutable_wait_timeout()->set_seconds(timeout.count() / 1000);
  request.mutable_options()->mutable_wait_timeout()->set_nanos(
      static_cast<int32_t>(timeout.count() % 1000) * 1'000'000);
  return request;
}

// What became of waiting writes, and every answer that was not true.
struct Tally {
  int64_t applied = 0;
  int64_t incomplete = 0;  // timed out or cut short: said so
  int64_t refused = 0;
  std::vector<std::string> lies;
};

using Brokers = std::vector<std::unique_ptr<LiveBroker>>;

// Writes one key after the other and holds every answer against what the brokers have applied.
void WriteAndCheck(const Cluster& cluster, const Brokers& brokers, int thread,
                   const std::atomic<bool>& stop, Tally& tally) {
  const auto client = cluster.MakeClient();
  for (int i = 0; !stop.load(); ++i) {
    const auto answer =
        client->PutEntry(WaitingPut(fmt::format("storm/{}/{}", thread, i), seconds(8)));
    if (!answer.ok()) {
      ++tally.refused;
      continue;
    }
    const v1::Propagation& propagation = answer->header().propagation();
    if (propagation.outcome() != v1::Propagation::OUTCOME_APPLIED) {
      ++tally.incomplete;
      continue;
    }
    ++tally.applied;
    // All of them serve the whole time, so all of them must have it.
    for (const auto& broker : brokers) {
      if (broker->applied() < propagation.position().offset()) {
        tally.lies.push_back(fmt::format("write at {}: broker {} has applied {}",
                                         propagation.position().offset(), broker->id(),
                                         broker->applied()));
      }
    }
  }
}

// KVORUM_STORM_…, for the long run; else what the short one takes.
int FromEnvironment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

// How often a leader dies, where the cluster is whole again by then.
constexpr seconds kBetweenDeaths{3};

TEST(PropagationTest, EveryAnswerIsTrueWhileLeadersDieAndBrokersFollow) {
  const int broker_count = FromEnvironment("KVORUM_STORM_BROKERS", 12);
  constexpr int kWriters = 2;
  Cluster cluster;
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  Brokers brokers;
  for (int32_t id = 1; id <= broker_count; ++id) {
    brokers.push_back(std::make_unique<LiveBroker>(cluster, id, id % cluster.size()));
    ASSERT_TRUE(brokers.back()->Start())
        << "broker " << id << ": " << brokers.back()->session().last_error;
  }
  std::atomic<bool> stop = false;
  std::vector<Tally> tallies(kWriters);
  std::vector<std::thread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back(
        [&, i] { WriteAndCheck(cluster, brokers, i, stop, tallies[static_cast<size_t>(i)]); });
  }
  const auto begin = std::chrono::steady_clock::now();
  const auto end = begin + seconds(FromEnvironment("KVORUM_STORM_SECONDS", 15));
  int deaths = 0;
  while (std::chrono::steady_clock::now() < end) {
    const int leader = cluster.WaitForLeader();
    if (leader < 0) {
      ADD_FAILURE() << "no leader after " << deaths << " deaths";
      break;
    }
    std::this_thread::sleep_until(begin + deaths * kBetweenDeaths);
    cluster.Kill(leader);
    ++deaths;
    const int next = cluster.WaitForLeader();
    EXPECT_GE(next, 0);
    cluster.Start(leader);
    // It must be of use before the next one dies, or two of three would be down.
    EXPECT_TRUE(Eventually([&] {
      const auto answer = cluster.Describe(leader);
      return answer.has_value() && answer->header().leader_id() > 0 &&
             answer->header().applied().offset() > 0;
    }));
  }
  stop.store(true);
  for (std::thread& writer : writers) {
    writer.join();
  }
  Tally all;
  for (const Tally& tally : tallies) {
    all.applied += tally.applied;
    all.incomplete += tally.incomplete;
    all.refused += tally.refused;
    all.lies.insert(all.lies.end(), tally.lies.begin(), tally.lies.end());
  }
  EXPECT_THAT(all.lies, ::testing::IsEmpty());
  EXPECT_GT(all.applied, 0);
  EXPECT_GE(deaths, 3);
  std::printf(
      "%d brokers, %d deaths of the leader: %ld writes applied by all, %ld incomplete, "
      "%ld refused\n",
      broker_count, deaths, static_cast<long>(all.applied), static_cast<long>(all.incomplete),
      static_cast<long>(all.refused));

  // A last write that everybody has: then all must hold the same.
  const auto client = cluster.MakeClient();
  const auto last = client->PutEntry(WaitingPut("last", seconds(9)));
  ASSERT_TRUE(last.ok()) << client::ToText(last.error());
  EXPECT_EQ(last->header().propagation().outcome(), v1::Propagation::OUTCOME_APPLIED)
      << last->header().propagation().ShortDebugString();
  EXPECT_EQ(last->header().propagation().brokers_size(), broker_count);
  EXPECT_TRUE(AwaitConvergence(cluster).has_value()) << "one state hash on all controllers";
  const Entries expected = ListAll(*client);
  int64_t streams = 0;
  for (const auto& broker : brokers) {
    EXPECT_GE(broker->applied(), last->header().propagation().position().offset());
    EXPECT_EQ(broker->cache().digest(), brokers.front()->cache().digest()) << broker->id();
    Entries held;
    for (const auto& [key, entry] : broker->cache().Snapshot()->entries) {
      held[key] = entry->value;
    }
    EXPECT_EQ(held, expected) << broker->id();
    const client::WatcherStatus status = broker->watcher();
    EXPECT_EQ(status.counters.gaps + status.counters.duplicates + status.counters.malformed, 0)
        << broker->id() << ": " << status.last_error;
    EXPECT_EQ(status.fatal_error, "");
    streams += status.stream_count;
  }
  std::printf("%ld streams were opened; none went back, left out or repeated anything\n",
              static_cast<long>(streams));
}

TEST(PropagationTest, ABrokerThatHangsIsNamedAndTheWriteStandsAllTheSame) {
  Cluster cluster(QuietOptions());
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  LiveBroker good(cluster, 1, 0);
  ASSERT_TRUE(good.Start());
  FakeBroker hangs(*client, 2);
  ASSERT_TRUE(hangs.Register());
  ASSERT_TRUE(hangs.BecomeUnfenced());

  const auto answer = client->PutEntry(WaitingPut("k", milliseconds(300)));
  ASSERT_TRUE(answer.ok()) << client::ToText(answer.error());
  const v1::Propagation& propagation = answer->header().propagation();
  EXPECT_EQ(propagation.outcome(), v1::Propagation::OUTCOME_TIMED_OUT);
  ASSERT_EQ(propagation.brokers_size(), 2);
  EXPECT_EQ(propagation.brokers(0).state(), Status::STATE_APPLIED);
  EXPECT_EQ(propagation.brokers(1).state(), Status::STATE_PENDING);
  EXPECT_LT(propagation.brokers(1).applied_offset(), propagation.position().offset());
  EXPECT_TRUE(ListAll(*client).contains("k"));

  // Whoever holds the position can ask again, and hears when the broker has it.
  v1::AwaitAppliedRequest ask;
  *ask.mutable_position() = propagation.position();
  ask.set_wait(v1::WAIT_APPLIED_BY);
  ask.add_wait_broker_ids(2);
  std::thread later([&] { EXPECT_TRUE(hangs.Heartbeat(propagation.position().offset()).ok()); });
  const auto awaited = client->AwaitApplied(ask);
  later.join();
  ASSERT_TRUE(awaited.ok()) << client::ToText(awaited.error());
  EXPECT_EQ(awaited->header().propagation().outcome(), v1::Propagation::OUTCOME_APPLIED);
}

TEST(PropagationTest, APositionThatIsNotInTheLogIsRefusedByName) {
  Cluster cluster(QuietOptions());
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  const auto put = PutUntilAcknowledged(*client, "k", "v");
  ASSERT_TRUE(put.ok());
  const auto reason_for = [&](const std::function<void(v1::Position&)>& change) {
    v1::AwaitAppliedRequest ask;
    *ask.mutable_position() = put->header().committed();
    change(*ask.mutable_position());
    const auto answer = client->AwaitApplied(ask);
    return answer.ok() ? v1::UNKNOWN : answer.error().reason;
  };
  EXPECT_EQ(reason_for([](auto&) {}), v1::UNKNOWN) << "that one is there";
  EXPECT_EQ(reason_for([](auto& p) { p.set_epoch(p.epoch() + 1); }), v1::POSITION_DISCARDED);
  EXPECT_EQ(reason_for([](auto& p) { p.set_offset(p.offset() + 1'000'000); }),
            v1::POSITION_DISCARDED);
  EXPECT_EQ(reason_for([](auto& p) { p.set_generation(p.generation() + 1); }),
            v1::GENERATION_MISMATCH);
  EXPECT_EQ(reason_for([](auto& p) { p.set_offset(-1); }), v1::INVALID_REQUEST);
}

TEST(PropagationTest, ABrokerInPythonIsWaitedForAcrossADeathOfTheLeader) {
  Cluster cluster;
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  const std::string log = cluster.path() + "/broker.py.log";
  Process broker({"/usr/bin/python3", KVORUM_EXAMPLES_DIR "/broker.py", "--id", "9", "--endpoints",
                  cluster.endpoints(), "--until", "end"},
                 log);
  const auto client = cluster.MakeClient();
  const auto serves = [&] {
    const auto answer = client->ListBrokers({});
    return answer.ok() && answer->brokers_size() == 1 && !answer->brokers(0).fenced();
  };
  ASSERT_TRUE(Eventually([&] { return serves() || !broker.is_running(); })) << ReadFile(log);
  if (!broker.is_running() && broker.Wait() == 77) {
    GTEST_SKIP() << ReadFile(log);
  }
  cluster.Kill(cluster.WaitForLeader());
  ASSERT_GE(cluster.WaitForLeader(), 0);
  ASSERT_TRUE(PutUntilAcknowledged(*client, "middle", "v").ok());
  const auto last = client->PutEntry(WaitingPut("end", seconds(9)));
  ASSERT_TRUE(last.ok()) << client::ToText(last.error());
  const v1::Propagation& propagation = last->header().propagation();
  EXPECT_EQ(propagation.outcome(), v1::Propagation::OUTCOME_APPLIED)
      << propagation.ShortDebugString() << ReadFile(log);
  ASSERT_EQ(propagation.brokers_size(), 1);
  EXPECT_EQ(propagation.brokers(0).broker_id(), 9);
  EXPECT_EQ(broker.Wait(), 0) << ReadFile(log);
}

TEST(PropagationTest, ABrokerInPythonTakesOverAtOnceFromOneThatWasKilled) {
  ClusterOptions options;
  options.run_flags = {"--broker-session-timeout-ms", "600000"};  // nobody waits for that
  Cluster cluster(options);
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  const auto client = cluster.MakeClient();
  const std::string log = cluster.path() + "/broker.py.log";
  const std::vector<std::string> command = {"/usr/bin/python3",
                                            KVORUM_EXAMPLES_DIR "/broker.py",
                                            "--id",
                                            "9",
                                            "--endpoints",
                                            cluster.endpoints(),
                                            "--until",
                                            "arrived"};
  const auto epoch_of_serving = [&]() -> int64_t {
    const auto answer = client->ListBrokers({});
    return answer.ok() && answer->brokers_size() == 1 && !answer->brokers(0).fenced()
               ? answer->brokers(0).broker_epoch()
               : -1;
  };
  Process first(command, log);
  ASSERT_TRUE(Eventually([&] { return epoch_of_serving() >= 0 || !first.is_running(); }))
      << ReadFile(log);
  if (!first.is_running() && first.Wait() == 77) {
    GTEST_SKIP() << ReadFile(log);
  }
  const int64_t first_epoch = epoch_of_serving();
  first.Signal(SIGKILL);
  first.Wait();
  Process second(command, log);
  ASSERT_TRUE(Eventually([&] { return epoch_of_serving() > first_epoch || !second.is_running(); }))
      << ReadFile(log);
  ASSERT_TRUE(PutUntilAcknowledged(*client, "arrived", "v").ok());
  EXPECT_EQ(second.Wait(), 0) << "refused, or lost: " << ReadFile(log);
}

TEST(PropagationTest, TheCommandLineWaitsAndShowsWhoLags) {
  Cluster cluster(QuietOptions());
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  const auto run = [&](std::vector<std::string> args, int& exit_code) {
    args.insert(args.begin(), Cluster::BinaryPath("kvorumctl"));
    args.insert(args.end(), {"--endpoints", cluster.endpoints()});
    const CommandResult result = RunCommand(args);
    exit_code = result.exit_code;
    return result.output;
  };
  LiveBroker broker(cluster, 1, 0);
  ASSERT_TRUE(broker.Start());
  int exit_code = -1;
  EXPECT_THAT(run({"entry", "put", "a", "1", "--wait", "applied"}, exit_code),
              HasSubstr("applied by 1 of 1 brokers"));
  EXPECT_EQ(exit_code, 0);

  FakeBroker hangs(*client, 2);
  ASSERT_TRUE(hangs.Register());
  ASSERT_TRUE(hangs.BecomeUnfenced());
  const std::string late =
      run({"entry", "put", "b", "1", "--wait", "applied", "--timeout", "500ms"}, exit_code);
  EXPECT_THAT(late, HasSubstr("broker 2 has not applied it yet"));
  EXPECT_EQ(exit_code, 6);
  const std::string lag = run({"broker", "lag", "--output", "json"}, exit_code);
  EXPECT_EQ(exit_code, 0);
  const auto document = ParseJson(lag);
  ASSERT_TRUE(document.has_value()) << lag;
  const auto& rows = document->fields().at("brokers").list_value();
  ASSERT_EQ(rows.values_size(), 2);
  const auto lag_of = [&rows](int row) {
    return rows.values(row).struct_value().fields().at("lag").string_value();
  };
  EXPECT_EQ(lag_of(0), "0");
  EXPECT_NE(lag_of(1), "0");
}

}  // namespace
}  // namespace kvorum::testing
