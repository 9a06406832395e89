#include "storage/types/record_batch.h"

#include <gtest/gtest.h>

#include <limits>

#include "server/base/errors.h"
#include "storage/types/big_endian.h"

namespace kvorum {
namespace {

RecordBatch ExampleBatch() {
  return MakeBatch(Offset(41), 3, Epoch(7), /*is_control=*/true, 1234567890123,
                   std::make_shared<const std::string>("three records"), 0x1122334455667788);
}

TEST(RecordBatchTest, DecodesWhatItEncoded) {
  const RecordBatch batch = ExampleBatch();
  const std::string frame = EncodeBatch(batch);
  EXPECT_EQ(frame.size(), batch.encoded_size());
  std::string_view rest = frame;
  const auto decoded = DecodeBatch(rest);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(decoded->base_offset, Offset(41));
  EXPECT_EQ(decoded->last_offset(), Offset(43));
  EXPECT_EQ(decoded->end_offset(), Offset(44));
  EXPECT_EQ(decoded->epoch, Epoch(7));
  EXPECT_TRUE(decoded->is_control);
  EXPECT_EQ(decoded->append_time_ms, 1234567890123);
  EXPECT_EQ(decoded->chain_hash, batch.chain_hash);
  EXPECT_EQ(*decoded->payload, "three records");
}

TEST(RecordBatchTest, RefusesEveryFlippedBit) {
  const std::string frame = EncodeBatch(ExampleBatch());
  for (size_t byte = 0; byte < frame.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = frame;
      damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << bit));
      std::string_view rest = damaged;
      const auto decoded = DecodeBatch(rest);
      ASSERT_FALSE(decoded.ok()) << "byte " << byte << " bit " << bit;
      EXPECT_EQ(GetErrorReason(decoded.status()), ErrorReason::kCorruptLog);
      EXPECT_EQ(rest.size(), damaged.size());
    }
  }
}

TEST(RecordBatchTest, RefusesEveryShorterFrame) {
  const std::string frame = EncodeBatch(ExampleBatch());
  for (size_t size = 0; size < frame.size(); ++size) {
    std::string_view rest = std::string_view(frame).substr(0, size);
    EXPECT_FALSE(DecodeBatch(rest).ok()) << size;
  }
}

TEST(RecordBatchTest, DecodesOneOfManyAndLeavesTheRest) {
  std::string frames = EncodeBatch(ExampleBatch());
  const size_t first = frames.size();
  AppendEncodedBatch(ExampleBatch(), frames);
  std::string_view rest = frames;
  ASSERT_TRUE(DecodeBatch(rest).ok());
  EXPECT_EQ(rest.size(), frames.size() - first);
  ASSERT_TRUE(DecodeBatch(rest).ok());
  EXPECT_TRUE(rest.empty());
}

TEST(RecordBatchTest, ChainHashDependsOnEveryField) {
  const RecordBatch base = ExampleBatch();
  const uint64_t chain = NextChainHash(1, base);
  const auto changed = [&](auto change) {
    RecordBatch other = base;
    change(other);
    return NextChainHash(1, other) != chain;
  };
  EXPECT_TRUE(changed([](RecordBatch& b) { b.base_offset = Offset(40); }));
  EXPECT_TRUE(changed([](RecordBatch& b) { b.record_count = 4; }));
  EXPECT_TRUE(changed([](RecordBatch& b) { b.epoch = Epoch(8); }));
  EXPECT_TRUE(changed([](RecordBatch& b) { b.is_control = false; }));
  EXPECT_TRUE(changed([](RecordBatch& b) { b.append_time_ms = 5; }));
  EXPECT_TRUE(changed([](RecordBatch& b) { b.payload_crc ^= 1; }));
  EXPECT_NE(NextChainHash(2, base), chain);
  EXPECT_NE(GenesisChainHash("a"), GenesisChainHash("b"));
}

TEST(BigEndianTest, OrderOfBytesIsOrderOfValues) {
  const int64_t values[] = {0, 1, 255, 256, 65535, 1LL << 40, std::numeric_limits<int64_t>::max()};
  std::string previous;
  for (const int64_t value : values) {
    std::string bytes;
    PutBigEndian(bytes, value);
    EXPECT_LT(previous, bytes);
    std::string_view in = bytes;
    EXPECT_EQ(TakeBigEndian<int64_t>(in), value);
    previous = bytes;
  }
}

TEST(BigEndianTest, KeepsNegativeNumbersAndLayout) {
  std::string bytes;
  PutBigEndian<int32_t>(bytes, -2);
  PutBigEndian<uint16_t>(bytes, 0x0102);
  EXPECT_EQ(bytes, std::string("\xff\xff\xff\xfe\x01\x02", 6));
  std::string_view in = bytes;
  EXPECT_EQ(TakeBigEndian<int32_t>(in), -2);
  EXPECT_EQ(TakeBigEndian<uint16_t>(in), 0x0102);
}

}  // namespace
}  // namespace kvorum
