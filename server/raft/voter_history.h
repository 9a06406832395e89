#pragma once

#include <optional>
#include <vector>

#include "server/base/ids.h"
#include "server/raft/voter_set.h"

namespace kvorum::raft {

// Which voter set holds at the log's end: the newest one in the log, committed or not, else the one
// from formatting (KIP-853). Owned by RaftState; loop thread only.
class VoterHistory {
 public:
  explicit VoterHistory(VoterSet bootstrap) : bootstrap_(std::move(bootstrap)) {}

  const VoterSet& newest() const { return sets_.empty() ? bootstrap_ : sets_.back().voters; }

  // Where it was appended, or a place in the snapshot it came with; nullopt: it is from formatting.
  std::optional<Offset> newest_offset() const {
    return sets_.empty() ? std::nullopt : std::optional<Offset>(sets_.back().offset);
  }

  // The set that holds for what is committed below `high_watermark`.
  const VoterSet& CommittedBelow(Offset high_watermark) const {
    const VoterSet* set = Below(high_watermark);
    return set == nullptr ? bootstrap_ : *set;
  }

  // The set that held before the newest one; nullptr: the newest is the first that is known.
  const VoterSet* former() const;

  // False: the log holds no voter set yet, and the next leader must write one.
  bool is_in_log() const { return !sets_.empty(); }

  // The set takes effect when appended, not when committed. REQUIRES: offsets grow.
  void Append(Offset offset, VoterSet voters);

  // Forgets the sets at and above `end`.
  void TruncateTo(Offset end);

  // The set that holds below `end`: what a snapshot of that end must carry. nullptr: none in the
  // log.
  const VoterSet* Below(Offset end) const;

  // Forgets the sets below `start` but the newest of them, which still holds there (KIP-853: losing
  // it would lose the voter set).
  void TruncatePrefix(Offset start);

  // The log was replaced by a snapshot with this set.
  void ResetTo(Offset start, std::optional<VoterSet> voters);

 private:
  struct Entry {
    Offset offset;
    VoterSet voters;
  };

  VoterSet bootstrap_;
  std::vector<Entry> sets_;
};

}  // namespace kvorum::raft
