#include "server/node/control_codec.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "kvorum/v1/control_record.pb.h"

namespace kvorum {
namespace {

raft::Voter MakeVoter(int32_t id) {
  return {{NodeId(id), *Uuid::FromBytes(std::string(16, static_cast<char>(id)))},
          {"host-" + std::to_string(id), static_cast<uint16_t>(65535 - id)}};
}

raft::EpochStartRecords MakeRecords(bool with_voters) {
  raft::EpochStartRecords records;
  records.leader_id = NodeId(2);
  records.voters = {NodeId(1), NodeId(2), NodeId(3)};
  records.granting_voters = {NodeId(2), NodeId(3)};
  if (with_voters) {
    records.voter_set = raft::VoterSet({MakeVoter(1), MakeVoter(2), MakeVoter(3)});
  }
  return records;
}

TEST(ControlCodecTest, GivesBackTheVoterSet) {
  const auto payload = EncodeControlBatch(MakeRecords(true));
  EXPECT_EQ(DecodeVoterSet(*payload), MakeRecords(true).voter_set);
}

TEST(ControlCodecTest, GivesBackAVoterSetThatStandsAlone) {
  EXPECT_EQ(DecodeVoterSet(*EncodeVoterSet(*MakeRecords(true).voter_set)),
            MakeRecords(true).voter_set);
}

TEST(ControlCodecTest, FindsNoVoterSetWhereThereIsNone) {
  EXPECT_EQ(DecodeVoterSet(*EncodeControlBatch(MakeRecords(false))), std::nullopt);
}

TEST(ControlCodecTest, WritesAsManyRecordsAsRaftCounts) {
  for (const bool with_voters : {false, true}) {
    const raft::EpochStartRecords records = MakeRecords(with_voters);
    v1::ControlBatch decoded;
    ASSERT_TRUE(decoded.ParseFromString(*EncodeControlBatch(records)));
    ASSERT_EQ(decoded.records_size(), records.record_count());
    const v1::LeaderChangeRecord& change = decoded.records(0).leader_change();
    EXPECT_EQ(change.leader_id(), 2);
    EXPECT_EQ(change.voters_size(), 3);
    EXPECT_EQ(change.granting_voters_size(), 2);
  }
}

TEST(ControlCodecDeathTest, DiesOnWhatItDoesNotKnow) {
  EXPECT_DEATH(DecodeVoterSet("\xff\xff"), "can't be decoded");
  v1::ControlBatch newer;
  newer.add_records();
  EXPECT_DEATH(DecodeVoterSet(newer.SerializeAsString()), "newer version");
  v1::ControlBatch short_id;
  short_id.add_records()->mutable_voters()->add_voters()->set_directory_id("short");
  EXPECT_DEATH(DecodeVoterSet(short_id.SerializeAsString()), "directory id of 5 bytes");
}

}  // namespace
}  // namespace kvorum
