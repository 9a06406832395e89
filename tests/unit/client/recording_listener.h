#pragma once

#include <fmt/core.h>

#include <mutex>
#include <optional>
#include <string>

#include "client/stream_assembler.h"

namespace kvorum::client::testing {

// Remembers its calls as text. Thread-safe.
class RecordingListener : public MetadataListener {
 public:
  bool refuse = false;  // every record; to be set before the first call

  std::string Calls() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return calls_;
  }

  void OnReset(const v1::Reset& /*reset*/) override { Add("reset"); }
  void OnSnapshotBegin() override { Add("snapshot-begin"); }
  std::optional<ApplyError> OnSnapshotRecords(const Records& records) override {
    Add(fmt::format("snapshot x{}", records.size()));
    return Answer(-1);
  }
  void OnSnapshotEnd(const v1::Position& position) override {
    Add(fmt::format("snapshot-end {}", position.offset()));
  }
  std::optional<ApplyError> OnCommit(const CommittedRecords& commit) override {
    Add(fmt::format("commit {}-{} x{}", commit.from, commit.to.offset(), commit.records.size()));
    return Answer(commit.from);
  }
  void OnBookmark(const v1::Bookmark& /*bookmark*/) override {}

 private:
  void Add(const std::string& call) {
    const std::lock_guard<std::mutex> lock(mutex_);
    calls_ += (calls_.empty() ? "" : ", ") + call;
  }
  std::optional<ApplyError> Answer(int64_t offset) const {
    return refuse ? std::optional(ApplyError{offset, "the test refuses"}) : std::nullopt;
  }

  mutable std::mutex mutex_;
  std::string calls_;
};

}  // namespace kvorum::client::testing
