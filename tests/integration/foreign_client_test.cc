// A client in another language that has nothing of ours, not even the .proto files: what it needs
// it learns from the server.

#include <gtest/gtest.h>

#include "tests/integration/test_util.h"

namespace kvorum::testing {
namespace {

constexpr int kGrpcioIsMissing = 77;

TEST(ForeignClientTest, APythonClientLearnsEverythingByReflection) {
  Cluster cluster;
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_GE(leader, 0);
  const CommandResult result =
      RunCommand({"/usr/bin/python3", KVORUM_INTEGRATION_DIR "/foreign_client.py",
                  cluster.endpoint(leader), cluster.endpoint((leader + 1) % cluster.size())});
  if (result.exit_code == kGrpcioIsMissing) {
    GTEST_SKIP() << result.output;
  }
  EXPECT_EQ(result.exit_code, 0) << result.output;
}

}  // namespace
}  // namespace kvorum::testing
