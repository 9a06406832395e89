#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/channel.h>
#include <grpcpp/support/status.h>

#include <map>
#include <memory>
#include <string>

#include "client/status.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {

// How one unary call ended.
struct RawAnswer {
  grpc::Status status;
  std::string bytes;  // of the response, when OK

  // Code, reason and outcome. REQUIRES: !status.ok().
  client::CallError error() const { return client::ParseStatus(status); }
  // The reason's name; "" when OK or without google.rpc.ErrorInfo.
  std::string reason() const { return status.ok() ? "" : error().reason_name; }
};

struct RawCall {
  std::string method;  // "kvorum.v1.EntryService/Put"
  std::string bytes;   // of the request, whatever they are
  milliseconds timeout{10'000};
  std::map<std::string, std::string> metadata;
};

// Sends any bytes to any method: what no generated stub would send.
RawAnswer Call(const std::shared_ptr<grpc::Channel>& channel, const RawCall& call);

// A channel without limits of its own.
std::shared_ptr<grpc::Channel> MakeRawChannel(const std::string& endpoint);

// A message of the request (response) type of `method`.
std::unique_ptr<google::protobuf::Message> MakeRequest(const std::string& method);
std::unique_ptr<google::protobuf::Message> MakeResponse(const std::string& method);

// The bytes of a request that is given in protobuf's text format. Aborts on a typing error.
std::string RequestFromText(const std::string& method, const std::string& text);

// `count` times `text`, for requests that are too long.
std::string Repeat(const std::string& text, int count);

}  // namespace kvorum::testing
