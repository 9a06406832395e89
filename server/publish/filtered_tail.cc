#include "server/publish/filtered_tail.h"

#include <algorithm>
#include <utility>

#include "server/publish/encode_update.h"

namespace kvorum::publish {
namespace {

void AddRecord(v1::Commit& out, const v1::MetadataRecord& record, Offset offset) {
  *out.add_records() = record;
  out.add_offsets(offset.value());
}

}  // namespace

FilteredTail::FilteredTail(std::shared_ptr<const SubscriptionFilter> filter,
                           const MetadataImage& image, const Limits& limits)
    : filter_(std::move(filter)), limits_(limits), tail_(limits.max_bytes) {
  ResetTo(image);
}

void FilteredTail::ResetTo(const MetadataImage& image) {
  seen_ = image.provenance().position();
  tail_.ResetTo(seen_);
  CountHosted(image);
}

void FilteredTail::CountHosted(const MetadataImage& image) {
  hosted_counts_.clear();
  if (!filter_->is_by_host()) {
    return;
  }
  for (const auto& [id, topic] : image.topics().by_id) {
    if (!filter_->WantsTopic(topic)) {
      continue;
    }
    for (const auto& [index, partition] : topic.partitions) {
      if (filter_->HostsPartition(topic, index)) {
        ++hosted_counts_[id];
      }
    }
  }
}

bool FilteredTail::IsTopicInScope(const MetadataImage& image, const Uuid& id) const {
  const Topic* topic = image.topics().Find(id);
  return topic != nullptr && filter_->WantsTopic(*topic);
}

bool FilteredTail::IsPartitionInScope(const MetadataImage& image, const PartitionKey& key) const {
  const Topic* topic = image.topics().Find(key.topic_id);
  return topic != nullptr && topic->partitions.Find(key.index).has_value() &&
         filter_->WantsTopic(*topic) && filter_->HostsPartition(*topic, key.index);
}

FilteredTail::TouchedPartitions FilteredTail::FindTouched(const CommitInContext& commit) const {
  TouchedPartitions touched;
  for (const v1::MetadataRecord& record : commit.records) {
    const std::optional<Uuid> topic = TopicOf(record);
    const std::optional<int32_t> index = PartitionOf(record);
    if (!topic.has_value() || !index.has_value()) {
      continue;
    }
    const PartitionKey key{*topic, *index};
    if (!touched.contains(key)) {
      touched[key] = {IsPartitionInScope(commit.before, key),
                      IsPartitionInScope(commit.after, key)};
    }
  }
  return touched;
}

std::set<Uuid> FilteredTail::TellMoves(const CommitInContext& commit,
                                       const TouchedPartitions& touched, v1::Commit& out) {
  std::map<Uuid, int32_t> before;  // of the topics touched
  for (const auto& [key, move] : touched) {
    const auto known = hosted_counts_.find(key.topic_id);
    before.emplace(key.topic_id, known == hosted_counts_.end() ? 0 : known->second);
    hosted_counts_[key.topic_id] += (move.after ? 1 : 0) - (move.before ? 1 : 0);
  }
  for (const v1::MetadataRecord& record : commit.records) {
    if (record.has_remove_topic()) {
      hosted_counts_.erase(*TopicOf(record));
    }
  }
  std::set<Uuid> moved;
  for (const auto& [id, count_before] : before) {
    const auto now = hosted_counts_.find(id);
    const int32_t count = now == hosted_counts_.end() ? 0 : now->second;
    if (count == 0 && now != hosted_counts_.end()) {
      hosted_counts_.erase(now);
    }
    const Topic* topic = commit.after.topics().Find(id);
    if (topic == nullptr) {
      continue;  // its removal says all
    }
    const Offset last = commit.update.to - 1;
    if (count_before == 0 && count > 0) {
      moved.insert(id);
      v1::MetadataRecord record;
      *record.mutable_topic() = topic->ToRecord();
      if (filter_->WantsKind(record)) {
        AddRecord(out, record, last);
      }
    } else if (count_before > 0 && count == 0) {
      moved.insert(id);
      out.add_left_scope()->set_topic_id(id.ToBytes());
    }
  }
  for (const auto& [key, move] : touched) {
    const Topic* topic = commit.after.topics().Find(key.topic_id);
    if (topic == nullptr || move.before == move.after) {
      continue;
    }
    v1::MetadataRecord record;
    *record.mutable_partition() =
        topic->partitions.Find(key.index)->ToRecord(key.topic_id, key.index);
    if (move.after && filter_->WantsKind(record)) {
      AddRecord(out, record, commit.update.to - 1);
    } else if (move.before && !moved.contains(key.topic_id)) {
      v1::LeftScope& left = *out.add_left_scope();
      left.set_topic_id(key.topic_id.ToBytes());
      left.set_partition_index(key.index);
    }
  }
  return moved;
}

bool FilteredTail::Passes(const CommitInContext& commit, const v1::MetadataRecord& record,
                          const TouchedPartitions& touched) const {
  if (!filter_->WantsKind(record)) {
    return false;
  }
  const std::optional<Uuid> id = TopicOf(record);
  if (!id.has_value()) {
    return true;
  }
  if (const std::optional<int32_t> index = PartitionOf(record)) {
    const Touched& move = touched.at({*id, *index});
    // What came in by host is told whole already; what the commit itself made comes as it is.
    return move.after && (move.before || !filter_->is_by_host());
  }
  const bool is_wanted = IsTopicInScope(commit.before, *id) || IsTopicInScope(commit.after, *id);
  return is_wanted && !filter_->is_by_host();
}

void FilteredTail::OnCommit(const CommitInContext& commit) {
  v1::Commit out;
  const TouchedPartitions touched = FindTouched(commit);
  // Topics of which something was in the scope before this commit.
  std::set<Uuid> known;
  std::set<Uuid> moved;
  v1::Commit entered;
  if (filter_->is_by_host()) {
    for (const v1::MetadataRecord& record : commit.records) {
      if (const std::optional<Uuid> id = TopicOf(record);
          id.has_value() && hosted_counts_.contains(*id)) {
        known.insert(*id);
      }
    }
    moved = TellMoves(commit, touched, entered);
    out.mutable_left_scope()->Swap(entered.mutable_left_scope());
  }
  Offset offset = commit.update.from;
  for (const v1::MetadataRecord& record : commit.records) {
    const std::optional<Uuid> id = TopicOf(record);
    const bool is_of_known_topic = filter_->is_by_host() && filter_->WantsKind(record) &&
                                   id.has_value() && !PartitionOf(record).has_value() &&
                                   known.contains(*id) && !moved.contains(*id);
    if (is_of_known_topic || Passes(commit, record, touched)) {
      AddRecord(out, record, offset);
    }
    ++offset;
  }
  // Last: a topic may have taken the name of one that the same commit removed.
  out.mutable_records()->MergeFrom(entered.records());
  out.mutable_offsets()->MergeFrom(entered.offsets());
  seen_ = {commit.update.to, commit.update.epoch};
  if (!out.records().empty() || !out.left_scope().empty()) {
    AppendEntry(std::move(out));
  }
}

void FilteredTail::Flush() {
  if (seen_ != tail_.end()) {
    AppendEntry(v1::Commit());
  }
}

void FilteredTail::AppendEntry(v1::Commit commit) {
  const Offset from = tail_.end().offset;
  commit.set_from(from.value());
  commit.mutable_to()->set_generation(limits_.generation);
  commit.mutable_to()->set_epoch(seen_.epoch.value());
  commit.mutable_to()->set_offset(seen_.offset.value());
  auto entry = std::make_shared<TailEntry>();
  entry->from = from;
  entry->to = seen_.offset;
  entry->epoch = seen_.epoch;
  entry->parts = EncodeFilteredCommit(std::move(commit), limits_.max_message_bytes);
  for (const EncodedUpdate& part : entry->parts) {
    entry->bytes += part.bytes();
  }
  tail_.Append(std::move(entry));
}

}  // namespace kvorum::publish
