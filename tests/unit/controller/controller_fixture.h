#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/base/errors.h"
#include "server/controller/active_controller.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/record_codec.h"

namespace kvorum::controller {

// A log that takes everything; the test decides what of it gets committed.
class FakeLogAppender : public LogAppender {
 public:
  struct Batch {
    Offset base_offset;
    Epoch epoch;
    std::vector<v1::MetadataRecord> records;
    int64_t wall_ms = 0;
    Offset end_offset() const { return base_offset + static_cast<int64_t>(records.size()); }
  };

  Offset log_end_offset() const override { return end_; }
  std::vector<VoterLevels> voter_levels() const override { return voters; }
  void Append(Now now, Epoch epoch, int32_t record_count,
              std::shared_ptr<const std::string> payload) override {
    auto records = DecodeRecords(*payload);
    ASSERT_TRUE(records.ok()) << records.status();
    ASSERT_EQ(records->size(), static_cast<size_t>(record_count));
    batches.push_back({end_, epoch, *std::move(records), now.wall_ms});
    end_ += record_count;
  }

  void TruncateTo(Offset end) {
    std::erase_if(batches, [end](const Batch& batch) { return batch.base_offset >= end; });
    end_ = end;
  }

  std::vector<Batch> batches;
  std::vector<VoterLevels> voters;  // what they say they understand

 private:
  Offset end_{1};  // offset 0 holds the leader's control record
};

// One reply: what it said, and that it said it once.
template <typename T>
struct Heard {
  std::optional<absl::StatusOr<T>> reply;
  int times = 0;

  bool is_waiting() const { return times == 0; }
  bool is_ok() const { return reply.has_value() && reply->ok(); }
  absl::Status status() const {
    return reply.has_value() ? reply->status() : absl::CancelledError("no reply yet");
  }
  ErrorReason reason() const { return GetErrorReason(status()); }
};
using CommandHeard = std::shared_ptr<Heard<CommandReply>>;
using ReportHeard = std::shared_ptr<Heard<BrokerReportReply>>;

class ControllerFixture : public testing::Test {
 protected:
  static constexpr uint64_t kGeneration = 99;
  static constexpr Epoch kEpoch{7};

  ActiveController& controller() {
    if (controller_ == nullptr) {
      controller_ = std::make_unique<ActiveController>(config, kGeneration, log, Random(1));
    }
    return *controller_;
  }

  void Activate() { controller().Activate(now, kEpoch, committed); }
  void Advance(Duration by) { now.now += by; }
  // Fires the timer whenever it is due until `by` is over.
  void RunTimersFor(Duration by) {
    const TimePoint end = now.now + by;
    while (controller().NextDeadline() <= end) {
      now.now = std::max(now.now, controller().NextDeadline());
      controller().HandleTimer(now);
    }
    now.now = end;
  }

  // A majority has `up_to`, and this node applies it.
  void Commit(Offset up_to) {
    MetadataDelta delta(*committed);
    Provenance provenance = committed->provenance();
    for (const FakeLogAppender::Batch& batch : log.batches) {
      if (batch.base_offset < provenance.end_offset || batch.end_offset() > up_to) {
        continue;
      }
      Offset offset = batch.base_offset;
      for (const v1::MetadataRecord& record : batch.records) {
        delta.Replay(record, offset);
        ++offset;
      }
      provenance = {batch.end_offset(), batch.epoch, batch.wall_ms};
    }
    committed = delta.Apply(provenance);
    controller().OnCommitted(now, committed);
  }
  void CommitAll() { Commit(log.log_end_offset()); }

  CommandHeard Submit(const Command& command, TimePoint deadline = kNever) {
    auto heard = std::make_shared<Heard<CommandReply>>();
    controller().HandleCommand(now, command, deadline, Into(heard));
    return heard;
  }
  ReportHeard Report(const BrokerReport& report) {
    auto heard = std::make_shared<Heard<BrokerReportReply>>();
    controller().HandleBrokerReport(now, report, Into(heard));
    return heard;
  }
  std::shared_ptr<Heard<v1::HoldSessionResponse>> Hold(int32_t id, int64_t epoch, HoldId hold) {
    auto heard = std::make_shared<Heard<v1::HoldSessionResponse>>();
    v1::HoldSessionRequest request;
    request.set_broker_id(id);
    request.set_broker_epoch(epoch);
    controller().HandleHoldSession(now, request, hold, Into(heard));
    return heard;
  }
  template <typename T>
  static ActiveController::Done<T> Into(std::shared_ptr<Heard<T>> heard) {
    return [heard](absl::StatusOr<T> reply) {
      ++heard->times;
      heard->reply = std::move(reply);
    };
  }

  static v1::PutEntryRequest Put(const std::string& key, const std::string& value = "v") {
    v1::PutEntryRequest request;
    request.set_key(key);
    request.set_value(value);
    return request;
  }
  static v1::RegisterBrokerRequest Registration(int32_t id, char incarnation = 'a') {
    v1::RegisterBrokerRequest request;
    request.set_broker_id(id);
    request.set_incarnation_id(std::string(16, incarnation));
    v1::Endpoint& endpoint = *request.add_endpoints();
    endpoint.set_name("PLAINTEXT");
    endpoint.set_host("host");
    endpoint.set_port(9092);
    return request;
  }
  static v1::UnregisterBrokerRequest Unregistration(int32_t id) {
    v1::UnregisterBrokerRequest request;
    request.set_broker_id(id);
    return request;
  }
  // Registers and commits; returns the broker's epoch.
  int64_t Register(int32_t id, char incarnation = 'a') {
    const CommandHeard heard = Submit(Registration(id, incarnation));
    CommitAll();
    EXPECT_TRUE(heard->is_ok()) << heard->status();
    return heard->is_ok() ? std::get<v1::RegisterBrokerResponse>(**heard->reply).broker_epoch()
                          : -1;
  }
  // Registers, and heartbeats until the broker serves.
  int64_t RegisterUnfenced(int32_t id) {
    const int64_t epoch = Register(id);
    Beat(id, epoch, committed->provenance().end_offset);
    CommitAll();
    EXPECT_FALSE(IsFenced(id));
    return epoch;
  }

  static v1::HeartbeatRequest Heartbeat(int32_t id, int64_t epoch, Offset applied) {
    v1::HeartbeatRequest request;
    request.set_broker_id(id);
    request.set_broker_epoch(epoch);
    request.set_applied_offset(applied.value());
    return request;
  }
  ReportHeard Beat(int32_t id, int64_t epoch, Offset applied) {
    return Report(Heartbeat(id, epoch, applied));
  }
  static const v1::HeartbeatResponse& ResponseOf(const ReportHeard& heard) {
    return std::get<v1::HeartbeatResponse>(**heard->reply);
  }
  // By what was planned, committed or not.
  bool IsFenced(int32_t id) {
    return controller().latest()->brokers().Find(BrokerId(id))->is_fenced;
  }

  ControllerConfig config;
  FakeLogAppender log;
  Now now{TimePoint(std::chrono::seconds(1000)), 5'000'000};
  std::shared_ptr<const MetadataImage> committed =
      MetadataDelta(*MetadataImage::Empty()).Apply({Offset(1), kEpoch, 0});

 private:
  std::unique_ptr<ActiveController> controller_;
};

}  // namespace kvorum::controller
