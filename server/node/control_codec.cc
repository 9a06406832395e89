#include "server/node/control_codec.h"

#include <utility>
#include <vector>

#include "kvorum/v1/control_record.pb.h"
#include "server/base/check.h"

namespace kvorum {
namespace {

void AddVoters(const raft::VoterSet& set, v1::ControlBatch& batch) {
  v1::VotersRecord& voters = *batch.add_records()->mutable_voters();
  for (const auto& [id, voter] : set.voters()) {
    v1::Voter& out = *voters.add_voters();
    out.set_node_id(id.value());
    out.set_directory_id(voter.key.directory_id.ToBytes());
    out.mutable_controller_endpoint()->set_host(voter.address.host);
    out.mutable_controller_endpoint()->set_port(voter.address.port);
  }
}

}  // namespace

std::shared_ptr<const std::string> EncodeControlBatch(const raft::EpochStartRecords& records) {
  v1::ControlBatch batch;
  v1::LeaderChangeRecord& change = *batch.add_records()->mutable_leader_change();
  change.set_leader_id(records.leader_id.value());
  for (const NodeId voter : records.voters) {
    change.add_voters(voter.value());
  }
  for (const NodeId voter : records.granting_voters) {
    change.add_granting_voters(voter.value());
  }
  if (records.voter_set.has_value()) {
    AddVoters(*records.voter_set, batch);
  }
  return std::make_shared<const std::string>(batch.SerializeAsString());
}

std::shared_ptr<const std::string> EncodeVoterSet(const raft::VoterSet& voters) {
  v1::ControlBatch batch;
  AddVoters(voters, batch);
  return std::make_shared<const std::string>(batch.SerializeAsString());
}

std::optional<raft::VoterSet> DecodeVoterSet(std::string_view payload) {
  v1::ControlBatch decoded;
  KVORUM_CHECK(decoded.ParseFromArray(payload.data(), static_cast<int>(payload.size())),
               "control batch of {} bytes can't be decoded", payload.size());
  std::optional<raft::VoterSet> found;
  for (const v1::ControlRecord& record : decoded.records()) {
    KVORUM_CHECK(record.record_case() != v1::ControlRecord::RECORD_NOT_SET,
                 "control batch holds a record of a newer version");
    if (!record.has_voters()) {
      continue;
    }
    std::vector<raft::Voter> voters;
    for (const v1::Voter& voter : record.voters().voters()) {
      const std::optional<Uuid> directory = Uuid::FromBytes(voter.directory_id());
      KVORUM_CHECK(directory.has_value(), "voter {}: directory id of {} bytes", voter.node_id(),
                   voter.directory_id().size());
      voters.push_back({{NodeId(voter.node_id()), *directory},
                        {voter.controller_endpoint().host(),
                         static_cast<uint16_t>(voter.controller_endpoint().port())}});
    }
    found = raft::VoterSet(std::move(voters));
  }
  return found;
}

}  // namespace kvorum
