#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <array>
#include <vector>

#include "server/publish/subscriber_sink.h"

namespace kvorum::rpc {

// Turns deliveries into gRPC messages at the least cost. Large pieces are referred to, small ones
// are copied together, since a reference costs two allocations; and subscribers that are at the
// same place, which is most of them, share one result. Owned by StreamServiceImpl; publish loop
// only.
class DeliveryEncoder {
 public:
  static constexpr size_t kCopyBelowBytes = 2048;
  static constexpr size_t kRemembered = 8;  // deliveries; each is at most a message long

  grpc::ByteBuffer Encode(const publish::Delivery& delivery);

 private:
  struct Entry {
    publish::Delivery delivery;
    std::vector<grpc::Slice> slices;
  };

  std::array<Entry, kRemembered> recent_;
  size_t oldest_ = 0;
};

}  // namespace kvorum::rpc
