#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "server/config/config_loader.h"
#include "server/config/settings.h"

namespace kvorum {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

std::string MessageOf(const absl::StatusOr<LoadedConfig>& result) {
  return std::string(result.status().message());
}

TEST(ConfigTest, DefaultsAreValid) {
  const absl::StatusOr<LoadedConfig> loaded = MergeConfig({});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.client_listener.port, 7400);
  EXPECT_EQ(loaded->config.controller_listener.port, 7401);
  EXPECT_EQ(loaded->config.http_listener->port, 7402);
}

TEST(ConfigTest, EveryDefaultSurvivesBeingWrittenDownAndReadBack) {
  ConfigInputs inputs;
  for (const Setting& setting : Settings()) {
    if (const std::string value = setting.get(ServerConfig{}); !value.empty()) {
      inputs.file_text += std::string(setting.name) + " = \"" + value + "\"\n";
    }
  }
  const absl::StatusOr<LoadedConfig> loaded = MergeConfig(inputs);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  for (const Setting& setting : Settings()) {
    EXPECT_EQ(setting.get(loaded->config), setting.get(ServerConfig{})) << setting.name;
  }
}

// The file shows every key, commented out with its default (data-dir excepted, which has none).
TEST(ConfigTest, ReferenceFileShowsEveryKeyWithItsDefault) {
  std::ifstream file(KVORUM_SOURCE_DIR "/deploy/kvorumd.toml");
  ASSERT_TRUE(file.is_open());
  ConfigInputs inputs;
  for (std::string line; std::getline(file, line);) {
    const bool is_setting = line.size() > 1 && line[0] == '#' && line[1] >= 'a' && line[1] <= 'z';
    inputs.file_text += (is_setting ? line.substr(1) : line) + "\n";
  }
  const absl::StatusOr<LoadedConfig> loaded = MergeConfig(inputs);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  for (const Setting& setting : Settings()) {
    EXPECT_TRUE(loaded->sources.contains(std::string(setting.name))) << setting.name;
    if (setting.name != "data-dir") {
      EXPECT_EQ(setting.get(loaded->config), setting.get(ServerConfig{})) << setting.name;
    }
  }
}

TEST(ConfigTest, FlagsBeatTheEnvironmentAndTheEnvironmentBeatsTheFile) {
  ConfigInputs inputs;
  inputs.file_text =
      "quorum-election-timeout-ms = 101\nquorum-request-timeout-ms = 201\n"
      "broker-session-timeout-ms = 3001 # a comment\n";
  inputs.environment = {{"KVORUM_QUORUM_ELECTION_TIMEOUT_MS", "102"},
                        {"KVORUM_QUORUM_REQUEST_TIMEOUT_MS", "202"}};
  inputs.flags = {{"quorum-election-timeout-ms", "103"}};
  const absl::StatusOr<LoadedConfig> loaded = MergeConfig(inputs);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.quorum_election_timeout, milliseconds(103));
  EXPECT_EQ(loaded->config.quorum_request_timeout, milliseconds(202));
  EXPECT_EQ(loaded->config.broker_session_timeout, milliseconds(3001));
  const std::string text = DescribeConfig(*loaded);
  EXPECT_THAT(text, HasSubstr("# flag"));
  EXPECT_THAT(text, HasSubstr("# environment"));
  EXPECT_THAT(text, HasSubstr("# file"));
  EXPECT_THAT(text, HasSubstr("# default"));
}

TEST(ConfigTest, ParsedCommandLineBeatsTheRealEnvironmentAndFile) {
  const std::string path = ::testing::TempDir() + "/kvorum_config_test.toml";
  std::ofstream(path) << "data-dir = \"/from/file\"\nlog-level = \"debug\"\nnode-id = 3\n";
  ::setenv("KVORUM_DATA_DIR", "/from/environment", 1);
  ::setenv("KVORUM_LOG_LEVEL", "warning", 1);
  CLI::App app;
  ConfigFlags flags;
  flags.AddTo(app);
  app.parse("--data-dir /from/flag --config " + path);
  const absl::StatusOr<LoadedConfig> loaded = flags.Load();
  ::unsetenv("KVORUM_DATA_DIR");
  ::unsetenv("KVORUM_LOG_LEVEL");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.data_dir, "/from/flag");
  EXPECT_EQ(loaded->config.log_level, LogLevel::kWarning);
  EXPECT_EQ(loaded->config.node_id, 3);
}

TEST(ConfigTest, ASwitchNeedsNoValueOnTheCommandLineAndTakesOneElsewhere) {
  const auto parse = [](const std::string& line) {
    CLI::App app;
    ConfigFlags flags;
    flags.AddTo(app);
    app.parse(line + " --quorum-bootstrap-servers c1:7401");
    return flags.Load();
  };
  const absl::StatusOr<LoadedConfig> on = parse("--observer --data-dir d");
  ASSERT_TRUE(on.ok()) << on.status();
  EXPECT_TRUE(on->config.observer);
  EXPECT_EQ(on->config.data_dir, "d");
  EXPECT_FALSE(parse("--data-dir d")->config.observer);
  ::setenv("KVORUM_OBSERVER", "true", 1);
  EXPECT_TRUE(parse("")->config.observer);
  EXPECT_FALSE(parse("--observer=false")->config.observer) << "the flag counts";
  ::unsetenv("KVORUM_OBSERVER");
  EXPECT_THAT(MessageOf(parse("--observer=perhaps")), HasSubstr("observer"));
}

TEST(ConfigTest, AnObserverMustBeToldWhomToFollow) {
  ConfigInputs inputs;
  inputs.flags = {{"observer", "true"}};
  EXPECT_THAT(MessageOf(MergeConfig(inputs)), HasSubstr("quorum-bootstrap-servers"));
}

TEST(ConfigTest, UnknownKeyOfTheFileNamesTheNearestKey) {
  ConfigInputs inputs;
  inputs.file_name = "kvorumd.toml";
  inputs.file_text = "quorum-fetch-timout-ms = 5000\n";
  const std::string message = MessageOf(MergeConfig(inputs));
  EXPECT_THAT(message, HasSubstr("kvorumd.toml"));
  EXPECT_THAT(message, HasSubstr("quorum-fetch-timout-ms"));
  EXPECT_THAT(message, HasSubstr("did you mean quorum-fetch-timeout-ms?"));
}

TEST(ConfigTest, UnknownKeyFarFromAllPointsToTheList) {
  ConfigInputs inputs;
  inputs.file_text = "zzz = 1\n";
  EXPECT_THAT(MessageOf(MergeConfig(inputs)), HasSubstr("kvorumd config"));
}

TEST(ConfigTest, SectionOfTheFileIsAnUnknownKey) {
  ConfigInputs inputs;
  inputs.file_text = "[server]\nnode-id = 1\n";
  EXPECT_FALSE(MergeConfig(inputs).ok());
}

TEST(ConfigTest, UnknownEnvironmentVariableIsOnlyAWarning) {
  ConfigInputs inputs;
  inputs.environment = {{"KVORUM_SERVICE_HOST", "10.0.0.1"}, {"KVORUM_CONFIG", ""}};
  const absl::StatusOr<LoadedConfig> loaded = MergeConfig(inputs);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ(loaded->warnings.size(), 1u);
  EXPECT_THAT(loaded->warnings[0], HasSubstr("KVORUM_SERVICE_HOST"));
}

TEST(ConfigTest, KeyGivenTwiceIsRefused) {
  for (const std::string text :
       {"node-id = 1\nnode-id = 2\n", "node-id = 1\nlog-level = \"info\"\nnode-id = 2\n"}) {
    ConfigInputs inputs;
    inputs.file_text = text;
    EXPECT_THAT(MessageOf(MergeConfig(inputs)), HasSubstr("node-id must be given once"));
  }
}

TEST(ConfigTest, ValueOutOfRangeNamesKeyValueAndRange) {
  ConfigInputs inputs;
  inputs.flags = {{"quorum-election-timeout-ms", "0"}};
  const std::string message = MessageOf(MergeConfig(inputs));
  EXPECT_THAT(message, HasSubstr("quorum-election-timeout-ms"));
  EXPECT_THAT(message, HasSubstr("\"0\""));
  EXPECT_THAT(message, HasSubstr("10 to 600000"));
}

TEST(ConfigTest, ValuesThatAreNoNumbersAreRefused) {
  for (const std::string value : {"", "12x", "1e3", " 500", "99999999999999999999", "-1", "0x10"}) {
    ConfigInputs inputs;
    inputs.flags = {{"request-timeout-ms", value}};
    EXPECT_FALSE(MergeConfig(inputs).ok()) << value;
  }
}

TEST(ConfigTest, FetchTimeoutBelowTwiceTheMaxWaitNamesBothKeys) {
  ConfigInputs inputs;
  inputs.flags = {{"quorum-fetch-timeout-ms", "1000"}, {"quorum-fetch-max-wait-ms", "500"}};
  const std::string message = MessageOf(MergeConfig(inputs));
  EXPECT_THAT(message, HasSubstr("quorum-fetch-timeout-ms (1000)"));
  EXPECT_THAT(message, HasSubstr("quorum-fetch-max-wait-ms (500)"));
}

TEST(ConfigTest, SessionTimeoutBelowTheFetchTimeoutNamesBothKeys) {
  ConfigInputs inputs;
  inputs.flags = {{"broker-session-timeout-ms", "1500"}};
  const std::string message = MessageOf(MergeConfig(inputs));
  EXPECT_THAT(message, HasSubstr("broker-session-timeout-ms (1500)"));
  EXPECT_THAT(message, HasSubstr("quorum-fetch-timeout-ms (1500)"));
}

TEST(ConfigTest, BootstrapServersAreAListOfAddresses) {
  ConfigInputs inputs;
  inputs.flags = {{"quorum-bootstrap-servers", "c1:7401,[::1]:7402"}};
  const auto loaded = MergeConfig(inputs);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.quorum_bootstrap_servers,
            (std::vector<HostPort>{{"c1", 7401}, {"::1", 7402}}));
  for (const std::string bad : {"c1", "c1:0", "0.0.0.0:7401", "c1:7401,c2", "c1:7401;c2:7401"}) {
    inputs.flags = {{"quorum-bootstrap-servers", bad}};
    EXPECT_THAT(MessageOf(MergeConfig(inputs)), HasSubstr("quorum-bootstrap-servers")) << bad;
  }
}

TEST(ConfigTest, OthersMustBeAbleToReachWhatIsAdvertisedToThem) {
  for (const std::string bad : {"0.0.0.0:7401", "c1:0"}) {
    ConfigInputs inputs;
    inputs.flags = {{"controller-advertised", bad}};
    EXPECT_THAT(MessageOf(MergeConfig(inputs)), HasSubstr("controller-advertised")) << bad;
  }
}

TEST(ConfigTest, ListenersOnOneAddressAreRefused) {
  ConfigInputs inputs;
  inputs.flags = {{"client-listener", "0.0.0.0:7401"}, {"controller-listener", "127.0.0.1:7401"}};
  const std::string message = MessageOf(MergeConfig(inputs));
  EXPECT_THAT(message, HasSubstr("client-listener"));
  EXPECT_THAT(message, HasSubstr("controller-listener"));
}

TEST(ConfigTest, WildcardCannotBeAdvertised) {
  ConfigInputs inputs;
  inputs.flags = {{"client-advertised", "0.0.0.0:7400"}};
  EXPECT_THAT(MessageOf(MergeConfig(inputs)), HasSubstr("client-advertised"));
}

TEST(ConfigTest, HttpListenerCanBeSwitchedOff) {
  ConfigInputs inputs;
  inputs.flags = {{"http-listener", "off"}};
  const absl::StatusOr<LoadedConfig> loaded = MergeConfig(inputs);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_FALSE(loaded->config.http_listener.has_value());
}

TEST(HostPortTest, ParsesNamesAndAddresses) {
  EXPECT_EQ(*ParseHostPort("c1.example.org:7400"), (HostPort{"c1.example.org", 7400}));
  EXPECT_EQ(*ParseHostPort("[::1]:1"), (HostPort{"::1", 1}));
  EXPECT_EQ(ParseHostPort("[::1]:1")->ToString(), "[::1]:1");
}

TEST(HostPortTest, RefusesWhatIsNoAddress) {
  for (const std::string text : {"", "host", ":7400", "host:", "host:65536", "host:-1", "host:x",
                                 "::1:7400", "[]:1", "ho st:1", "host:1 ", "host:0x1"}) {
    EXPECT_FALSE(ParseHostPort(text).ok()) << text;
  }
}

TEST(SettingsTest, EnvironmentNamesAreUpperSnake) {
  EXPECT_EQ(EnvironmentName("quorum-fetch-timeout-ms"), "KVORUM_QUORUM_FETCH_TIMEOUT_MS");
}

}  // namespace
}  // namespace kvorum
