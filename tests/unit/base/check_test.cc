#include "server/base/check.h"

#include <cstdio>

#include "gtest/gtest.h"

namespace kvorum {
namespace {

TEST(CheckTest, PassesWhatHolds) { KVORUM_CHECK(1 + 1 == 2, "arithmetic"); }

TEST(CheckDeathTest, EndsTheProcessWithConditionAndValues) {
  EXPECT_EXIT(KVORUM_CHECK(1 > 2, "left {} right {}", 1, 2),
              testing::ExitedWithCode(kExitCheckFailed),
              "check_test.cc:.* check failed: 1 > 2: left 1 right 2");
}

TEST(CheckDeathTest, CallsTheHookFirst) {
  EXPECT_EXIT(
      {
        SetCheckFailureHook([](const std::string&) { std::fputs("seed=7\n", stderr); });
        KVORUM_CHECK(false, "broken");
      },
      testing::ExitedWithCode(kExitCheckFailed), "broken\nseed=7");
}

}  // namespace
}  // namespace kvorum
