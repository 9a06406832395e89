#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kvorum/v1/stream.pb.h"

namespace kvorum::client {

// Of one commit, over all its parts. A server's batch holds at most 10,000 records; more than this
// is not a commit that we could be meant to apply.
inline constexpr int kMaxRecordsPerCommit = 100'000;

using Records = google::protobuf::RepeatedPtrField<v1::MetadataRecord>;

// One committed batch, whole; of a filtered stream what it lets through, of one batch or more.
struct CommittedRecords {
  int64_t from = 0;
  v1::Position to;
  Records records;
  std::vector<int64_t> offsets;  // of the records; empty: from, from + 1 and so on
  // Of a stream by host: what it no longer tells of. Before `records` apply.
  google::protobuf::RepeatedPtrField<v1::LeftScope> left_scope;

  int64_t OffsetOf(int record) const {
    return offsets.empty() ? from + record : offsets[static_cast<size_t>(record)];
  }
};

// Why a listener could not apply what it was given, and the record's offset (-1: in a snapshot).
struct ApplyError {
  int64_t offset = -1;
  std::string message;
};

// Receives the metadata, in order. Calls come from one thread at a time.
class MetadataListener {
 public:
  virtual ~MetadataListener() = default;

  // What the listener has is no prefix of the log. A snapshot follows.
  virtual void OnReset(const v1::Reset& reset) = 0;

  // A snapshot: Begin, records in any number of calls, End. Takes effect at End, replacing
  // everything; a Begin without an End before it discards what came since the earlier Begin.
  virtual void OnSnapshotBegin() = 0;
  virtual std::optional<ApplyError> OnSnapshotRecords(const Records& records) = 0;
  virtual void OnSnapshotEnd(const v1::Position& position) = 0;

  // One commit, to be applied whole.
  virtual std::optional<ApplyError> OnCommit(const CommittedRecords& commit) = 0;

  // Everything below `bookmark.position()` has been delivered.
  virtual void OnBookmark(const v1::Bookmark& bookmark) = 0;
};

// What was found wrong with streams, and how much came.
struct StreamCounters {
  int64_t commits = 0;
  int64_t snapshots = 0;
  int64_t resets = 0;
  int64_t duplicates = 0;  // an update that repeats or goes back behind the position
  int64_t gaps = 0;        // offsets of one epoch that were never delivered
  int64_t malformed = 0;   // parts out of order, updates out of place
};

// Checks the promises of the stream and turns its updates into calls of a listener: in order,
// without gaps, without duplicates, commits whole. Owned by MetadataWatcher; its thread only.
//
// Control batches (a new leader, a new voter set) take offsets that no commit names, and they open
// an epoch. So a commit may begin above the position if its epoch is a later one. A hole inside an
// epoch is a gap. A commit or bookmark below the position is a duplicate.
class StreamAssembler {
 public:
  // What to do with the stream after an update.
  enum class Verdict {
    kGoOn,
    kRestart,  // the server broke a promise, or ended the stream: resume elsewhere
    kResync,   // something is missing: begin elsewhere, with a snapshot
    kRefused,  // the listener could not apply a record: stop
  };

  // `filter_id`: of the stream that brought the listener to `position`.
  StreamAssembler(MetadataListener& listener, std::optional<v1::Position> position,
                  uint64_t filter_id = 0)
      : listener_(listener), position_(std::move(position)), filter_id_(filter_id) {}

  // Before the first update of each stream.
  void OnStreamStart();
  Verdict OnUpdate(v1::MetadataUpdate& update);

  // The listener's state: everything below. Absent: none yet.
  const std::optional<v1::Position>& position() const { return position_; }
  void ForgetPosition() { position_.reset(); }
  // Names the filter that the listener's state was made with; 0: none.
  uint64_t filter_id() const { return filter_id_; }

  bool live() const { return state_ == State::kLive; }
  const v1::Hello& hello() const { return hello_; }
  const StreamCounters& counters() const { return counters_; }
  // Of the last verdict other than kGoOn.
  const std::string& problem() const { return problem_; }
  const std::string& go_away_hint() const { return go_away_hint_; }

 private:
  enum class State {
    kAwaitHello,
    kAwaitReset,  // between Reset and its snapshot, or before the first chunk
    kSnapshot,
    kLive,
  };

  Verdict OnHello(const v1::Hello& hello);
  Verdict OnReset(const v1::Reset& reset);
  Verdict OnSnapshotChunk(const v1::SnapshotChunk& chunk);
  Verdict OnSnapshotEnd(const v1::SnapshotEnd& end);
  Verdict OnCommit(v1::Commit& commit);
  Verdict CheckCommitStart(const v1::Commit& commit);
  Verdict OnBookmark(const v1::Bookmark& bookmark);
  Verdict Malformed(std::string problem);
  Verdict Duplicate(std::string problem);
  Verdict Refused(const ApplyError& error);

  MetadataListener& listener_;
  std::optional<v1::Position> position_;
  uint64_t filter_id_;
  State state_ = State::kAwaitHello;
  v1::Hello hello_;
  bool may_go_back_ = false;  // a Reset said that the position was on another branch
  // The commit whose parts are arriving. `next_part_` is 0 when there is none.
  CommittedRecords pending_;
  uint32_t next_part_ = 0;
  uint32_t part_count_ = 0;
  StreamCounters counters_;
  std::string problem_;
  std::string go_away_hint_;
};

}  // namespace kvorum::client
