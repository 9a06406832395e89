// The wire form is put together by hand, so that payload bytes are shared: it must be what protobuf
// would have written.
#include "server/publish/encode_update.h"

#include <gtest/gtest.h>

#include "tests/unit/publish/fakes.h"

namespace kvorum::publish {
namespace {

v1::SubscribeResponse DecodeAll(const std::vector<EncodedUpdate>& updates) {
  Delivery delivery;
  for (const EncodedUpdate& update : updates) {
    update.AppendTo(delivery);
  }
  return Decode(delivery);
}

TEST(EncodeUpdateTest, EncodesAnyUpdateAsAFieldOfTheResponse) {
  v1::MetadataUpdate update;
  update.mutable_go_away()->set_message(std::string(300, 'x'));
  update.mutable_go_away()->set_hint("host:1");
  const v1::SubscribeResponse response = DecodeAll({EncodeUpdate(update), EncodeUpdate(update)});
  ASSERT_EQ(response.updates_size(), 2);
  EXPECT_EQ(response.updates(0).SerializeAsString(), update.SerializeAsString());
  EXPECT_EQ(response.updates(1).SerializeAsString(), update.SerializeAsString());
}

TEST(EncodeUpdateTest, SharesThePayloadOfAWholeCommit) {
  CommittedHistory history;
  history.AddControl();
  const CommittedUpdate commit = history.AddPuts(3, 100);
  const std::vector<EncodedUpdate> parts = EncodeCommit(commit, kGeneration, 1 << 20);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].payload.get(), commit.payload.get());

  const v1::SubscribeResponse response = DecodeAll(parts);
  ASSERT_EQ(response.updates_size(), 1);
  v1::MetadataUpdate expected;
  ASSERT_TRUE(expected.mutable_commit()->ParseFromString(*commit.payload));
  expected.mutable_commit()->set_from(1);
  *expected.mutable_commit()->mutable_to() = MakePosition(Offset(4), Epoch(1));
  EXPECT_EQ(response.updates(0).SerializeAsString(), expected.SerializeAsString());
}

TEST(EncodeUpdateTest, EncodesAControlBatchAsAnEmptyCommit) {
  const std::vector<EncodedUpdate> parts =
      EncodeCommit({Offset(0), Offset(2), Epoch(1), nullptr}, kGeneration, 1000);
  ASSERT_EQ(parts.size(), 1u);
  const v1::SubscribeResponse response = DecodeAll(parts);
  const v1::Commit& commit = response.updates(0).commit();
  EXPECT_EQ(commit.from(), 0);
  EXPECT_EQ(commit.to().offset(), 2);
  EXPECT_EQ(commit.records_size(), 0);
  EXPECT_EQ(commit.part_count(), 0u);
}

TEST(EncodeUpdateTest, SplitsALargeCommitBetweenRecords) {
  for (const size_t max_bytes : {100u, 250u, 500u, 1000u, 3000u}) {
    CommittedHistory history;
    history.AddControl();
    const CommittedUpdate commit = history.AddPuts(40, 90);
    const std::vector<EncodedUpdate> parts = EncodeCommit(commit, kGeneration, max_bytes);
    ASSERT_GT(parts.size(), 1u);
    std::string joined;
    v1::RecordBatchPayload records;
    for (size_t i = 0; i < parts.size(); ++i) {
      const v1::SubscribeResponse response = DecodeAll({parts[i]});
      const v1::Commit& part = response.updates(0).commit();
      EXPECT_EQ(part.from(), 1);
      EXPECT_EQ(part.to().offset(), 41);
      EXPECT_EQ(part.part(), i);
      EXPECT_EQ(part.part_count(), parts.size());
      EXPECT_GE(part.records_size(), 1);
      EXPECT_TRUE(parts[i].bytes() <= max_bytes || part.records_size() == 1)
          << parts[i].bytes() << " bytes, at most " << max_bytes;
      records.MergeFrom([&] {
        v1::RecordBatchPayload own;
        *own.mutable_records() = part.records();
        return own;
      }());
      joined += *parts[i].payload;
    }
    EXPECT_EQ(joined, *commit.payload);
    EXPECT_EQ(records.SerializeAsString(), *commit.payload);
  }
}

TEST(EncodeUpdateTest, NeverMakesAMessageOverTheLimitOfSmallRecords) {
  // Sizes around the limit, where the head decides.
  for (int count = 1; count < 40; ++count) {
    CommittedHistory history;
    history.AddControl();
    const CommittedUpdate commit = history.AddPuts(count, 20);
    for (const EncodedUpdate& part : EncodeCommit(commit, kGeneration, 600)) {
      EXPECT_LE(part.bytes(), 600u) << count << " records";
    }
  }
}

TEST(EncodeUpdateTest, KeepsARecordOverTheLimitWhole) {
  CommittedHistory history;
  history.AddControl();
  const CommittedUpdate commit = history.AddPuts(3, 5000);
  const std::vector<EncodedUpdate> parts = EncodeCommit(commit, kGeneration, 1000);
  ASSERT_EQ(parts.size(), 3u);
  for (const EncodedUpdate& part : parts) {
    EXPECT_EQ(DecodeAll({part}).updates(0).commit().records_size(), 1);
  }
}

TEST(EncodeUpdateTest, EncodesALargestBatch) {
  CommittedHistory history;
  history.AddControl();
  const CommittedUpdate commit = history.AddPuts(60, 64 << 10);
  std::string joined;
  for (const EncodedUpdate& part : EncodeCommit(commit, kGeneration, 128 << 10)) {
    EXPECT_LE(part.bytes(), size_t{128 << 10});
    joined += *part.payload;
  }
  EXPECT_EQ(joined, *commit.payload);
}

// A commit as a filter lets it through: what left, then records with the offsets they have.
v1::Commit FilteredCommit(int left, int records) {
  v1::Commit commit;
  commit.set_from(100);
  *commit.mutable_to() = MakePosition(Offset(1000), Epoch(3));
  for (int i = 0; i < left; ++i) {
    v1::LeftScope& scope = *commit.add_left_scope();
    scope.set_topic_id(std::string(16, 't'));
    scope.set_topic_name(fmt::format("topic-{}", i));
  }
  for (int i = 0; i < records; ++i) {
    const Offset offset(200 + 3 * i);
    *commit.add_records() = PutRecord(fmt::format("key-{}", i), std::string(30, 'v'), offset);
    commit.add_offsets(offset.value());
  }
  return commit;
}

TEST(EncodeUpdateTest, SplitsALargeFilteredCommitBetweenItsItems) {
  const v1::Commit whole = FilteredCommit(20, 40);
  for (const size_t max_bytes : {200u, 300u, 301u, 302u, 303u, 1000u, 2000u}) {
    SCOPED_TRACE(max_bytes);
    const std::vector<EncodedUpdate> parts = EncodeFilteredCommit(whole, max_bytes);
    ASSERT_GT(parts.size(), 1u);
    v1::Commit joined;
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_LE(parts[i].bytes(), max_bytes);
      const v1::Commit part = DecodeAll({parts[i]}).updates(0).commit();
      EXPECT_EQ(part.from(), 100);
      EXPECT_EQ(part.to().SerializeAsString(), whole.to().SerializeAsString());
      EXPECT_EQ(part.part(), i);
      EXPECT_EQ(part.part_count(), parts.size());
      EXPECT_GT(part.left_scope_size() + part.records_size(), 0);
      EXPECT_EQ(part.offsets_size(), part.records_size()) << "an offset stands beside its record";
      EXPECT_TRUE(part.left_scope().empty() || joined.records().empty())
          << "what left comes before what is there";
      joined.mutable_left_scope()->MergeFrom(part.left_scope());
      joined.mutable_records()->MergeFrom(part.records());
      joined.mutable_offsets()->MergeFrom(part.offsets());
    }
    joined.set_from(whole.from());
    *joined.mutable_to() = whole.to();
    EXPECT_EQ(joined.SerializeAsString(), whole.SerializeAsString());
  }
}

TEST(EncodeUpdateTest, KeepsAFilteredCommitThatFitsInOneMessage) {
  for (const v1::Commit& whole : {FilteredCommit(2, 3), FilteredCommit(0, 0)}) {
    const std::vector<EncodedUpdate> parts = EncodeFilteredCommit(whole, 1000);
    ASSERT_EQ(parts.size(), 1u);
    EXPECT_EQ(DecodeAll(parts).updates(0).commit().SerializeAsString(), whole.SerializeAsString());
  }
}

TEST(EncodeUpdateTest, LeavesOutWhatIsForControllersOnly) {
  std::vector<v1::MetadataRecord> records;
  for (int i = 0; i < 10; ++i) {
    records.push_back(PutRecord(fmt::format("key-{}", i), std::string(30, 'v'), Offset(5 + i)));
  }
  const std::string shown = EncodeRecords(records);
  v1::MetadataRecord completed;
  completed.mutable_completed_request()->set_request_id(std::string(16, 'r'));
  records.push_back(completed);
  const auto payload = std::make_shared<const std::string>(EncodeRecords(records));
  ASSERT_GT(payload->size(), shown.size());
  const CommittedUpdate update{Offset(5), Offset(16), Epoch(1), payload};
  for (const size_t max_bytes : {size_t{1} << 20, size_t{200}}) {
    std::string joined;
    for (const EncodedUpdate& part : EncodeCommit(update, kGeneration, max_bytes)) {
      EXPECT_EQ(DecodeAll({part}).updates(0).commit().to().offset(), 16) << "its offset is passed";
      joined += *part.payload;
    }
    EXPECT_EQ(joined, shown);
  }

  const CommittedUpdate alone{Offset(16), Offset(17), Epoch(1),
                              std::make_shared<const std::string>(EncodeRecords({completed}))};
  const std::vector<EncodedUpdate> parts = EncodeCommit(alone, kGeneration, 1000);
  ASSERT_EQ(parts.size(), 1u);
  const v1::Commit commit = DecodeAll(parts).updates(0).commit();
  EXPECT_EQ(commit.records_size(), 0);
  EXPECT_EQ(commit.to().offset(), 17);
}

TEST(EncodeUpdateTest, WrapsASnapshotChunk) {
  CommittedHistory history;
  history.AddControl();
  const CommittedUpdate commit = history.AddPuts(5, 70);
  const v1::SubscribeResponse response = DecodeAll({EncodeSnapshotChunk(*commit.payload)});
  ASSERT_EQ(response.updates_size(), 1);
  EXPECT_EQ(response.updates(0).snapshot_chunk().records_size(), 5);
  EXPECT_EQ(response.updates(0).snapshot_chunk().SerializeAsString(), *commit.payload);
}

TEST(EncodeUpdateDeathTest, RefusesAMalformedPayloadThatMustBeSplit) {
  const CommittedUpdate broken{Offset(0), Offset(1), Epoch(1),
                               std::make_shared<const std::string>(std::string(500, '\x7f'))};
  EXPECT_DEATH(EncodeCommit(broken, kGeneration, 200), "malformed");
}

}  // namespace
}  // namespace kvorum::publish
