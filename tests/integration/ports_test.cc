// Test programs run side by side: none may take a port that another one counts on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/support/process.h"

namespace kvorum::testing {
namespace {

TEST(PortStretchTest, TwoThatPreferTheSameShareNoPort) {
  constexpr int kStretch = 211;
  constexpr int kPorts = 60;
  PortStretch one(kStretch);
  PortStretch other(kStretch);
  const std::vector<int> mine = one.Take(kPorts);
  for (const int port : other.Take(kPorts)) {
    EXPECT_THAT(mine, ::testing::Not(::testing::Contains(port)));
  }
}

TEST(PortStretchTest, APortIsNotGivenAwayAgainWhileOthersAreFree) {
  PortStretch stretch(212);
  std::vector<int> ports = stretch.Take(30);
  const std::vector<int> later = stretch.Take(30);
  ports.insert(ports.end(), later.begin(), later.end());
  std::sort(ports.begin(), ports.end());
  EXPECT_EQ(std::unique(ports.begin(), ports.end()), ports.end());
}

TEST(PortStretchTest, AStretchCanBeHadAgainOnceItsProgramIsGone) {
  std::vector<int> before;
  {
    PortStretch stretch(213);
    before = stretch.Take(1);
  }
  PortStretch again(213);
  EXPECT_EQ(again.Take(1), before);
}

}  // namespace
}  // namespace kvorum::testing
