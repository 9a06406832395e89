#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/ids.h"
#include "server/raft/voter_set.h"
#include "storage/types/record_batch.h"

namespace kvorum::raft {

// The first batch of a leader's epoch (KIP-595 LeaderChange), with the voter set when the log has
// none yet.
struct EpochStartRecords {
  NodeId leader_id;
  std::vector<NodeId> voters;
  std::vector<NodeId> granting_voters;
  std::optional<VoterSet> voter_set;

  int32_t record_count() const { return voter_set.has_value() ? 2 : 1; }
};

// Payload bytes of a control batch: raft decides what it says, node/control_codec how it is
// written.
using ControlEncoder = std::function<std::shared_ptr<const std::string>(const EpochStartRecords&)>;

// A voter set as the payload of a control batch of its own.
using VotersEncoder = std::function<std::shared_ptr<const std::string>(const VoterSet&)>;

// The voter set a control batch carries, if any. Payload damage that CRCs did not catch is a bug.
using ControlDecoder = std::function<std::optional<VoterSet>(std::string_view payload)>;

}  // namespace kvorum::raft
