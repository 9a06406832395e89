#include "server/metadata/record_codec.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

v1::MetadataRecord Entry(std::string key, std::string value = "") {
  v1::MetadataRecord record;
  record.mutable_entry()->set_key(std::move(key));
  record.mutable_entry()->set_value(std::move(value));
  record.mutable_entry()->set_version(1);
  return record;
}

// A length-delimited field.
std::string Field(int number, const std::string& bytes) {
  std::string field;
  field.push_back(static_cast<char>(number << 3 | 2));
  field.push_back(static_cast<char>(bytes.size()));
  return field + bytes;
}

TEST(RecordCodecTest, DecodesWhatItEncoded) {
  const std::vector<v1::MetadataRecord> records = {Entry("a", "1"), Entry("b")};
  const std::string payload = EncodeRecords(records);
  const auto decoded = DecodeRecords(payload);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_EQ(decoded->size(), 2u);
  EXPECT_EQ((*decoded)[0].SerializeAsString(), records[0].SerializeAsString());
  EXPECT_EQ((*decoded)[1].SerializeAsString(), records[1].SerializeAsString());
}

TEST(RecordCodecTest, ARecordHoldsNothingOfTheOneBefore) {
  // One record is used for all that are visited.
  v1::MetadataRecord full;
  v1::PartitionChangeRecord& change = *full.mutable_partition_change();
  change.set_topic_id(std::string(16, 't'));
  change.add_isr(1);
  change.add_eligible_leader_replicas(2);
  change.set_leader(1);
  v1::MetadataRecord bare;
  bare.mutable_partition_change()->set_partition_index(7);
  const std::vector<v1::MetadataRecord> records = {
      full, bare, Entry("a", "1"), Entry("b"), Entry("c"), bare, full};
  size_t next = 0;
  const absl::Status status = VisitRecords(EncodeRecords(records), [&](v1::MetadataRecord& record) {
    ASSERT_LT(next, records.size());
    EXPECT_EQ(record.SerializeAsString(), records[next].SerializeAsString());
    if (record.has_entry()) {
      const v1::EntryRecord taken = std::move(*record.mutable_entry());
    }
    ++next;
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(next, records.size());

  // An empty one is none, whatever came before.
  EXPECT_THAT(DecodeRecords(EncodeRecords({full}) + Field(15, "")),
              HasReason(ErrorReason::kCorruptLog));
}

TEST(RecordCodecTest, PayloadsConcatenate) {
  // Streams and snapshots join chunks without decoding them.
  const std::string joined = EncodeRecords({Entry("a")}) + EncodeRecords({Entry("b")});
  EXPECT_EQ(joined, EncodeRecords({Entry("a"), Entry("b")}));
}

TEST(RecordCodecTest, PrivateRecordsStandBehindThoseForEverybody) {
  v1::MetadataRecord secret;
  secret.mutable_expire_requests()->set_below_offset(3);
  const std::string open = EncodeRecords({Entry("a", "1")});
  const std::string payload = EncodeRecords({Entry("a", "1"), secret});
  EXPECT_EQ(PublicBytes(payload), open.size());
  EXPECT_EQ(payload.substr(0, open.size()), open);
  EXPECT_EQ(PublicBytes(open), open.size());
  const auto decoded = DecodeRecords(payload);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_EQ(decoded->size(), 2u);
  EXPECT_TRUE(decoded->back().has_expire_requests());
  EXPECT_THAT(DecodeRecords(Field(15, secret.SerializeAsString())),
              HasReason(ErrorReason::kCorruptLog))
      << "it would reach subscribers";
  EXPECT_EXIT(EncodeRecords({secret, Entry("a")}), testing::ExitedWithCode(70), "before a public");
}

TEST(RecordCodecTest, RefusesWhatIsNoBatch) {
  EXPECT_THAT(DecodeRecords("\xff\xff\xff"), HasReason(ErrorReason::kCorruptLog));
  EXPECT_THAT(DecodeRecords(""), HasReason(ErrorReason::kCorruptLog));
  EXPECT_EQ(DecodeRecords("").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(DecodeRecords(std::string(kMaxBatchBytes + kMaxPrivateBytes + 1, '\0')),
              HasReason(ErrorReason::kCorruptLog));
}

TEST(RecordCodecTest, RefusesUnknownRecordsFieldsAndValues) {
  const auto is_unsupported = HasReason(ErrorReason::kUnsupportedVersion);
  EXPECT_THAT(DecodeRecords(Field(15, "")), HasReason(ErrorReason::kCorruptLog)) << "no record";
  EXPECT_THAT(DecodeRecords(Field(15, std::string("\xfa\x07\x00", 3))), is_unsupported)
      << "kind 127";
  const std::string known = Entry("a").SerializeAsString();
  EXPECT_TRUE(DecodeRecords(Field(15, known)).ok());
  EXPECT_THAT(DecodeRecords(Field(15, known + Field(14, ""))), is_unsupported)
      << "beside the record";
  EXPECT_THAT(DecodeRecords(Field(15, known) + Field(14, "")), is_unsupported) << "in the payload";
  EXPECT_THAT(DecodeRecords(Field(15, Field(9, Field(13, "x")))), is_unsupported)
      << "in the record";
  EXPECT_THAT(DecodeRecords(Field(15, Field(2, Field(4, Field(9, "x"))))), is_unsupported)
      << "in an endpoint";
  v1::MetadataRecord partition;
  partition.mutable_partition()->set_leader_recovery_state(static_cast<v1::LeaderRecoveryState>(9));
  EXPECT_THAT(DecodeRecords(EncodeRecords({partition})), is_unsupported) << "enum value";
  v1::MetadataRecord quota;
  quota.mutable_client_quota()->add_entity()->set_type(static_cast<v1::QuotaEntityType>(9));
  EXPECT_THAT(DecodeRecords(EncodeRecords({quota})), is_unsupported) << "enum value within";
  EXPECT_THAT(DecodeRecords(Field(15, std::string("\x92\x02\x02\x7a\x00", 5))), is_unsupported)
      << "in an access control entry";
}

TEST(RecordCodecTest, LimitsRecordsAndBytesOfABatch) {
  std::vector<v1::MetadataRecord> records(kMaxRecordsPerBatch, Entry("a"));
  EXPECT_TRUE(CheckFitsOneBatch(records).ok());
  EXPECT_TRUE(DecodeRecords(EncodeRecords(records)).ok());
  records.push_back(Entry("a"));
  EXPECT_THAT(CheckFitsOneBatch(records), HasReason(ErrorReason::kPolicyViolation));

  const std::vector<v1::MetadataRecord> large(64, Entry("a", std::string(64 << 10, 'v')));
  EXPECT_THAT(CheckFitsOneBatch(large), HasReason(ErrorReason::kPolicyViolation));
}

TEST(RecordCodecTest, SplitsIntoBatchesThatFitAndKeepOrder) {
  std::vector<v1::MetadataRecord> records;
  for (int i = 0; i < 100; ++i) {
    records.push_back(Entry(std::to_string(i), std::string(100'000, 'v')));
  }
  const auto batches = SplitIntoBatches(records);
  EXPECT_GT(batches.size(), 1u);
  int next = 0;
  for (const auto& batch : batches) {
    EXPECT_TRUE(CheckFitsOneBatch(batch).ok());
    for (const v1::MetadataRecord& record : batch) {
      EXPECT_EQ(record.entry().key(), std::to_string(next++));
    }
  }
  EXPECT_EQ(next, 100);
  EXPECT_TRUE(SplitIntoBatches({}).empty());
}

TEST(RecordCodecDeathTest, DoesNotEncodeMoreThanABatch) {
  const std::vector<v1::MetadataRecord> records(kMaxRecordsPerBatch + 1, Entry("a"));
  EXPECT_EXIT(EncodeRecords(records), testing::ExitedWithCode(70), "10001 records");
  EXPECT_EXIT(EncodeRecords({}), testing::ExitedWithCode(70), "without records");
}

}  // namespace
}  // namespace kvorum
