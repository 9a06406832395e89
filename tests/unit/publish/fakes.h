#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kvorum/v1/stream.pb.h"
#include "server/base/errors.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/record_codec.h"
#include "server/publish/committed_log.h"
#include "server/publish/encode_update.h"
#include "server/publish/subscriber_sink.h"

namespace kvorum::publish {

inline constexpr uint64_t kGeneration = 0x1122334455667788;
inline const char* const kClusterId = "test-cluster";

inline v1::MetadataRecord PutRecord(const std::string& key, const std::string& value,
                                    Offset offset) {
  v1::MetadataRecord record;
  record.mutable_entry()->set_key(key);
  record.mutable_entry()->set_value(value);
  record.mutable_entry()->set_version(offset.value());
  return record;
}

inline v1::Position MakePosition(Offset offset, Epoch epoch, uint64_t generation = kGeneration) {
  v1::Position position;
  position.set_generation(generation);
  position.set_epoch(epoch.value());
  position.set_offset(offset.value());
  return position;
}

inline v1::SubscribeResponse Decode(const Delivery& delivery) {
  std::string bytes;
  for (const SharedBytes& piece : delivery) {
    bytes += *piece;
  }
  v1::SubscribeResponse response;
  EXPECT_TRUE(response.ParseFromString(bytes));
  return response;
}

// A committed log as a whole: every batch, and what the metadata is after each.
class CommittedHistory {
 public:
  CommittedHistory() { hashes_[Offset(0)] = image_->StateHash(); }

  CommittedUpdate AddControl(int32_t record_count = 1) {
    return Add({end().offset, end().offset + record_count, epoch_, nullptr});
  }
  // One batch that puts `count` keys with values of `value_bytes`.
  CommittedUpdate AddPuts(int count, size_t value_bytes) {
    std::vector<v1::MetadataRecord> records;
    for (int i = 0; i < count; ++i) {
      const Offset offset = end().offset + i;
      records.push_back(PutRecord(fmt::format("key-{}", offset.value() % 97),
                                  std::string(value_bytes, static_cast<char>('a' + i % 26)),
                                  offset));
    }
    return Add({end().offset, end().offset + count, epoch_,
                std::make_shared<const std::string>(EncodeRecords(records))});
  }

  CommittedUpdate AddRecords(const std::vector<v1::MetadataRecord>& records) {
    return Add({end().offset, end().offset + static_cast<int64_t>(records.size()), epoch_,
                std::make_shared<const std::string>(EncodeRecords(records))});
  }

  void NextEpoch() { ++epoch_; }
  OffsetAndEpoch end() const { return {image_->provenance().end_offset, LastEpoch()}; }
  const std::shared_ptr<const MetadataImage>& image() const { return image_; }
  const std::vector<CommittedUpdate>& batches() const { return batches_; }
  uint64_t HashAt(Offset boundary) const { return hashes_.at(boundary); }
  bool IsBoundary(Offset offset) const { return hashes_.contains(offset); }
  Epoch EpochBelow(Offset boundary) const {
    for (const CommittedUpdate& batch : batches_) {
      if (batch.to == boundary) {
        return batch.epoch;
      }
    }
    return Epoch(0);
  }

 private:
  Epoch LastEpoch() const { return image_->provenance().last_epoch; }

  CommittedUpdate Add(CommittedUpdate update) {
    MetadataDelta delta(*image_);
    if (update.payload != nullptr) {
      const auto records = DecodeRecords(*update.payload);
      EXPECT_TRUE(records.ok()) << records.status();
      Offset offset = update.from;
      for (const v1::MetadataRecord& record : *records) {
        delta.Replay(record, offset);
        ++offset;
      }
    }
    image_ = delta.Apply({update.to, update.epoch, 0});
    hashes_[update.to] = image_->StateHash();
    batches_.push_back(update);
    return update;
  }

  Epoch epoch_{1};
  std::vector<CommittedUpdate> batches_;
  std::map<Offset, uint64_t> hashes_;
  std::shared_ptr<const MetadataImage> image_ = MetadataImage::Empty();
};

// Answers from a CommittedHistory, when the test says so.
class FakeLog : public CommittedLog {
 public:
  explicit FakeLog(const CommittedHistory& history) : history_(history) {}

  void ReadCommitted(OffsetAndEpoch from, size_t max_bytes, ReadDone done) override {
    ++reads;
    last_read_max_bytes = max_bytes;
    waiting_.push_back(
        [this, from, max_bytes, done = std::move(done)] { done(Read(from, max_bytes)); });
  }

  void ConfirmCommittedEnd(EndDone done) override {
    ++confirmations;
    waiting_.push_back([this, done = std::move(done)] {
      if (confirmed_end.has_value()) {
        done(*confirmed_end);
      } else {
        done(MakeError(ErrorReason::kNotController, "this node does not lead"));
      }
    });
  }

  bool AnswerNext() {
    if (waiting_.empty()) {
      return false;
    }
    const std::function<void()> answer = std::move(waiting_.front());
    waiting_.pop_front();
    answer();
    return true;
  }

  int reads = 0;
  int confirmations = 0;
  size_t last_read_max_bytes = 0;
  std::optional<Offset> confirmed_end;  // unset: not the leader
  absl::Status read_error;              // of every read, unless OK

 private:
  absl::StatusOr<std::vector<CommittedUpdate>> Read(OffsetAndEpoch from, size_t max_bytes) {
    if (!read_error.ok()) {
      return read_error;
    }
    if (!history_.IsBoundary(from.offset) || history_.EpochBelow(from.offset) != from.epoch) {
      return MakeError(ErrorReason::kPositionDiscarded, "no such place");
    }
    std::vector<CommittedUpdate> found;
    size_t bytes = 0;
    for (const CommittedUpdate& batch : history_.batches()) {
      if (batch.from < from.offset) {
        continue;
      }
      bytes += batch.payload ? batch.payload->size() : 0;
      if (!found.empty() && bytes > max_bytes) {
        break;
      }
      found.push_back(batch);
    }
    return found;
  }

  const CommittedHistory& history_;
  std::deque<std::function<void()>> waiting_;
};

// A subscriber: decodes what it gets and checks every promise of the stream against the history.
class CheckingSink : public SubscriberSink {
 public:
  explicit CheckingSink(const CommittedHistory& history,
                        std::optional<v1::Position> resume_from = std::nullopt)
      : history_(history) {
    if (resume_from.has_value()) {
      position = Offset(resume_from->offset());
      request.mutable_resume_from()->CopyFrom(*resume_from);
    }
    request.set_cluster_id(kClusterId);
    request.set_subscriber_id("subscriber");
  }

  void Deliver(const Delivery& delivery) override {
    ASSERT_FALSE(outstanding) << "a second delivery is outstanding";
    ASSERT_FALSE(closed.has_value()) << "a delivery after Close";
    outstanding = true;
    ++deliveries;
    last = Decode(delivery);
    last_pieces = delivery;
    largest_message = std::max(largest_message, last.ByteSizeLong());
    ASSERT_GT(last.updates_size(), 0) << "an empty message";
    for (const v1::MetadataUpdate& update : last.updates()) {
      OnUpdate(update);
    }
  }

  void Close(absl::Status status) override {
    ASSERT_FALSE(closed.has_value()) << "closed twice";
    closed = std::move(status);
  }

  // Counts of the whole stream.
  int Count(v1::MetadataUpdate::UpdateCase which) const {
    const auto it = counts_.find(which);
    return it == counts_.end() ? 0 : it->second;
  }

  v1::SubscribeRequest request;
  bool outstanding = false;
  int deliveries = 0;
  v1::SubscribeResponse last;
  Delivery last_pieces;
  size_t largest_message = 0;
  std::optional<absl::Status> closed;
  std::optional<Offset> position;  // everything below it has been delivered
  v1::Hello hello;
  v1::Reset reset;
  v1::GoAway go_away;
  v1::Bookmark bookmark;

 private:
  void OnUpdate(const v1::MetadataUpdate& update) {
    ++counts_[update.update_case()];
    using Case = v1::MetadataUpdate;
    EXPECT_EQ(Count(Case::kGoAway), update.has_go_away() ? 1 : 0) << "something follows GoAway";
    if (!update.has_hello() && !update.has_go_away()) {
      EXPECT_EQ(Count(Case::kHello), 1) << "the stream does not begin with Hello";
    }
    switch (update.update_case()) {
      case Case::kHello:
        EXPECT_EQ(Count(Case::kHello), 1) << "a second Hello";
        hello = update.hello();
        break;
      case Case::kReset:
        EXPECT_TRUE(request.has_resume_from()) << "a Reset for one who has nothing";
        reset = update.reset();
        break;
      case Case::kSnapshotChunk:
        snapshot_.insert(snapshot_.end(), update.snapshot_chunk().records().begin(),
                         update.snapshot_chunk().records().end());
        break;
      case Case::kSnapshotEnd:
        OnSnapshotEnd(update.snapshot_end());
        break;
      case Case::kCommit:
        OnCommit(update.commit());
        break;
      case Case::kBookmark:
        EXPECT_FALSE(in_parts_) << "a bookmark between the parts of a commit";
        EXPECT_EQ(update.bookmark().position().offset(), position->value());
        bookmark = update.bookmark();
        break;
      case Case::kGoAway:
        go_away = update.go_away();
        break;
      case Case::UPDATE_NOT_SET:
        ADD_FAILURE() << "an update of no kind";
    }
  }

  void OnSnapshotEnd(const v1::SnapshotEnd& end) {
    const Offset at(end.position().offset());
    ASSERT_TRUE(history_.IsBoundary(at));
    EXPECT_EQ(end.position().generation(), kGeneration);
    EXPECT_EQ(Epoch(end.position().epoch()), history_.EpochBelow(at));
    if (hello.snapshot_follows()) {
      EXPECT_EQ(end.position().offset(), hello.start().offset());
    }
    MetadataDelta delta(*MetadataImage::Empty());
    for (const v1::MetadataRecord& record : snapshot_) {
      delta.Replay(record, at);
    }
    EXPECT_EQ(delta.Apply({at, Epoch(0), 0})->StateHash(), history_.HashAt(at));
    position = at;
  }

  void OnCommit(const v1::Commit& commit) {
    ASSERT_TRUE(position.has_value()) << "a commit before the snapshot is whole";
    ASSERT_EQ(Offset(commit.from()), *position) << "a gap or a duplicate";
    const uint32_t part_count = commit.part_count() == 0 ? 1 : commit.part_count();
    ASSERT_EQ(commit.part(), in_parts_ ? next_part_ : 0);
    for (const v1::MetadataRecord& record : commit.records()) {
      *records_.add_records() = record;
    }
    next_part_ = commit.part() + 1;
    in_parts_ = next_part_ < part_count;
    if (in_parts_) {
      return;
    }
    for (const CommittedUpdate& batch : history_.batches()) {
      if (batch.from == *position) {
        EXPECT_EQ(Offset(commit.to().offset()), batch.to);
        EXPECT_EQ(Epoch(commit.to().epoch()), batch.epoch);
        EXPECT_EQ(commit.to().generation(), kGeneration);
        EXPECT_EQ(records_.SerializeAsString(), batch.payload ? *batch.payload : std::string());
      }
    }
    ASSERT_TRUE(history_.IsBoundary(Offset(commit.to().offset())));
    position = Offset(commit.to().offset());
    records_.Clear();
  }

  const CommittedHistory& history_;
  std::map<v1::MetadataUpdate::UpdateCase, int> counts_;
  std::vector<v1::MetadataRecord> snapshot_;
  v1::RecordBatchPayload records_;
  bool in_parts_ = false;
  uint32_t next_part_ = 0;
};

}  // namespace kvorum::publish
