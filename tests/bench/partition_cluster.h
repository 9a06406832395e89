#pragma once

#include <cstdint>
#include <optional>

#include "kvorum/v1/broker.pb.h"
#include "kvorum/v1/topic.pb.h"
#include "server/base/random.h"

namespace kvorum::bench {

struct PartitionBenchOptions {
  int64_t partitions = 1'000'000;
  int32_t brokers = 100;
  int32_t replication_factor = 3;
};

// Topics of 10 to 1,000 partitions, as many as fit a request at a time. The same in every run.
class TopicRequests {
 public:
  TopicRequests(const PartitionBenchOptions& options, int64_t partitions_per_request)
      : options_(options), per_request_(partitions_per_request), left_(options.partitions) {}

  // nullopt: there are as many partitions as asked for.
  std::optional<v1::CreateTopicsRequest> Next();

 private:
  const PartitionBenchOptions options_;
  const int64_t per_request_;
  int64_t left_;
  int64_t topics_ = 0;
  Random random_{7};
};

v1::RegisterBrokerRequest MakeRegistration(int32_t id);

// The same against three controllers on loopback with fsync on; prints its own table.
int RunCluster(const PartitionBenchOptions& options);

}  // namespace kvorum::bench
