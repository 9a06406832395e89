// What an operator does, and does wrong: starting, stopping, mixing up directories, damaged disks.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kUsage = 1;
constexpr int kStorageFailed = 71;
constexpr int kBadDirectory = 72;
constexpr int kPortTaken = 73;

std::string Kvorumd() { return Cluster::BinaryPath("kvorumd"); }

// `kvorumd run` on free ports, with other flags behind: for starts that must fail.
CommandResult TryRun(const std::vector<std::string>& flags) {
  const std::vector<int> ports = FreePorts(2);
  std::vector<std::string> argv = {Kvorumd(),
                                   "run",
                                   "--client-listener",
                                   fmt::format("127.0.0.1:{}", ports[0]),
                                   "--controller-listener",
                                   fmt::format("127.0.0.1:{}", ports[1]),
                                   "--http-listener",
                                   "off"};
  argv.insert(argv.end(), flags.begin(), flags.end());
  return RunCommand(argv);
}

TEST(OperationsTest, APortThatIsTakenEndsTheStartWithASentence) {
  Cluster cluster;
  cluster.Start(0);
  ASSERT_TRUE(Eventually([&] { return cluster.Describe(0).has_value(); }));
  for (const auto& [flag, address] :
       {std::pair<std::string, std::string>{"--client-listener", cluster.endpoint(0)},
        {"--controller-listener", cluster.controller_endpoint(0)},
        {"--http-listener", cluster.http_endpoint(0)}}) {
    const CommandResult result = RunCommand(
        {Kvorumd(), "run", "--data-dir", cluster.data_dir(1), "--client-listener",
         flag == "--client-listener" ? address : cluster.endpoint(1), "--controller-listener",
         flag == "--controller-listener" ? address : cluster.controller_endpoint(1),
         "--http-listener", flag == "--http-listener" ? address : "off"});
    EXPECT_EQ(result.exit_code, kPortTaken) << result.output;
    EXPECT_THAT(result.output, HasSubstr(address)) << flag;
  }
  EXPECT_TRUE(cluster.process(0).is_running());
}

TEST(OperationsTest, ADirectoryThatIsNotOursEndsTheStartWithAWayOut) {
  Cluster cluster;
  const CommandResult unformatted = TryRun({"--data-dir", cluster.path() + "/nothing"});
  EXPECT_EQ(unformatted.exit_code, kBadDirectory) << unformatted.output;
  EXPECT_THAT(unformatted.output, HasSubstr("kvorumd format"));

  const CommandResult foreign_node = TryRun({"--data-dir", cluster.data_dir(0), "--node-id", "2"});
  EXPECT_EQ(foreign_node.exit_code, kBadDirectory) << foreign_node.output;
  EXPECT_THAT(foreign_node.output, HasSubstr("1"));

  const CommandResult foreign_cluster =
      TryRun({"--data-dir", cluster.data_dir(0), "--cluster-id", "other"});
  EXPECT_EQ(foreign_cluster.exit_code, kBadDirectory) << foreign_cluster.output;
  EXPECT_THAT(foreign_cluster.output, HasSubstr("other"));
  EXPECT_THAT(foreign_cluster.output, HasSubstr("test"));

  const CommandResult nowhere = TryRun({});
  EXPECT_EQ(nowhere.exit_code, kUsage) << nowhere.output;
  EXPECT_THAT(nowhere.output, HasSubstr("data-dir"));

  // A voter whose database is gone has forgotten its votes: it must not begin anew by itself.
  std::filesystem::remove_all(cluster.data_dir(0) + "/log");
  const CommandResult emptied = TryRun({"--data-dir", cluster.data_dir(0)});
  EXPECT_TRUE(emptied.exit_code == kStorageFailed || emptied.exit_code == kBadDirectory)
      << emptied.exit_code << "\n"
      << emptied.output;
}

TEST(OperationsTest, ADirectoryThatOthersCanChangeIsRefused) {
  Cluster cluster;
  const std::string data_dir = cluster.data_dir(0);
  const std::filesystem::path snapshots = data_dir + "/snapshots";
  std::filesystem::rename(snapshots, cluster.path() + "/elsewhere");
  std::filesystem::create_directory_symlink(cluster.path() + "/elsewhere", snapshots);
  const CommandResult linked = TryRun({"--data-dir", data_dir});
  EXPECT_EQ(linked.exit_code, kBadDirectory) << linked.output;
  EXPECT_THAT(linked.output, HasSubstr("symbolic link"));

  std::filesystem::permissions(cluster.data_dir(1), std::filesystem::perms::others_write,
                               std::filesystem::perm_options::add);
  const CommandResult open = TryRun({"--data-dir", cluster.data_dir(1)});
  EXPECT_EQ(open.exit_code, kBadDirectory) << open.output;
  EXPECT_THAT(open.output, HasSubstr("every user"));
}

TEST(OperationsTest, FormattingTwiceOrWronglyIsRefused) {
  Cluster cluster;
  const std::string voters =
      fmt::format("1@{}:00000000-0000-4000-8000-000000000001", cluster.controller_endpoint(0));
  const auto format = [&](const std::string& directory, const std::string& cluster_id,
                          const std::string& node_id, const std::string& list) {
    return RunCommand({Kvorumd(), "format", "--data-dir", directory, "--cluster-id", cluster_id,
                       "--node-id", node_id, "--initial-voters", list});
  };
  const std::string before = ReadFile(cluster.data_dir(0) + "/meta.properties");
  const CommandResult again = format(cluster.data_dir(0), "test", "1", voters);
  EXPECT_EQ(again.exit_code, kBadDirectory) << again.output;
  EXPECT_EQ(ReadFile(cluster.data_dir(0) + "/meta.properties"), before);
  const std::string fresh = cluster.path() + "/fresh";
  EXPECT_EQ(format(fresh, "not a name!", "1", voters).exit_code, kUsage);
  EXPECT_EQ(format(fresh, "test", "2", voters).exit_code, kUsage) << "not among the voters";
  EXPECT_EQ(format(fresh, "test", "-1", voters).exit_code, kUsage);
  EXPECT_EQ(format(fresh, "test", "1", "nonsense").exit_code, kUsage);
  EXPECT_EQ(format(fresh, "test", "1", voters + "," + voters).exit_code, kUsage);
  EXPECT_EQ(format(fresh, "test", "1", voters).exit_code, 0);
}

TEST(OperationsTest, ASecondProcessOnTheSameDirectoryIsRefusedAndTheFirstLivesOn) {
  Cluster cluster;
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("k", "1")).ok());
  for (int i = 0; i < cluster.size(); ++i) {
    const CommandResult second = TryRun({"--data-dir", cluster.data_dir(i)});
    EXPECT_TRUE(second.exit_code == kStorageFailed || second.exit_code == kBadDirectory)
        << second.exit_code << "\n"
        << second.output;
    EXPECT_TRUE(Contains(second.output, "another process")) << second.output;
    EXPECT_TRUE(cluster.process(i).is_running());
  }
  EXPECT_TRUE(client->PutEntry(MakePut("k", "2")).ok());
}

TEST(OperationsTest, BadFlagsAreNamed) {
  const CommandResult mistyped = TryRun({"--data-dir", "/nowhere", "--quorum-fetch-timeout", "1"});
  EXPECT_EQ(mistyped.exit_code, kUsage);
  EXPECT_THAT(mistyped.output, HasSubstr("quorum-fetch-timeout-ms"));
  const CommandResult nonsense =
      TryRun({"--data-dir", "/nowhere", "--quorum-fetch-timeout-ms", "soon"});
  EXPECT_EQ(nonsense.exit_code, kUsage);
  EXPECT_THAT(nonsense.output, HasSubstr("quorum-fetch-timeout-ms"));
  EXPECT_EQ(RunCommand({Kvorumd()}).exit_code, kUsage);
  EXPECT_EQ(RunCommand({Kvorumd(), "--help"}).exit_code, 0);
  const CommandResult config = RunCommand({Kvorumd(), "config", "--node-id", "7"});
  EXPECT_EQ(config.exit_code, 0);
  EXPECT_THAT(config.output, HasSubstr("quorum-election-timeout-ms"));
}

TEST(OperationsTest, DevServesWithoutAnyPreparationAndStopsOnSigterm) {
  const TemporaryDirectory directory("kvorum-dev-test");
  const std::vector<int> ports = FreePorts(2);
  const std::string endpoint = fmt::format("127.0.0.1:{}", ports[0]);
  const std::string log = directory.path() + "/log";
  Process dev({Kvorumd(), "dev", "--client-listener", endpoint, "--controller-listener",
               fmt::format("127.0.0.1:{}", ports[1]), "--http-listener", "off"},
              log);
  const auto kvorumctl = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {Cluster::BinaryPath("kvorumctl"), "--endpoints", endpoint});
    return RunCommand(args);
  };
  ASSERT_TRUE(Eventually([&] { return Contains(ReadFile(log), endpoint); })) << ReadFile(log);
  EXPECT_EQ(kvorumctl({"entry", "put", "greeting", "hello"}).exit_code, 0) << ReadFile(log);
  EXPECT_EQ(kvorumctl({"entry", "get", "greeting", "--raw"}).output, "hello");
  dev.Signal(SIGTERM);
  EXPECT_EQ(dev.Wait(), 0) << ReadFile(log);
}

TEST(OperationsTest, DevKeepsItsDataWhenAskedTo) {
  const TemporaryDirectory directory("kvorum-dev-test");
  const std::string log = directory.path() + "/log";
  for (int round = 0; round < 2; ++round) {
    const std::vector<int> ports = FreePorts(2);
    const std::string endpoint = fmt::format("127.0.0.1:{}", ports[0]);
    Process dev(
        {Kvorumd(), "dev", "--data-dir", directory.path() + "/data", "--client-listener", endpoint,
         "--controller-listener", fmt::format("127.0.0.1:{}", ports[1]), "--http-listener", "off"},
        log);
    const CommandResult result =
        RunCommand({Cluster::BinaryPath("kvorumctl"), "--endpoints", endpoint, "entry",
                    round == 0 ? "put" : "get", "k", round == 0 ? "kept" : "--raw"});
    EXPECT_EQ(result.exit_code, 0) << result.output << ReadFile(log);
    EXPECT_TRUE(round == 0 || result.output == "kept") << result.output;
    dev.Signal(SIGINT);
    EXPECT_EQ(dev.Wait(), 0) << ReadFile(log);
  }
}

// The newest of RocksDB's write-ahead logs in `data_dir`.
std::string WriteAheadLog(const std::string& data_dir) {
  std::string newest;
  for (const auto& file : std::filesystem::recursive_directory_iterator(data_dir + "/log")) {
    const std::string path = file.path().string();
    if (file.path().extension() == ".log" && file.file_size() > 0 && path > newest) {
      newest = path;
    }
  }
  return newest;
}

void FlipAByteInTheMiddle(const std::string& path) {
  std::string bytes = ReadFile(path);
  ASSERT_GT(bytes.size(), 1000U) << path;
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x40);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

TEST(OperationsTest, ADamagedLogIsRefusedAndTheOthersGoOn) {
  Cluster cluster;
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(client->PutEntry(MakePut(fmt::format("k/{}", i), std::string(500, 'v'))).ok());
  }
  ASSERT_TRUE(AwaitConvergence(cluster).has_value());
  const int damaged = 0;
  cluster.Kill(damaged);
  const std::string wal = WriteAheadLog(cluster.data_dir(damaged));
  ASSERT_NE(wal, "");
  FlipAByteInTheMiddle(wal);
  const std::string evidence = ReadFile(wal);

  cluster.Start(damaged);
  EXPECT_EQ(cluster.process(damaged).Wait(), kStorageFailed) << cluster.ReadLog(damaged);
  EXPECT_EQ(ReadFile(wal), evidence) << "the damage must stay for whoever looks at it";
  EXPECT_TRUE(PutUntilAcknowledged(*client, "after", "v").ok());
  EXPECT_EQ(ListAll(*client).size(), 51U);
}

TEST(OperationsTest, DumpLogShowsWhatAStoppedNodeHasAndRefusesARunningOne) {
  Cluster cluster(QuietOptions());
  cluster.StartAll();
  const auto client = cluster.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("dumped-key", "dumped-value")).ok());
  ASSERT_TRUE(AwaitConvergence(cluster).has_value());
  const auto dump = [&](const std::string& format) {
    return RunCommand(
        {Kvorumd(), "dump-log", "--data-dir", cluster.data_dir(1), "--output", format});
  };
  const CommandResult running = dump("text");
  EXPECT_NE(running.exit_code, 0);
  EXPECT_TRUE(Contains(running.output, "another process")) << running.output;
  EXPECT_EQ(cluster.Stop(1), 0) << cluster.ReadLog(1);
  for (const char* format : {"text", "json"}) {
    const CommandResult result = dump(format);
    EXPECT_EQ(result.exit_code, 0) << result.output;
    EXPECT_THAT(result.output, HasSubstr("dumped-key"));
  }
  EXPECT_TRUE(Contains(dump("text").output, "leader_change")) << "raft's own records, too";
  cluster.Start(1);
  EXPECT_TRUE(AwaitConvergence(cluster).has_value()) << "a dump leaves no trace";
}

TEST(OperationsTest, HttpTellsReadinessLivenessAndMetrics) {
  Cluster cluster;
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  for (int i = 0; i < cluster.size(); ++i) {
    const auto get = [&](const std::string& path) {
      return RunCommand({"curl", "-sS", "-m", "5", "-w", "\n%{http_code}",
                         fmt::format("http://{}{}", cluster.http_endpoint(i), path)});
    };
    ASSERT_TRUE(Eventually([&] { return Contains(get("/readyz").output, "\n200"); }));
    EXPECT_TRUE(Contains(get("/livez").output, "\n200"));
    EXPECT_TRUE(Contains(get("/nothing").output, "\n404"));
    const std::string metrics = get("/metrics").output;
    EXPECT_THAT(metrics, HasSubstr("raft_high_watermark"));
    EXPECT_THAT(metrics, HasSubstr("raft_current_epoch"));
  }
}

TEST(OperationsTest, Sigusr1WritesTheStateToTheLogAndChangesNothing) {
  Cluster cluster;
  cluster.StartAll();
  ASSERT_GE(cluster.WaitForLeader(), 0);
  const size_t before = cluster.ReadLog(0).size();
  cluster.process(0).Signal(SIGUSR1);
  EXPECT_TRUE(Eventually([&] { return cluster.ReadLog(0).size() > before; }));
  EXPECT_TRUE(cluster.process(0).is_running());
  EXPECT_TRUE(cluster.MakeClient()->PutEntry(MakePut("k", "v")).ok());
}

}  // namespace
}  // namespace kvorum::testing
