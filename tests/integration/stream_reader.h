#pragma once

#include <grpcpp/client_context.h>

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "kvorum/v1/stream.grpc.pb.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {

// What one subscriber has, and every promise of the stream that it saw broken. Shares no code with
// the client library: a mistake in common would go unnoticed. One thread at a time.
class StreamChecker {
 public:
  void OnStreamStart(const v1::SubscribeRequest& request);
  void OnUpdate(const v1::MetadataUpdate& update);

  const std::optional<v1::Position>& position() const { return position_; }
  const Entries& entries() const { return entries_; }
  const std::map<std::string, int>& partition_counts() const { return partition_counts_; }
  const std::vector<std::string>& problems() const { return problems_; }
  int64_t commits() const { return commits_; }
  int64_t split_commits() const { return split_commits_; }
  int64_t snapshots() const { return snapshots_; }
  int64_t bookmarks() const { return bookmarks_; }
  int64_t resets() const { return resets_; }
  // Why the last Reset came.
  v1::Reset::Reason last_reset() const { return last_reset_; }
  const std::optional<v1::Bookmark>& last_bookmark() const { return last_bookmark_; }
  bool told_to_go() const { return go_away_hint_.has_value(); }
  // Where the last GoAway sends to.
  std::string go_away_hint() const { return go_away_hint_.value_or(""); }

 private:
  void OnHello(const v1::Hello& hello);
  void OnSnapshotEnd(const v1::Position& position);
  void OnCommit(const v1::Commit& commit);
  void Apply(const v1::MetadataRecord& record, int64_t offset);
  void Problem(std::string what);

  std::optional<v1::Position> position_;
  Entries entries_;                                 // user's keys
  std::map<std::string, std::string> topic_names_;  // by id
  std::map<std::string, int> partition_counts_;     // by topic name
  std::vector<std::string> problems_;

  bool greeted_ = false;
  bool in_snapshot_ = false;
  bool may_go_back_ = false;
  std::optional<v1::Position> resumed_;
  std::vector<v1::MetadataRecord> pending_;  // of the commit or the snapshot under way
  int64_t pending_from_ = 0;
  uint32_t next_part_ = 0;
  int64_t commits_ = 0;
  int64_t split_commits_ = 0;
  int64_t snapshots_ = 0;
  int64_t bookmarks_ = 0;
  int64_t resets_ = 0;
  v1::Reset::Reason last_reset_ = v1::Reset::REASON_UNSPECIFIED;
  std::optional<v1::Bookmark> last_bookmark_;
  std::optional<std::string> go_away_hint_;
};

// A raw subscriber of one node: comes back to the same node, from where it was, for as long as it
// is not stopped. Runs a thread of its own; public methods are thread-safe, Stop excepted.
class StreamReader {
 public:
  explicit StreamReader(std::string endpoint,
                        std::optional<v1::Position> resume_from = std::nullopt,
                        v1::Source source = v1::SOURCE_LOCAL);
  ~StreamReader();
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  // Waits until everything below `offset` has arrived.
  bool AwaitOffset(int64_t offset, milliseconds timeout = kPatience) const;
  int64_t offset() const;
  int64_t streams() const;
  StreamChecker Snapshot() const;
  // Ends the thread. What arrived can be read on.
  void Stop();

 private:
  void Run();
  void ReadOnce(v1::MetadataStreamService::Stub& stub);

  const std::string endpoint_;
  const v1::Source source_;
  mutable std::mutex mutex_;  // guards all below but the thread
  std::condition_variable stop_;
  bool stopping_ = false;
  grpc::ClientContext* context_ = nullptr;  // to cancel a blocked read
  std::optional<v1::Position> resume_from_;
  StreamChecker checker_;
  int64_t streams_ = 0;
  std::thread thread_;
};

}  // namespace kvorum::testing
