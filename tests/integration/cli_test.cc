// kvorumctl as a process, on a real cluster: exit codes that scripts rely on, JSON that parses.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "tests/integration/demo_broker_process.h"
#include "tests/integration/fake_broker.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kMissing = 3;
constexpr int kConflict = 4;
constexpr int kUnavailable = 5;
constexpr int kTimedOut = 6;
constexpr int kUnhealthy = 7;

class CliTest : public ::testing::Test {
 protected:
  CommandResult Run(std::vector<std::string> args) const {
    return RunAgainst(cluster_.endpoints(), std::move(args));
  }
  static CommandResult RunAgainst(const std::string& endpoints, std::vector<std::string> args) {
    args.insert(args.begin(), {Cluster::BinaryPath("kvorumctl"), "--endpoints", endpoints});
    return RunCommand(args);
  }
  // Runs with --output json, expects exit code 0 and a document.
  google::protobuf::Struct RunJson(std::vector<std::string> args) const {
    args.insert(args.begin(), {"--output", "json"});
    const CommandResult result = Run(std::move(args));
    EXPECT_EQ(result.exit_code, kOk) << result.output;
    const auto document = ParseJson(result.output);
    EXPECT_TRUE(document.has_value()) << result.output;
    return document.value_or(google::protobuf::Struct());
  }
  void Expect(int exit_code, const std::string& text, std::vector<std::string> args) const {
    const std::string shown = fmt::format("kvorumctl {}", fmt::join(args, " "));
    const CommandResult result = Run(std::move(args));
    EXPECT_EQ(result.exit_code, exit_code) << shown << "\n" << result.output;
    EXPECT_THAT(result.output, HasSubstr(text)) << shown;
  }

  Cluster cluster_;
};

TEST_F(CliTest, EntriesFromPutToDelete) {
  cluster_.StartAll();
  Expect(kOk, "put greeting version", {"entry", "put", "greeting", "hello"});
  Expect(kOk, "hello", {"entry", "get", "greeting"});
  EXPECT_EQ(Run({"entry", "get", "greeting", "--raw"}).output, "hello");
  const auto got = RunJson({"entry", "get", "greeting"});
  const auto& entry = got.fields().at("entry").struct_value().fields();
  EXPECT_EQ(entry.at("key").string_value(), "greeting");
  const std::string version = entry.at("version").string_value();  // 64 bits are text in JSON

  Expect(kConflict, "INVALID_UPDATE_VERSION",
         {"entry", "put", "greeting", "x", "--expected-version", "0"});
  Expect(kOk, "put", {"entry", "put", "greeting", "again", "--expected-version", version});
  Expect(kConflict, "INVALID_UPDATE_VERSION",
         {"entry", "delete", "greeting", "--expected-version", version});

  const std::string file = cluster_.path() + "/value";
  std::ofstream(file, std::ios::binary) << std::string("\x00\xff two", 6);
  Expect(kOk, "put", {"entry", "put", "binary", "--value-file", file});
  EXPECT_EQ(Run({"entry", "get", "binary", "--raw"}).output, std::string("\x00\xff two", 6));

  const auto listed = RunJson({"entry", "list"});
  EXPECT_EQ(listed.fields().at("entries").list_value().values_size(), 2);
  Expect(kOk, "greeting", {"entry", "list", "--prefix", "gr", "--keys-only"});
  Expect(kOk, "deleted greeting", {"entry", "delete", "greeting"});
  Expect(kMissing, "UNKNOWN_KEY", {"entry", "get", "greeting"});
  Expect(kMissing, "UNKNOWN_KEY", {"entry", "delete", "greeting"});
  Expect(kFailed, "VALUE_TOO_LARGE", {"entry", "put", "k", std::string(65'537, 'v')});
  Expect(kUsage, "", {"entry", "put"});
  Expect(kUsage, "", {"entry", "burn", "k"});
}

TEST_F(CliTest, TopicsFromCreateToDelete) {
  cluster_.StartAll();
  ASSERT_GE(cluster_.WaitForLeader(), 0);
  Expect(kFailed, "INVALID_REPLICATION_FACTOR", {"topic", "create", "orders"});
  DemoBrokerProcess first(cluster_, 1, "rack-a");
  DemoBrokerProcess second(cluster_, 2, "rack-b");
  first.Start();
  second.Start();
  ASSERT_TRUE(first.AwaitUnfenced() && second.AwaitUnfenced());

  Expect(kOk, "would create",
         {"topic", "create", "orders", "--partitions", "3", "--validate-only"});
  Expect(kMissing, "UNKNOWN_TOPIC_OR_PARTITION", {"topic", "get", "orders"});
  Expect(kOk, "created topic orders",
         {"topic", "create", "orders", "--partitions", "3", "--replication-factor", "2"});
  Expect(kConflict, "TOPIC_ALREADY_EXISTS", {"topic", "create", "orders"});
  Expect(kOk, "created topic placed", {"topic", "create", "placed", "--assignment", "0:2,1"});
  Expect(kOk, "topic orders has 5 partitions", {"topic", "grow", "orders", "--partitions", "5"});
  Expect(kFailed, "INVALID_PARTITIONS", {"topic", "grow", "orders", "--partitions", "5"});
  Expect(kOk, "orders", {"topic", "list"});

  const auto topic = RunJson({"topic", "get", "orders"});
  EXPECT_EQ(topic.fields().at("partitions").list_value().values_size(), 5);
  const auto topics = RunJson({"topic", "list", "--prefix", "pl"});
  EXPECT_EQ(topics.fields().at("topics").list_value().values_size(), 1);

  Expect(kOk, "rack-a", {"broker", "list"});
  const auto brokers = RunJson({"broker", "list"});
  ASSERT_EQ(brokers.fields().at("brokers").list_value().values_size(), 2);
  EXPECT_FALSE(brokers.fields()
                   .at("brokers")
                   .list_value()
                   .values(0)
                   .struct_value()
                   .fields()
                   .at("fenced")
                   .bool_value());

  Expect(kOk, "deleted topic orders", {"topic", "delete", "orders", "placed"});
  Expect(kMissing, "UNKNOWN_TOPIC_OR_PARTITION", {"topic", "delete", "orders"});
  Expect(kMissing, "BROKER_ID_NOT_REGISTERED", {"broker", "unregister", "42"});
}

TEST_F(CliTest, NamespacesKeepEntriesApartAndOwnersTakeThemAlong) {
  cluster_.StartAll();
  Expect(kOk, "put", {"entry", "put", "k", "default"});
  Expect(kOk, "put", {"entry", "put", "k", "of-a", "--namespace", "a"});
  EXPECT_EQ(Run({"entry", "get", "k", "--raw"}).output, "default");
  EXPECT_EQ(Run({"entry", "get", "k", "--raw", "--namespace", "a"}).output, "of-a");
  Expect(kOk, "of-a", {"entry", "list", "--namespace", "a"});
  Expect(kOk, "(default)", {"entry", "namespaces"});
  const auto listed = RunJson({"entry", "namespaces"});
  EXPECT_EQ(listed.fields().at("namespaces").list_value().values_size(), 2);
  Expect(kOk, "deleted k", {"entry", "delete", "k", "--namespace", "a"});
  Expect(kMissing, "UNKNOWN_KEY", {"entry", "get", "k", "--namespace", "a"});
  Expect(kFailed, "INVALID_KEY", {"entry", "put", "k", "v", "--namespace", "a/b"});
  Expect(kMissing, "BROKER_ID_NOT_REGISTERED",
         {"entry", "put", "mine", "v", "--owner-broker", "1", "--owner-epoch", "1"});
  Expect(kUsage, "", {"entry", "put", "mine", "v", "--owner-broker", "1"});
  const auto client = cluster_.MakeClient();
  FakeBroker broker(*client, 1);
  ASSERT_TRUE(broker.Register() && broker.BecomeUnfenced());
  Expect(kOk, "put",
         {"entry", "put", "mine", "v", "--owner-broker", "1", "--owner-epoch",
          std::to_string(broker.epoch())});
  Expect(kOk, "", {"broker", "unregister", "1"});
  Expect(kMissing, "UNKNOWN_KEY", {"entry", "get", "mine"});
}

TEST_F(CliTest, ConfigsQuotasAclsCredentialsFeaturesAndProducerIds) {
  cluster_.StartAll();
  const auto client = cluster_.MakeClient();
  FakeBroker broker(*client, 1);
  ASSERT_TRUE(broker.Register() && broker.BecomeUnfenced());
  Expect(kOk, "created", {"topic", "create", "orders", "--config", "retention.ms=1000"});

  Expect(kOk, "\"1000\"", {"config", "get", "--topic", "orders", "retention.ms"});
  Expect(
      kOk, "changed configs of TOPIC orders",
      {"config", "set", "--topic", "orders", "segment.ms=5", "--append", "cleanup.policy=compact"});
  Expect(kOk, "delete,compact", {"config", "get", "--topic", "orders"});
  Expect(kOk, "changed", {"config", "unset", "--topic", "orders", "segment.ms"});
  Expect(kOk, "STATIC_DEFAULT", {"config", "get", "--topic", "orders", "segment.ms"});
  Expect(kOk, "changed", {"config", "set", "--broker-default", "log.roll.ms=7"});
  Expect(kOk, "CLUSTER_DEFAULT", {"config", "get", "--topic", "orders", "segment.ms"});
  Expect(kFailed, "INVALID_CONFIG", {"config", "set", "--topic", "orders", "segment.ms=x"});
  Expect(kMissing, "UNKNOWN_TOPIC_OR_PARTITION", {"config", "get", "--topic", "missing"});
  Expect(kMissing, "BROKER_ID_NOT_REGISTERED", {"config", "set", "--broker", "9", "log.roll.ms=7"});
  Expect(kUsage, "", {"config", "set", "segment.ms=5"});
  Expect(kUsage, "", {"config", "set", "--topic", "orders", "segment.ms"});
  const auto configs = RunJson({"config", "get", "--topic", "orders", "--synonyms"});
  EXPECT_EQ(configs.fields().at("results").list_value().values_size(), 1);

  Expect(kOk, "changed", {"quota", "set", "--user", "alice", "producer_byte_rate=1024"});
  Expect(kOk, "producer_byte_rate", {"quota", "list", "--user", "alice"});
  Expect(kFailed, "INVALID_REQUEST", {"quota", "set", "--user", "alice", "nonsense=1"});
  Expect(kUsage, "", {"quota", "set", "--user", "alice", "producer_byte_rate=fast"});
  Expect(kOk, "changed", {"quota", "unset", "--user", "alice", "producer_byte_rate"});
  EXPECT_EQ(RunJson({"quota", "list"}).fields().at("quotas").list_value().values_size(), 0);

  Expect(kOk, "created",
         {"acl", "create", "--resource-type", "topic", "--name", "orders", "--principal",
          "User:alice", "--operation", "read"});
  Expect(kOk, "User:alice", {"acl", "list", "--principal", "User:alice"});
  Expect(kFailed, "INVALID_REQUEST",
         {"acl", "create", "--resource-type", "topic", "--name", "o", "--principal", "alice",
          "--operation", "read"});
  Expect(kUsage, "--yes", {"acl", "delete", "--principal", "User:alice"});
  Expect(kOk, "deleted 1", {"acl", "delete", "--principal", "User:alice", "--yes"});

  const std::string file = cluster_.path() + "/password";
  std::ofstream(file) << "correct horse\n";
  Expect(kOk, "set credential of alice", {"credential", "set", "alice", "--password-file", file});
  Expect(kOk, "SHA_256", {"credential", "list"});
  EXPECT_THAT(RunJson({"credential", "list"}).DebugString(), Not(HasSubstr("stored")));
  Expect(kFailed, "UNACCEPTABLE_CREDENTIAL",
         {"credential", "set", "alice", "--password-file", file, "--iterations", "1"});
  Expect(kMissing, "RESOURCE_NOT_FOUND",
         {"credential", "delete", "alice", "--mechanism", "SHA-512"});
  Expect(kOk, "deleted", {"credential", "delete", "alice"});

  Expect(kOk, "metadata.version", {"feature", "list"});
  Expect(kConflict, "INVALID_UPDATE_VERSION", {"feature", "upgrade", "metadata.version=99"});
  Expect(kConflict, "INVALID_UPDATE_VERSION", {"feature", "downgrade", "metadata.version=1"});
  Expect(kUsage, "", {"feature", "upgrade", "metadata.version"});

  const std::string epoch = std::to_string(broker.epoch());
  Expect(kOk, "allocated 0 to 999",
         {"producer-id", "allocate", "--broker", "1", "--broker-epoch", epoch});
  Expect(kOk, "allocated 1000 to 1999",
         {"producer-id", "allocate", "--broker", "1", "--broker-epoch", epoch});
  Expect(kConflict, "STALE_BROKER_EPOCH",
         {"producer-id", "allocate", "--broker", "1", "--broker-epoch", "1"});

  // All of it survives a change of leader, and reaches every controller.
  ASSERT_TRUE(AwaitConvergence(cluster_).has_value());
  cluster_.Kill(cluster_.WaitForLeader());
  EXPECT_TRUE(Eventually([&] {
    return Run({"config", "get", "--topic", "orders", "retention.ms"}).exit_code == kOk;
  }));
  Expect(kOk, "allocated 2000 to 2999",
         {"producer-id", "allocate", "--broker", "1", "--broker-epoch", epoch});
}

TEST_F(CliTest, StatusAndQuorumTellTheLeaderTheVotersAndWhoIsDown) {
  cluster_.StartAll();
  const int leader = cluster_.WaitForLeader();
  ASSERT_GE(leader, 0);
  ASSERT_TRUE(AwaitConvergence(cluster_).has_value());
  Expect(kOk, "leader", {"status"});
  const auto quorum = RunJson({"quorum", "describe"});
  EXPECT_EQ(quorum.fields().at("header").struct_value().fields().at("node_id").number_value(),
            leader + 1);
  EXPECT_TRUE(quorum.fields().at("active_controller").bool_value());
  EXPECT_EQ(quorum.fields().at("voters").list_value().values_size(), 3);
  Expect(kOk, cluster_.controller_endpoint(0), {"quorum", "describe"});
  EXPECT_FALSE(RunJson({"status"}).fields().empty());

  // One endpoint is enough: the others are named by it.
  const CommandResult by_one = RunAgainst(cluster_.endpoint(0), {"status"});
  EXPECT_EQ(by_one.exit_code, kOk) << by_one.output;
  EXPECT_THAT(by_one.output, HasSubstr(cluster_.endpoint(2)));

  for (int i = 0; i < cluster_.size(); ++i) {
    if (i != leader) {
      cluster_.Kill(i);
    }
  }
  // It gives up the leadership when nobody fetches any more.
  EXPECT_TRUE(Eventually([&] { return Run({"status"}).exit_code == kUnhealthy; }))
      << Run({"status"}).output;
  const int write = Run({"--timeout", "500ms", "entry", "put", "k", "v"}).exit_code;
  EXPECT_TRUE(write == kUnavailable || write == kTimedOut) << write;
}

TEST_F(CliTest, SaysThatTheFateOfAWriteIsNotKnownWhenNobodyConfirmsIt) {
  cluster_.StartAll();
  const int leader = cluster_.WaitForLeader();
  ASSERT_GE(leader, 0);
  ASSERT_TRUE(AwaitConvergence(cluster_).has_value());
  for (int i = 0; i < cluster_.size(); ++i) {
    if (i != leader) {
      cluster_.process(i).Signal(SIGSTOP);
    }
  }
  // It leads on until a fetch timeout has passed.
  const CommandResult result =
      RunAgainst(cluster_.endpoint(leader), {"--timeout", "400ms", "entry", "put", "k", "v"});
  EXPECT_EQ(result.exit_code, kTimedOut) << result.output;
  EXPECT_THAT(result.output, HasSubstr("may or may not"));
  for (int i = 0; i < cluster_.size(); ++i) {
    cluster_.process(i).Signal(SIGCONT);
  }
  EXPECT_TRUE(AwaitConvergence(cluster_).has_value());
}

TEST_F(CliTest, WatchShowsCommitsAndEndsAfterTheCountAskedFor) {
  cluster_.StartAll();
  const auto client = cluster_.MakeClient();
  ASSERT_TRUE(client->PutEntry(MakePut("a", "1")).ok());
  const std::string log = cluster_.path() + "/watch.log";
  Process watch({Cluster::BinaryPath("kvorumctl"), "--endpoints", cluster_.endpoints(), "watch",
                 "--from", "snapshot", "--count", "2"},
                log);
  ASSERT_TRUE(Eventually([&] { return Contains(ReadFile(log), "snapshot-end"); }));
  ASSERT_TRUE(client->PutEntry(MakePut("b", "2")).ok());
  ASSERT_TRUE(client->PutEntry(MakePut("c", "3")).ok());
  EXPECT_EQ(watch.Wait(), kOk);
  const std::string shown = ReadFile(log);
  for (const char* key : {"key=\"a\"", "key=\"b\"", "key=\"c\""}) {
    EXPECT_THAT(shown, HasSubstr(key));
  }

  // As JSON, one document a line.
  Process lines({Cluster::BinaryPath("kvorumctl"), "--endpoints", cluster_.endpoints(), "--output",
                 "json", "watch", "--from", "snapshot", "--count", "1"},
                log + ".json");
  ASSERT_TRUE(Eventually([&] { return Contains(ReadFile(log + ".json"), "snapshot_end"); }));
  ASSERT_TRUE(client->PutEntry(MakePut("d", "4")).ok());
  EXPECT_EQ(lines.Wait(), kOk);
  std::ifstream in(log + ".json");
  int count = 0;
  for (std::string line; std::getline(in, line); ++count) {
    EXPECT_TRUE(ParseJson(line).has_value()) << line;
  }
  EXPECT_GE(count, 5);  // three entries, the end of the snapshot, the commit
}

TEST_F(CliTest, SaysThatNobodyIsThere) {
  const std::string nobody = fmt::format("127.0.0.1:{}", FreePorts(1).front());
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"--timeout", "500ms", "entry", "put", "k", "v"},
        {"--timeout", "500ms", "topic", "list"},
        {"--timeout", "500ms", "status"},
        {"--timeout", "500ms", "watch"}}) {
    const CommandResult result = RunAgainst(nobody, args);
    EXPECT_EQ(result.exit_code, kUnavailable) << fmt::format("{}", fmt::join(args, " ")) << "\n"
                                              << result.output;
    EXPECT_FALSE(result.output.empty());
  }
  EXPECT_EQ(RunAgainst("no port:at all", {"status"}).exit_code, kUsage);
}

}  // namespace
}  // namespace kvorum::testing
