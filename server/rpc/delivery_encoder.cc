#include "server/rpc/delivery_encoder.h"

#include <memory>
#include <string>
#include <utility>

namespace kvorum::rpc {
namespace {

// A slice that keeps `bytes` alive instead of copying them.
grpc::Slice SliceOf(publish::SharedBytes bytes) {
  const std::string& text = *bytes;
  auto* owner = new publish::SharedBytes(std::move(bytes));
  return grpc::Slice(
      const_cast<char*>(text.data()), text.size(),
      [](void* data) { delete static_cast<publish::SharedBytes*>(data); }, owner);
}

std::vector<grpc::Slice> MakeSlices(const publish::Delivery& delivery) {
  std::vector<grpc::Slice> slices;
  auto small = std::make_shared<std::string>();
  const auto flush = [&] {
    if (!small->empty()) {
      slices.push_back(SliceOf(std::move(small)));
      small = std::make_shared<std::string>();
    }
  };
  for (const publish::SharedBytes& piece : delivery) {
    if (piece->size() < DeliveryEncoder::kCopyBelowBytes) {
      small->append(*piece);
    } else {
      flush();
      slices.push_back(SliceOf(piece));
    }
  }
  flush();
  if (slices.empty()) {
    slices.emplace_back();  // an empty message is a message
  }
  return slices;
}

}  // namespace

grpc::ByteBuffer DeliveryEncoder::Encode(const publish::Delivery& delivery) {
  for (const Entry& entry : recent_) {
    // The pieces are the same objects, not just equal; the entry keeps them alive.
    if (!entry.slices.empty() && entry.delivery == delivery) {
      return grpc::ByteBuffer(entry.slices.data(), entry.slices.size());
    }
  }
  Entry& entry = recent_[oldest_];
  oldest_ = (oldest_ + 1) % kRemembered;
  entry = {delivery, MakeSlices(delivery)};
  return grpc::ByteBuffer(entry.slices.data(), entry.slices.size());
}

}  // namespace kvorum::rpc
