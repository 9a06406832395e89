#pragma once

#include <fmt/core.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "client/controller_client.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "kvorum/v1/broker.grpc.pb.h"
#include "kvorum/v1/entry.grpc.pb.h"
#include "kvorum/v1/metadata.grpc.pb.h"
#include "kvorum/v1/quorum.grpc.pb.h"
#include "kvorum/v1/stream.grpc.pb.h"
#include "kvorum/v1/topic.grpc.pb.h"

namespace kvorum::client::testing {

// What a controller puts into the details of an error.
struct FakeError {
  grpc::StatusCode code = grpc::StatusCode::UNAVAILABLE;
  std::string reason;
  std::string outcome = "not_executed";
  std::string retry = "no";
  std::string leader_endpoint;
  int retry_delay_ms = 0;
};

inline grpc::Status MakeStatus(const FakeError& error) {
  google::rpc::Status details;
  details.set_code(error.code);
  google::rpc::ErrorInfo info;
  info.set_domain("kvorum");
  info.set_reason(error.reason);
  (*info.mutable_metadata())["outcome"] = error.outcome;
  (*info.mutable_metadata())["retry"] = error.retry;
  if (!error.leader_endpoint.empty()) {
    (*info.mutable_metadata())["leader_endpoint"] = error.leader_endpoint;
    (*info.mutable_metadata())["leader_id"] = "2";
    (*info.mutable_metadata())["leader_epoch"] = "7";
  }
  details.add_details()->PackFrom(info);
  if (error.retry_delay_ms > 0) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_nanos(error.retry_delay_ms * 1'000'000);
    details.add_details()->PackFrom(retry);
  }
  return {error.code, "no decision may hang on this text", details.SerializeAsString()};
}

inline grpc::Status NotController(const std::string& leader_endpoint) {
  return MakeStatus({grpc::StatusCode::UNAVAILABLE, "NOT_CONTROLLER", "not_executed", "other_node",
                     leader_endpoint});
}

inline grpc::Status LeaderNotAvailable() {
  return MakeStatus(
      {grpc::StatusCode::UNAVAILABLE, "LEADER_NOT_AVAILABLE", "not_executed", "same_node", "", 5});
}

inline v1::Position At(int64_t offset, int32_t epoch) {
  v1::Position position;
  position.set_generation(99);
  position.set_epoch(epoch);
  position.set_offset(offset);
  return position;
}

// One subscriber's stream, from the server's side.
class FakeStream {
 public:
  FakeStream(grpc::ServerContext* context, grpc::ServerWriter<v1::SubscribeResponse>* writer)
      : context_(context), writer_(writer) {}

  void Send(v1::MetadataUpdate update) {
    v1::SubscribeResponse response;
    *response.add_updates() = std::move(update);
    writer_->Write(response);
  }
  void SendHello(const v1::Position& start, bool snapshot_follows, uint32_t bookmark_ms = 1000,
                 uint64_t filter_id = 0) {
    v1::MetadataUpdate update;
    update.mutable_hello()->set_node_id(1);
    *update.mutable_hello()->mutable_start() = start;
    update.mutable_hello()->set_bookmark_interval_ms(bookmark_ms);
    update.mutable_hello()->set_snapshot_follows(snapshot_follows);
    update.mutable_hello()->set_filter_id(filter_id);
    Send(std::move(update));
  }
  void SendSnapshot(const std::vector<v1::MetadataRecord>& records, const v1::Position& position) {
    v1::MetadataUpdate chunk;
    chunk.mutable_snapshot_chunk()->mutable_records()->Assign(records.begin(), records.end());
    Send(std::move(chunk));
    v1::MetadataUpdate end;
    *end.mutable_snapshot_end()->mutable_position() = position;
    Send(std::move(end));
  }
  void SendCommit(int64_t from, const v1::Position& to,
                  const std::vector<v1::MetadataRecord>& records) {
    v1::MetadataUpdate update;
    update.mutable_commit()->set_from(from);
    *update.mutable_commit()->mutable_to() = to;
    update.mutable_commit()->mutable_records()->Assign(records.begin(), records.end());
    Send(std::move(update));
  }
  // Until the subscriber goes away.
  void WaitForCancel() const {
    std::mutex mutex;
    std::condition_variable wake;
    std::unique_lock<std::mutex> lock(mutex);
    while (!context_->IsCancelled()) {
      wake.wait_for(lock, std::chrono::milliseconds(2));
    }
  }

 private:
  grpc::ServerContext* context_;
  grpc::ServerWriter<v1::SubscribeResponse>* writer_;
};

// A controller whose answers a test decides: a real server on a port of its own. What a test sets
// must be set before the first call.
class FakeController {
 public:
  std::function<grpc::Status(const v1::PutEntryRequest&, v1::PutEntryResponse&)> on_put;
  std::function<grpc::Status(const v1::GetEntryRequest&, v1::GetEntryResponse&)> on_get;
  std::function<grpc::Status(const v1::CreateTopicsRequest&, v1::CreateTopicsResponse&)>
      on_create_topics;
  std::function<grpc::Status(const v1::ListTopicsRequest&, v1::ListTopicsResponse&)> on_list_topics;
  std::function<grpc::Status(const v1::RegisterBrokerRequest&, v1::RegisterBrokerResponse&)>
      on_register;
  std::function<grpc::Status(const v1::HeartbeatRequest&, v1::HeartbeatResponse&)> on_heartbeat;
  std::function<grpc::Status(const v1::AcknowledgeMetadataRequest&,
                             v1::AcknowledgeMetadataResponse&)>
      on_acknowledge;
  std::function<grpc::Status(const v1::AwaitAppliedRequest&, v1::AwaitAppliedResponse&)>
      on_await_applied;
  std::function<grpc::Status(const v1::DescribeQuorumRequest&, v1::DescribeQuorumResponse&)>
      on_describe_quorum;
  std::function<grpc::Status(const v1::SubscribeRequest&, FakeStream&)> on_subscribe;

  FakeController()
      : entry_(*this),
        topic_(*this),
        broker_(*this),
        metadata_(*this),
        quorum_(*this),
        stream_(*this) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&entry_);
    builder.RegisterService(&topic_);
    builder.RegisterService(&broker_);
    builder.RegisterService(&metadata_);
    builder.RegisterService(&quorum_);
    builder.RegisterService(&stream_);
    server_ = builder.BuildAndStart();
    endpoint_ = fmt::format("127.0.0.1:{}", port);
  }
  ~FakeController() { Stop(); }

  const std::string& endpoint() const { return endpoint_; }
  int call_count() const { return call_count_.load(); }

  // As if killed: open calls and streams break.
  void Stop() { server_->Shutdown(std::chrono::system_clock::now()); }

 private:
  template <typename Handler, typename... Args>
  grpc::Status Answer(const Handler& handler, Args&&... args) {
    ++call_count_;
    if (!handler) {
      return {grpc::StatusCode::UNIMPLEMENTED, "the test did not expect this call"};
    }
    return handler(std::forward<Args>(args)...);
  }

  using Context = grpc::ServerContext;

  class Entry final : public v1::EntryService::Service {
   public:
    explicit Entry(FakeController& owner) : owner_(owner) {}
    grpc::Status Put(Context*, const v1::PutEntryRequest* request,
                     v1::PutEntryResponse* response) override {
      return owner_.Answer(owner_.on_put, *request, *response);
    }
    grpc::Status Get(Context*, const v1::GetEntryRequest* request,
                     v1::GetEntryResponse* response) override {
      return owner_.Answer(owner_.on_get, *request, *response);
    }

   private:
    FakeController& owner_;
  };
  class Topic final : public v1::TopicService::Service {
   public:
    explicit Topic(FakeController& owner) : owner_(owner) {}
    grpc::Status CreateTopics(Context*, const v1::CreateTopicsRequest* request,
                              v1::CreateTopicsResponse* response) override {
      return owner_.Answer(owner_.on_create_topics, *request, *response);
    }
    grpc::Status ListTopics(Context*, const v1::ListTopicsRequest* request,
                            v1::ListTopicsResponse* response) override {
      return owner_.Answer(owner_.on_list_topics, *request, *response);
    }

   private:
    FakeController& owner_;
  };
  class Broker final : public v1::BrokerService::Service {
   public:
    explicit Broker(FakeController& owner) : owner_(owner) {}
    grpc::Status RegisterBroker(Context*, const v1::RegisterBrokerRequest* request,
                                v1::RegisterBrokerResponse* response) override {
      return owner_.Answer(owner_.on_register, *request, *response);
    }
    grpc::Status Heartbeat(Context*, const v1::HeartbeatRequest* request,
                           v1::HeartbeatResponse* response) override {
      return owner_.Answer(owner_.on_heartbeat, *request, *response);
    }
    grpc::Status AcknowledgeMetadata(Context*, const v1::AcknowledgeMetadataRequest* request,
                                     v1::AcknowledgeMetadataResponse* response) override {
      return owner_.Answer(owner_.on_acknowledge, *request, *response);
    }

   private:
    FakeController& owner_;
  };
  class Metadata final : public v1::MetadataService::Service {
   public:
    explicit Metadata(FakeController& owner) : owner_(owner) {}
    grpc::Status AwaitApplied(Context*, const v1::AwaitAppliedRequest* request,
                              v1::AwaitAppliedResponse* response) override {
      return owner_.Answer(owner_.on_await_applied, *request, *response);
    }

   private:
    FakeController& owner_;
  };
  class Quorum final : public v1::QuorumService::Service {
   public:
    explicit Quorum(FakeController& owner) : owner_(owner) {}
    grpc::Status DescribeQuorum(Context*, const v1::DescribeQuorumRequest* request,
                                v1::DescribeQuorumResponse* response) override {
      return owner_.Answer(owner_.on_describe_quorum, *request, *response);
    }

   private:
    FakeController& owner_;
  };
  class Stream final : public v1::MetadataStreamService::Service {
   public:
    explicit Stream(FakeController& owner) : owner_(owner) {}
    grpc::Status Subscribe(Context* context, const v1::SubscribeRequest* request,
                           grpc::ServerWriter<v1::SubscribeResponse>* writer) override {
      FakeStream stream(context, writer);
      return owner_.Answer(owner_.on_subscribe, *request, stream);
    }

   private:
    FakeController& owner_;
  };

  Entry entry_;
  Topic topic_;
  Broker broker_;
  Metadata metadata_;
  Quorum quorum_;
  Stream stream_;
  std::atomic<int> call_count_{0};
  std::string endpoint_;
  std::unique_ptr<grpc::Server> server_;
};

// Waits until `condition` holds; false when it does not within ten seconds.
template <typename Condition>
bool Eventually(const Condition& condition) {
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock<std::mutex> lock(mutex);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return false;
    }
    never.wait_for(lock, std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace kvorum::client::testing
