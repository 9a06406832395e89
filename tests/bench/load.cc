#include "tests/bench/load.h"

#include <algorithm>

#include "absl/synchronization/mutex.h"

namespace kvorum::bench {

LoadResult Summarize(std::vector<uint32_t>& latencies_us, std::chrono::nanoseconds elapsed,
                     uint64_t errors) {
  LoadResult result;
  result.errors = errors;
  if (latencies_us.empty()) {
    return result;
  }
  std::sort(latencies_us.begin(), latencies_us.end());
  const double seconds = std::chrono::duration<double>(elapsed).count();
  result.per_second = static_cast<double>(latencies_us.size()) / seconds;
  result.p50_ms = latencies_us[latencies_us.size() / 2] / 1000.0;
  result.p99_ms = latencies_us[latencies_us.size() * 99 / 100] / 1000.0;
  result.p999_ms = latencies_us[latencies_us.size() * 999 / 1000] / 1000.0;
  result.max_ms = latencies_us.back() / 1000.0;
  return result;
}

std::vector<std::shared_ptr<grpc::Channel>> MakeChannels(const std::string& endpoint, int count) {
  // What the load costs is taken from what is measured: nothing that it can do without.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < count; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
    channels.push_back(
        grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments));
  }
  return channels;
}

}  // namespace kvorum::bench
