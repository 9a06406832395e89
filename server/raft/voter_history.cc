#include "server/raft/voter_history.h"

#include <utility>

#include "server/base/check.h"

namespace kvorum::raft {

void VoterHistory::Append(Offset offset, VoterSet voters) {
  KVORUM_CHECK(sets_.empty() || sets_.back().offset < offset, "voter set at {} after one at {}",
               offset, sets_.back().offset);
  KVORUM_CHECK(!voters.empty(), "empty voter set at {}", offset);
  sets_.push_back(Entry{.offset = offset, .voters = std::move(voters)});
}

void VoterHistory::TruncateTo(Offset end) {
  while (!sets_.empty() && sets_.back().offset >= end) {
    sets_.pop_back();
  }
}

}  // namespace kvorum::raft
