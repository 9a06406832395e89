// The inner costs of a write, one by one: `build/release/bin/micro_bench`.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvorum/v1/record.pb.h"
#include "server/base/crc32c.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/metadata_image.h"
#include "server/metadata/record_codec.h"
#include "server/publish/encode_update.h"
#include "storage/types/record_batch.h"

namespace kvorum {
namespace {

constexpr size_t kValueBytes = 256;

v1::MetadataRecord MakeEntry(int64_t n, int64_t version) {
  v1::MetadataRecord record;
  record.mutable_entry()->set_key(fmt::format("bench/{:08}", n));
  record.mutable_entry()->set_value(std::string(kValueBytes, 'v'));
  record.mutable_entry()->set_version(version);
  return record;
}

std::shared_ptr<const MetadataImage> MakeImage(int64_t entries) {
  MetadataDelta delta(*MetadataImage::Empty());
  for (int64_t n = 0; n < entries; ++n) {
    delta.Replay(MakeEntry(n, n + 1), Offset(n + 1));
  }
  return delta.Apply(Provenance{Offset(entries + 1), Epoch(1), 0});
}

void BM_Crc32c(benchmark::State& state) {
  const std::string data(static_cast<size_t>(state.range(0)), 'x');
  for (auto _ : state) {
    benchmark::DoNotOptimize(Crc32c(data));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Crc32c)->Arg(48)->Arg(320)->Arg(65536);

void BM_MakeAndEncodeBatch(benchmark::State& state) {
  const auto payload = std::make_shared<const std::string>(EncodeRecords({MakeEntry(1, 1)}));
  uint64_t chain = 0;
  for (auto _ : state) {
    const RecordBatch batch = MakeBatch(Offset(0), 1, Epoch(1), false, 0, payload, chain);
    chain = batch.chain_hash;
    benchmark::DoNotOptimize(EncodeBatch(batch));
  }
}
BENCHMARK(BM_MakeAndEncodeBatch);

void BM_DecodeBatch(benchmark::State& state) {
  const auto payload = std::make_shared<const std::string>(EncodeRecords({MakeEntry(1, 1)}));
  const std::string encoded = EncodeBatch(MakeBatch(Offset(0), 1, Epoch(1), false, 0, payload, 0));
  for (auto _ : state) {
    std::string_view rest = encoded;
    benchmark::DoNotOptimize(DecodeBatch(rest));
  }
}
BENCHMARK(BM_DecodeBatch);

// What a follower does with each committed batch of one Put. The base stays: paths are copied.
void BM_ReplayOnSharedImage(benchmark::State& state) {
  const auto image = MakeImage(state.range(0));
  int64_t version = state.range(0) + 1;
  for (auto _ : state) {
    ++version;
    MetadataDelta delta(*image);
    delta.Replay(MakeEntry(version * 7919 % state.range(0), version), Offset(version));
    benchmark::DoNotOptimize(delta.Apply(Provenance{Offset(version + 1), Epoch(1), 0}));
  }
}
BENCHMARK(BM_ReplayOnSharedImage)->Arg(1000)->Arg(100'000);

// What the active controller does with each Put: nobody else holds the plan.
void BM_ReplayInPlace(benchmark::State& state) {
  auto image = MakeImage(state.range(0));
  int64_t version = state.range(0) + 1;
  for (auto _ : state) {
    ++version;
    MetadataDelta delta(*std::exchange(image, nullptr));
    delta.Replay(MakeEntry(version * 7919 % state.range(0), version), Offset(version));
    image = delta.Apply(Provenance{Offset(version + 1), Epoch(1), 0});
  }
}
BENCHMARK(BM_ReplayInPlace)->Arg(1000)->Arg(100'000);

void BM_EncodeCommit(benchmark::State& state) {
  const auto payload = std::make_shared<const std::string>(EncodeRecords({MakeEntry(1, 1)}));
  const publish::CommittedUpdate update{Offset(0), Offset(1), Epoch(1), payload};
  for (auto _ : state) {
    benchmark::DoNotOptimize(publish::EncodeCommit(update, 1, 128 << 10));
  }
}
BENCHMARK(BM_EncodeCommit);

}  // namespace
}  // namespace kvorum

BENCHMARK_MAIN();
