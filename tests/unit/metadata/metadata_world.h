#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kvorum/v1/record.pb.h"
#include "server/base/errors.h"
#include "server/base/random.h"
#include "server/metadata/brokers/broker_fencing.h"
#include "server/metadata/commands.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/metadata_image.h"
#include "server/metadata/topics/partition_moves.h"

namespace kvorum {

// Matches a status (or the status of a StatusOr) by its reason: EXPECT_THAT(s, HasReason(kX)).
MATCHER_P(HasReason, reason, std::string("has reason ") + std::string(GetErrorInfo(reason).name)) {
  const absl::Status status = [&] {
    if constexpr (requires { arg.status(); }) {
      return arg.status();
    } else {
      return arg;
    }
  }();
  *result_listener << status.ToString();
  return !status.ok() && GetErrorReason(status) == reason;
}

// Matches a v1::ItemStatus.
MATCHER_P(ItemHasReason, reason, "") {
  *result_listener << arg.ShortDebugString();
  return arg.reason() == GetErrorInfo(reason).name &&
         arg.code() == static_cast<int>(GetErrorInfo(reason).code);
}
MATCHER(ItemIsOk, "") {
  *result_listener << arg.ShortDebugString();
  return arg.code() == 0 && arg.reason().empty() && arg.message().empty();
}

class FakeLiveness : public BrokerLiveness {
 public:
  bool HasLiveSession(BrokerId broker) const override { return live.contains(broker); }
  bool IsKnownGone(BrokerId broker) const override { return gone.contains(broker); }
  std::optional<Offset> AppliedOffset(BrokerId broker) const override {
    const auto found = applied.find(broker);
    return found == applied.end() ? std::nullopt : std::optional(found->second);
  }
  std::optional<int64_t> HeartbeatAgeMs(BrokerId broker) const override {
    return live.contains(broker) ? std::optional<int64_t>(250) : std::nullopt;
  }
  std::string LastRejection(BrokerId) const override { return rejection; }

  std::set<BrokerId> live;
  std::set<BrokerId> gone;
  std::map<BrokerId, Offset> applied;
  std::string rejection;
};

// A log of decided records and the image they make: commands are executed and replayed at once, as
// the active controller does.
class World {
 public:
  explicit World(uint64_t seed = 1) : random_(seed) {}

  const MetadataImage& image() const { return *image_; }
  const std::shared_ptr<const MetadataImage>& shared_image() const { return image_; }
  Offset next_offset() const { return next_offset_; }
  const std::vector<std::pair<Offset, v1::MetadataRecord>>& log() const { return log_; }
  FakeLiveness& liveness() { return liveness_; }
  Random& random() { return random_; }
  MetadataLimits& limits() { return limits_; }
  std::vector<VoterLevels>& voters() { return voters_; }

  CommandContext context() {
    return CommandContext{
        *image_, next_offset_, 1'000, random_, liveness_, [this] { return voters_; }, limits_};
  }
  QueryContext query_context() const { return QueryContext{*image_, &liveness_}; }

  // The whole result, without applying it.
  template <typename Request>
  auto Plan(const Request& request) {
    return Execute(context(), request);
  }

  // Executes and applies.
  template <typename Request>
  auto Run(const Request& request) {
    auto result = Execute(context(), request);
    using Response = std::decay_t<decltype(result->response)>;
    if (!result.ok()) {
      return absl::StatusOr<Response>(result.status());
    }
    Apply(result->records);
    return absl::StatusOr<Response>(std::move(result->response));
  }

  template <typename Request>
  auto Read(const Request& request) const {
    return Query(query_context(), request);
  }

  void Apply(const std::vector<v1::MetadataRecord>& records) {
    MetadataDelta delta(*image_);
    for (const v1::MetadataRecord& record : records) {
      delta.Replay(record, next_offset_);
      log_.emplace_back(next_offset_, record);
      ++next_offset_;
    }
    image_ = delta.Apply(Provenance{next_offset_, Epoch{1}, 1'000});
  }

  // Registers and unfences brokers; ids "rack" maps to racks round robin when racks are given.
  void AddBrokers(const std::vector<int32_t>& ids, const std::vector<std::string>& racks = {}) {
    for (size_t i = 0; i < ids.size(); ++i) {
      v1::RegisterBrokerRequest request = Registration(ids[i]);
      if (!racks.empty()) {
        request.set_rack(racks[i % racks.size()]);
      }
      ASSERT_TRUE(Run(request).ok());
      Apply(UnfenceBroker(*image_, BrokerId{ids[i]}));
    }
  }

  // A sound request; every call is a new incarnation.
  v1::RegisterBrokerRequest Registration(int32_t id) {
    v1::RegisterBrokerRequest request;
    request.set_broker_id(id);
    request.set_incarnation_id(Uuid::FromRandom(random_).ToBytes());
    v1::Endpoint& endpoint = *request.add_endpoints();
    endpoint.set_name("PLAINTEXT");
    endpoint.set_host("broker-" + std::to_string(id));
    endpoint.set_port(9092);
    return request;
  }

  // Creates a topic with one manual assignment per partition.
  void AddTopic(std::string_view name, const std::vector<std::vector<int32_t>>& assignments,
                int32_t min_insync_replicas = 0) {
    v1::CreateTopicsRequest request;
    v1::NewTopic& topic = *request.add_topics();
    topic.set_name(std::string(name));
    topic.set_min_insync_replicas(min_insync_replicas);
    for (size_t i = 0; i < assignments.size(); ++i) {
      v1::ReplicaAssignment& assignment = *topic.add_assignments();
      assignment.set_partition_index(static_cast<int32_t>(i));
      for (const int32_t id : assignments[i]) {
        assignment.add_replicas(id);
      }
    }
    const auto response = Run(request);
    ASSERT_TRUE(response.ok()) << response.status();
    ASSERT_EQ(response->results(0).status().code(), 0) << response->ShortDebugString();
  }

  const Topic& topic(std::string_view name) const {
    const Topic* found = image_->topics().Find(name);
    KVORUM_CHECK(found != nullptr, "no topic {}", name);
    return *found;
  }
  Partition partition(std::string_view name, int32_t index) const {
    const std::optional<Partition> found = topic(name).partitions.Find(index);
    KVORUM_CHECK(found.has_value(), "no partition {} of {}", index, name);
    return *found;
  }
  const Broker& broker(int32_t id) const {
    const Broker* found = image_->brokers().Find(BrokerId{id});
    KVORUM_CHECK(found != nullptr, "no broker {}", id);
    return *found;
  }

  void Fence(int32_t id) { Apply(FenceBroker(*image_, BrokerId{id})); }
  void Unfence(int32_t id) { Apply(UnfenceBroker(*image_, BrokerId{id})); }

  // The process of broker `id` is replaced by another, which comes back fenced; uncleanly, unless
  // it knows the epoch of the one before.
  void Restart(int32_t id, bool is_clean) {
    v1::RegisterBrokerRequest request = Registration(id);
    request.set_previous_broker_epoch(is_clean ? broker(id).epoch.value() : -1);
    ASSERT_TRUE(Run(request).ok());
  }

  // The leader of a partition reports its in-sync replicas.
  v1::AlterPartitionResponse::Result ReportIsr(std::string_view name, int32_t index,
                                               const std::vector<int32_t>& isr) {
    const Partition now = partition(name, index);
    v1::AlterPartitionRequest request;
    request.set_broker_id(now.leader.value());
    request.set_broker_epoch(broker(now.leader.value()).epoch.value());
    v1::AlterPartitionRequest::Item& item = *request.add_partitions();
    item.set_topic_id(topic(name).id.ToString());
    item.set_partition_index(index);
    item.set_leader_epoch(now.leader_epoch);
    item.set_partition_epoch(now.partition_epoch);
    for (const int32_t id : isr) {
      v1::IsrMember& member = *item.add_new_isr();
      member.set_broker_id(id);
      member.set_broker_epoch(-1);
    }
    const auto response = Run(request);
    KVORUM_CHECK(response.ok(), "{}", response.status().ToString());
    return response->results(0);
  }

 private:
  Random random_;
  FakeLiveness liveness_;
  MetadataLimits limits_;
  std::vector<VoterLevels> voters_;
  std::shared_ptr<const MetadataImage> image_ = MetadataImage::Empty();
  Offset next_offset_{1};  // 0 is the leader's own first record
  std::vector<std::pair<Offset, v1::MetadataRecord>> log_;
};

inline std::vector<int32_t> Ids(const BrokerList& brokers) {
  std::vector<int32_t> ids;
  for (const BrokerId id : brokers) {
    ids.push_back(id.value());
  }
  return ids;
}

}  // namespace kvorum
