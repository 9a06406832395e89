// What kvorumd says of the directory of a stopped node: dump-log, dump-snapshot, verify; and that
// none of them leaves a trace.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "kvorum/v1/offline.pb.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kStorageFailed = 71;
constexpr int kBadDirectory = 72;
constexpr int kEntries = 300;

CommandResult Tool(const std::string& command, const std::string& data_dir,
                   const std::string& format = "json") {
  return RunCommand(
      {Cluster::BinaryPath("kvorumd"), command, "--data-dir", data_dir, "--output", format});
}

template <typename Message>
Message FromJson(const std::string& json) {
  Message message;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &message);
  EXPECT_TRUE(status.ok()) << status.ToString() << "\n" << json;
  return message;
}

std::vector<v1::DumpLine> Lines(const std::string& output) {
  std::vector<v1::DumpLine> lines;
  std::istringstream text(output);
  for (std::string line; std::getline(text, line);) {
    lines.push_back(FromJson<v1::DumpLine>(line));
  }
  return lines;
}

// Every file with its bytes.
std::map<std::string, std::string> Contents(const std::string& directory) {
  std::map<std::string, std::string> contents;
  for (const auto& file : std::filesystem::recursive_directory_iterator(directory)) {
    contents[file.path().string()] = file.is_regular_file() ? ReadFile(file.path().string()) : "";
  }
  return contents;
}

void Flip(const std::string& path, size_t at) {
  std::string bytes = ReadFile(path);
  ASSERT_GT(bytes.size(), at) << path;
  bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// The largest file of a folder whose name ends so.
std::string LargestFile(const std::string& folder, const std::string& extension) {
  std::string largest;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const std::string path = file.path().string();
    if (path.ends_with(extension) &&
        (largest.empty() || file.file_size() > std::filesystem::file_size(largest))) {
      largest = path;
    }
  }
  return largest;
}

// One controller that has written a snapshot, moved its log's start, written more, and stopped.
class OfflineToolsTest : public ::testing::Test {
 protected:
  static ClusterOptions Options() {
    ClusterOptions options = QuietOptions();
    options.controllers = 1;
    options.run_flags.insert(options.run_flags.end(), {"--snapshot-max-log-bytes", "20000",
                                                       "--log-retention-bytes", "40000"});
    return options;
  }

  void SetUp() override {
    cluster_.StartAll();
    const auto client = cluster_.MakeClient();
    for (int i = 0; i < kEntries; ++i) {
      ASSERT_TRUE(client->PutEntry(MakePut(fmt::format("k/{:04}", i), std::string(300, 'v'))).ok());
    }
    // An overwrite: the same number of entries, another state.
    ASSERT_TRUE(client->PutEntry(MakePut("k/0000", "last")).ok());
    ASSERT_TRUE(Eventually([&] {
      description_ = *cluster_.Describe(0);
      return description_.log_start_offset() > 0;
    })) << cluster_.ReadLog(0);
    description_ = *cluster_.Describe(0);
    ASSERT_EQ(cluster_.Stop(0), 0) << cluster_.ReadLog(0);
    directory_ = cluster_.data_dir(0);
  }

  v1::VerifyReport ExpectNotSound(int exit_code) {
    const CommandResult result = Tool("verify", directory_);
    EXPECT_EQ(result.exit_code, exit_code) << result.output;
    const auto report = FromJson<v1::VerifyReport>(result.output);
    EXPECT_FALSE(report.is_sound());
    EXPECT_GT(report.problems_size(), 0);
    return report;
  }

  Cluster cluster_{Options()};
  v1::DescribeQuorumResponse description_;
  std::string directory_;
};

TEST_F(OfflineToolsTest, VerifyReplaysEverythingToTheStateThatTheNodeHad) {
  const auto before = Contents(directory_);
  const CommandResult result = Tool("verify", directory_);
  ASSERT_EQ(result.exit_code, 0) << result.output;
  const auto report = FromJson<v1::VerifyReport>(result.output);
  EXPECT_TRUE(report.is_sound()) << report.ShortDebugString();
  EXPECT_EQ(report.state_hash(), description_.state_hash());
  EXPECT_EQ(report.directory().log_end_offset(), description_.log_end_offset());
  EXPECT_EQ(report.directory().node_id(), 1);
  EXPECT_EQ(report.directory().voters().voters_size(), 1);
  EXPECT_GT(report.directory().snapshots_size(), 0);
  EXPECT_TRUE(std::any_of(report.directory().snapshots().begin(),
                          report.directory().snapshots().end(), [&](const auto& snapshot) {
                            return snapshot.end_offset() == report.directory().log_start_offset();
                          }));
  EXPECT_THAT(Tool("verify", directory_, "text").output, HasSubstr("sound"));
  EXPECT_EQ(Contents(directory_), before) << "a look leaves no trace";
}

TEST_F(OfflineToolsTest, DumpsHoldEveryEntryOnceSnapshotAndLogTogether) {
  const auto before = Contents(directory_);
  const CommandResult log = Tool("dump-log", directory_);
  ASSERT_EQ(log.exit_code, 0) << log.output;
  const CommandResult snapshot = Tool("dump-snapshot", directory_);
  ASSERT_EQ(snapshot.exit_code, 0) << snapshot.output;
  Entries entries;
  int64_t end = 0;
  for (const v1::DumpLine& line : Lines(snapshot.output)) {
    if (line.has_snapshot()) {
      end = line.snapshot().end_offset();
    }
    for (const v1::MetadataRecord& record : line.chunk().records()) {
      if (!record.has_entry()) {
        continue;
      }
      EXPECT_TRUE(entries.emplace(record.entry().key(), record.entry().value()).second);
    }
  }
  EXPECT_GT(end, 0);
  int64_t next = -1;
  for (const v1::DumpLine& line : Lines(log.output)) {
    if (!line.has_batch()) {
      next = line.directory().log_start_offset();
      continue;
    }
    EXPECT_EQ(line.batch().base_offset(), next);
    next = line.batch().last_offset() + 1;
    for (const v1::MetadataRecord& record : line.batch().records()) {
      if (line.batch().base_offset() >= end && record.has_entry()) {
        entries[record.entry().key()] = record.entry().value();
      }
    }
  }
  EXPECT_EQ(next, description_.log_end_offset());
  EXPECT_EQ(entries.size(), static_cast<size_t>(kEntries));
  EXPECT_EQ(entries["k/0000"], "last");
  EXPECT_THAT(Tool("dump-snapshot", directory_, "text").output, HasSubstr("k/0001"));
  EXPECT_EQ(Contents(directory_), before) << "a look leaves no trace";
}

TEST_F(OfflineToolsTest, ACopyWillDoAndASnapshotThatIsNotThereIsNamed) {
  const std::string copy = cluster_.path() + "/copy";
  std::filesystem::copy(directory_, copy, std::filesystem::copy_options::recursive);
  cluster_.Start(0);
  ASSERT_EQ(cluster_.WaitForLeader(), 0);
  EXPECT_NE(Tool("verify", directory_).exit_code, 0) << "it is running";
  EXPECT_EQ(Tool("verify", copy).exit_code, 0) << "a copy";
  const CommandResult missing = RunCommand(
      {Cluster::BinaryPath("kvorumd"), "dump-snapshot", "--data-dir", copy, "--end", "7"});
  EXPECT_EQ(missing.exit_code, kBadDirectory);
  EXPECT_THAT(missing.output, HasSubstr("snapshots that end at"));
}

TEST_F(OfflineToolsTest, VerifyNamesAFlippedBitInASnapshot) {
  const std::string table = LargestFile(directory_ + "/snapshots", ".sst");
  ASSERT_NE(table, "");
  Flip(table, ReadFile(table).size() / 3);
  EXPECT_THAT(ExpectNotSound(kStorageFailed).ShortDebugString(), HasSubstr("snapshot"));
}

TEST_F(OfflineToolsTest, VerifyNamesAFlippedBitInTheLog) {
  const std::string wal = LargestFile(directory_ + "/log", ".log");
  ASSERT_NE(wal, "");
  Flip(wal, ReadFile(wal).size() / 2);
  EXPECT_THAT(ExpectNotSound(kStorageFailed).problems(0), HasSubstr("log"));
}

TEST_F(OfflineToolsTest, VerifyNamesALogThatIsBehindItsGuard) {
  const std::string wal = LargestFile(directory_ + "/log", ".log");
  std::filesystem::resize_file(wal, std::filesystem::file_size(wal) / 2);
  const auto report = ExpectNotSound(kStorageFailed);
  EXPECT_THAT(report.problems(0), HasSubstr("quarantined"));
  EXPECT_NE(report.directory().quarantine(), "");
}

TEST_F(OfflineToolsTest, VerifyNamesAnEditedIdentity) {
  Flip(directory_ + "/meta.properties", 150);
  EXPECT_THAT(ExpectNotSound(kBadDirectory).problems(0), HasSubstr("meta.properties"));
}

}  // namespace
}  // namespace kvorum::testing
