#pragma once

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "server/controller/commands.h"
#include "server/rpc/status_codec.h"
#include "server/runtime/clock.h"
#include "server/runtime/node_runner.h"
#include "server/runtime/request_observer.h"

namespace kvorum::rpc {

// The glue of every unary method of the client services: post the request, send the reply when it
// comes. Services are one line per method on top of it. Borrows both references for its life; any
// thread. Replies are sent from node's loop.
class UnaryCalls {
 public:
  UnaryCalls(NodeRunner& runner, RequestObserver& observer)
      : runner_(runner), observer_(observer) {}

  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Command(std::string_view method, grpc::CallbackServerContext* context,
                                    const Request* request, Response* response) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    runner_.SubmitCommand(Take(request), DeadlineFromSystemTime(context->deadline()),
                          Replier<controller::CommandReply>(method, reactor, response));
    return reactor;
  }

  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Query(std::string_view method, grpc::CallbackServerContext* context,
                                  const Request* request, Response* response) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    runner_.SubmitQuery(Take(request), DeadlineFromSystemTime(context->deadline()),
                        Replier<controller::QueryReply>(method, reactor, response));
    return reactor;
  }

  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Report(std::string_view method, grpc::CallbackServerContext* context,
                                   const Request* request, Response* response) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    runner_.SubmitBrokerReport(Take(request),
                               Replier<controller::BrokerReportReply>(method, reactor, response));
    return reactor;
  }

  grpc::ServerUnaryReactor* AwaitApplied(std::string_view method,
                                         grpc::CallbackServerContext* context,
                                         const v1::AwaitAppliedRequest* request,
                                         v1::AwaitAppliedResponse* response) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    runner_.SubmitAwaitApplied(Take(request), DeadlineFromSystemTime(context->deadline()),
                               Replier<v1::AwaitAppliedResponse>(method, reactor, response));
    return reactor;
  }

  grpc::ServerUnaryReactor* HoldSession(std::string_view method,
                                        grpc::CallbackServerContext* context,
                                        const v1::HoldSessionRequest* request,
                                        v1::HoldSessionResponse* response) {
    const controller::HoldId hold = next_hold_.fetch_add(1, std::memory_order_relaxed);
    auto* reactor = new HoldReactor(runner_, hold, context->deadline());
    runner_.SubmitHoldSession(Take(request), hold,
                              Replier<v1::HoldSessionResponse>(method, reactor, response));
    return reactor;
  }

  grpc::ServerUnaryReactor* DescribeQuorum(std::string_view method,
                                           grpc::CallbackServerContext* context,
                                           const v1::DescribeQuorumRequest* request,
                                           v1::DescribeQuorumResponse* response) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    runner_.SubmitDescribeQuorum(Take(request),
                                 Replier<v1::DescribeQuorumResponse>(method, reactor, response));
    return reactor;
  }

  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* QuorumChange(std::string_view method,
                                         grpc::CallbackServerContext* context,
                                         const Request* request, Response* response) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    runner_.SubmitQuorumChange(Take(request), DeadlineFromSystemTime(context->deadline()),
                               Replier<QuorumReply>(method, reactor, response));
    return reactor;
  }

  grpc::ServerUnaryReactor* DescribeCluster(std::string_view method,
                                            grpc::CallbackServerContext* context,
                                            const v1::DescribeClusterRequest* request,
                                            v1::DescribeClusterResponse* response) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    runner_.SubmitDescribeCluster(Take(request),
                                  Replier<v1::DescribeClusterResponse>(method, reactor, response));
    return reactor;
  }

  grpc::ServerUnaryReactor* TriggerSnapshot(std::string_view method,
                                            grpc::CallbackServerContext* context,
                                            const v1::TriggerSnapshotRequest* request,
                                            v1::TriggerSnapshotResponse* response) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    runner_.SubmitTriggerSnapshot(Take(request),
                                  Replier<v1::TriggerSnapshotResponse>(method, reactor, response));
    return reactor;
  }

 private:
  // A call that is open for long, whose end by the caller is news. Owns itself until OnDone, which
  // comes after the reply.
  class HoldReactor final : public grpc::ServerUnaryReactor {
   public:
    using Deadline = std::chrono::system_clock::time_point;

    HoldReactor(NodeRunner& runner, controller::HoldId hold, Deadline deadline)
        : runner_(runner), hold_(hold), deadline_(deadline) {}
    void OnCancel() override {
      // Counted from the call's arrival here, so it is over a little earlier for the caller.
      const bool is_over = std::chrono::system_clock::now() + kDeadlineLag >= deadline_;
      runner_.HoldEnded(hold_,
                        is_over ? controller::HoldEnd::kExpired : controller::HoldEnd::kCallerGone);
    }
    void OnDone() override { delete this; }

   private:
    static constexpr auto kDeadlineLag = std::chrono::seconds(1);

    NodeRunner& runner_;
    const controller::HoldId hold_;
    const Deadline deadline_;
  };

  // gRPC keeps the request until the call is over, but nobody reads it again: moved, not copied.
  template <typename Request>
  static Request Take(const Request* request) {
    return std::move(*const_cast<Request*>(request));
  }

  template <typename Response>
  static Response& Unwrap(Response& reply, const Response*) {
    return reply;
  }
  template <typename Response, typename... Replies>
  static Response& Unwrap(std::variant<Replies...>& reply, const Response*) {
    return std::get<Response>(reply);
  }

  template <typename Reply, typename Response>
  Node::Done<Reply> Replier(std::string_view method, grpc::ServerUnaryReactor* reactor,
                            Response* response) {
    return [this, method, reactor, response](absl::StatusOr<Reply> reply) {
      observer_.OnReply(method, reply.status().code());
      if (reply.ok()) {
        *response = std::move(Unwrap(*reply, response));
      }
      reactor->Finish(ToGrpcStatus(reply.status()));
    };
  }

  NodeRunner& runner_;
  RequestObserver& observer_;
  std::atomic<controller::HoldId> next_hold_{1};
};

}  // namespace kvorum::rpc
