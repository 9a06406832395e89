#include "server/observability/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvorum {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(MetricsTest, ShowsHowLongCommitsTakeToEveryBroker) {
  Metrics metrics;
  EXPECT_THAT(metrics.Counters(), HasSubstr("metadata_propagation_seconds_count 0\n"));
  metrics.ObservePropagation(microseconds(500));
  metrics.ObservePropagation(milliseconds(30));
  metrics.ObservePropagation(milliseconds(40));
  metrics.ObservePropagation(seconds(100));
  EXPECT_THAT(metrics.Counters(),
              AllOf(HasSubstr("# TYPE metadata_propagation_seconds histogram\n"),
                    HasSubstr("metadata_propagation_seconds_count 4\n"),
                    HasSubstr("metadata_propagation_seconds_sum 100.0705\n"),
                    HasSubstr("metadata_propagation_seconds_bucket{le=\"0.001\"} 1\n"),
                    HasSubstr("metadata_propagation_seconds_bucket{le=\"0.025\"} 1\n"),
                    HasSubstr("metadata_propagation_seconds_bucket{le=\"0.05\"} 3\n"),
                    HasSubstr("metadata_propagation_seconds_bucket{le=\"60\"} 3\n"),
                    HasSubstr("metadata_propagation_seconds_bucket{le=\"+Inf\"} 4\n")));
}

TEST(MetricsTest, CountsRepliesByMethodAndCode) {
  Metrics metrics;
  metrics.OnReply("Put", absl::StatusCode::kOk);
  metrics.OnReply("Put", absl::StatusCode::kOk);
  metrics.OnReply("Put", absl::StatusCode::kUnavailable);
  EXPECT_THAT(metrics.Counters(),
              AllOf(HasSubstr("requests_total{code=\"OK\",method=\"Put\"} 2\n"),
                    HasSubstr("requests_total{code=\"UNAVAILABLE\",method=\"Put\"} 1\n")));
}

}  // namespace
}  // namespace kvorum
