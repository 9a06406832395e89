#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/raft/control_record.h"

namespace kvorum {

// Control records as protobuf (kvorum/v1/control_record.proto): raft decides what they say and must
// not know how they are written.
std::shared_ptr<const std::string> EncodeControlBatch(const raft::EpochStartRecords& records);

// A voter set as a control batch of its own.
std::shared_ptr<const std::string> EncodeVoterSet(const raft::VoterSet& voters);

// The voter set in a control batch, if it has one. CHECKs on bytes that are no ControlBatch: the
// CRCs passed, so it was written by a version this one does not know.
std::optional<raft::VoterSet> DecodeVoterSet(std::string_view payload);

}  // namespace kvorum
