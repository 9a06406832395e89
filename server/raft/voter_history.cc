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

const VoterSet* VoterHistory::Below(Offset end) const {
  const VoterSet* found = nullptr;
  for (const Entry& entry : sets_) {
    if (entry.offset < end) {
      found = &entry.voters;
    }
  }
  return found;
}

const VoterSet* VoterHistory::former() const {
  if (sets_.empty()) {
    return nullptr;
  }
  return sets_.size() == 1 ? &bootstrap_ : &sets_[sets_.size() - 2].voters;
}

void VoterHistory::TruncatePrefix(Offset start) {
  while (sets_.size() > 1 && sets_[1].offset < start) {
    sets_.erase(sets_.begin());
  }
}

void VoterHistory::ResetTo(Offset start, std::optional<VoterSet> voters) {
  sets_.clear();
  if (voters.has_value()) {
    // Where in the snapshot it was appended is not known, and does not matter.
    sets_.push_back(Entry{.offset = start - 1, .voters = *std::move(voters)});
  }
}

}  // namespace kvorum::raft
