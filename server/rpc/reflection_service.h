#pragma once

#include <string>
#include <vector>

#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace kvorum::rpc {

namespace reflection = grpc::reflection::v1alpha;

// Describes the services of a listener to tools (grpcurl, Postman). A replacement for gRPC's own
// plugin, which is synchronous: its threads poll beside the callback threads, and every event then
// costs a hand-over between them. Owned by GrpcServer; called by gRPC's threads.
class ReflectionService final : public reflection::ServerReflection::CallbackService {
 public:
  // Full names of what is registered beside it.
  explicit ReflectionService(std::vector<std::string> services) : services_(std::move(services)) {}

  grpc::ServerBidiReactor<reflection::ServerReflectionRequest,
                          reflection::ServerReflectionResponse>*
  ServerReflectionInfo(grpc::CallbackServerContext* context) override;

  // The answer to one question.
  reflection::ServerReflectionResponse Answer(
      const reflection::ServerReflectionRequest& request) const;

 private:
  class Reactor;

  const std::vector<std::string> services_;
};

}  // namespace kvorum::rpc
