// Golden transcripts of the core: data/*.txt holds commands ("> …") and, below each, what happened.
// KVORUM_REWRITE_GOLDEN=1 rewrites them; commit a rewrite only if you understand the difference.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/scenario/scenario_env.h"

namespace kvorum::raft {
namespace {

std::vector<std::filesystem::path> Scenarios() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(KVORUM_SCENARIO_DIR)) {
    if (entry.path().extension() == ".txt") {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Keeps comments and commands, and puts what happens now below each command.
std::string Replay(const std::string& golden) {
  ScenarioEnv env;
  std::istringstream lines(golden);
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#") || line.empty()) {
      text += line + "\n";
    } else if (line.starts_with("> ")) {
      text += line + "\n" + env.Run(line.substr(2));
    }
  }
  return text;
}

class ScenarioTest : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(ScenarioTest, HappensAsWritten) {
  const std::string golden = ReadFile(GetParam());
  const std::string actual = Replay(golden);
  if (std::getenv("KVORUM_REWRITE_GOLDEN") != nullptr) {
    std::ofstream(GetParam()) << actual;
    return;
  }
  EXPECT_EQ(actual, golden);
}

INSTANTIATE_TEST_SUITE_P(Data, ScenarioTest, ::testing::ValuesIn(Scenarios()),
                         [](const auto& test) { return test.param.stem().string(); });

}  // namespace
}  // namespace kvorum::raft
