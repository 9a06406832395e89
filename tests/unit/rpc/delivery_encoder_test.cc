#include "server/rpc/delivery_encoder.h"

#include <gtest/gtest.h>

namespace kvorum::rpc {
namespace {

publish::SharedBytes Bytes(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

std::vector<grpc::Slice> SlicesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  return slices;
}

std::string TextOf(const grpc::ByteBuffer& buffer) {
  std::string text;
  for (const grpc::Slice& slice : SlicesOf(buffer)) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

const std::string kLarge(DeliveryEncoder::kCopyBelowBytes, 'L');

TEST(DeliveryEncoderTest, KeepsAllPiecesInOrder) {
  DeliveryEncoder encoder;
  const publish::Delivery delivery = {Bytes("a"), Bytes("b"), Bytes(kLarge), Bytes(""), Bytes("c")};
  EXPECT_EQ(TextOf(encoder.Encode(delivery)), "ab" + kLarge + "c");
}

TEST(DeliveryEncoderTest, RefersToLargePieces) {
  DeliveryEncoder encoder;
  const publish::SharedBytes large = Bytes(kLarge);
  const grpc::ByteBuffer buffer = encoder.Encode({Bytes("head"), large});
  const std::vector<grpc::Slice> slices = SlicesOf(buffer);
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(reinterpret_cast<const char*>(slices[1].begin()), large->data());
}

TEST(DeliveryEncoderTest, SubscribersAtOnePlaceShareOneMessage) {
  DeliveryEncoder encoder;
  const publish::Delivery delivery = {Bytes(std::string(100, 'a')), Bytes(std::string(100, 'b'))};
  const grpc::ByteBuffer first = encoder.Encode(delivery);
  const grpc::ByteBuffer second = encoder.Encode(delivery);
  EXPECT_EQ(SlicesOf(first)[0].begin(), SlicesOf(second)[0].begin());
}

TEST(DeliveryEncoderTest, BytesOutliveEverythingButTheMessage) {
  grpc::ByteBuffer buffer;
  {
    DeliveryEncoder encoder;
    buffer = encoder.Encode({Bytes("small"), Bytes(kLarge)});
  }
  EXPECT_EQ(TextOf(buffer), "small" + kLarge);
}

TEST(DeliveryEncoderTest, ForgetsTheOldest) {
  DeliveryEncoder encoder;
  const publish::SharedBytes large = Bytes(kLarge);
  for (size_t i = 0; i <= 2 * DeliveryEncoder::kRemembered; ++i) {
    encoder.Encode({Bytes(std::to_string(i)), i == 0 ? large : Bytes("x")});
  }
  EXPECT_EQ(large.use_count(), 1);
}

TEST(DeliveryEncoderTest, EmptyDeliveryIsAValidMessage) {
  DeliveryEncoder encoder;
  EXPECT_TRUE(encoder.Encode({}).Valid());
}

}  // namespace
}  // namespace kvorum::rpc
