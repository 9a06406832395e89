#include "server/publish/filtered_tail.h"

#include <string_view>
#include <utility>

#include "server/base/mutants.h"
#include "server/publish/encode_update.h"

namespace kvorum::publish {

std::vector<std::optional<Uuid>> TopicsOf(const std::vector<v1::MetadataRecord>& records,
                                          const MetadataImage& before) {
  std::map<std::string_view, std::optional<Uuid>> names;  // that came or went in these records
  std::vector<std::optional<Uuid>> topics;
  topics.reserve(records.size());
  for (const v1::MetadataRecord& record : records) {
    std::optional<Uuid> id = TopicOf(record);
    if (record.has_topic()) {
      names[record.topic().name()] = id;
    } else if (record.has_remove_topic()) {
      names[record.remove_topic().name()] = std::nullopt;
    } else if (const auto name = ConfiguredTopicOf(record)) {
      const Topic* topic = before.topics().Find(*name);
      const auto changed = names.find(*name);
      if (changed != names.end()) {
        id = changed->second;
      } else if (topic != nullptr) {
        id = topic->id;
      }
    }
    topics.push_back(id);
  }
  return topics;
}

FilteredTail::FilteredTail(std::shared_ptr<const SubscriptionFilter> filter, OffsetAndEpoch start,
                           const Limits& limits)
    : filter_(std::move(filter)), limits_(limits), tail_(limits.max_bytes) {
  ResetTo(start);
}

void FilteredTail::ResetTo(OffsetAndEpoch position) {
  seen_ = position;
  tail_.ResetTo(position);
}

bool FilteredTail::IsTopicInScope(const MetadataImage& image, const Uuid& id) const {
  const Topic* topic = image.topics().Find(id);
  return topic != nullptr && filter_->WantsTopic(*topic) && filter_->HostsAnyOf(image, *topic);
}

bool FilteredTail::IsPartitionInScope(const MetadataImage& image, const PartitionKey& key) const {
  const Topic* topic = image.topics().Find(key.topic_id);
  return topic != nullptr && topic->partitions.Find(key.index).has_value() &&
         filter_->WantsTopic(*topic) && filter_->HostsPartition(*topic, key.index);
}

FilteredTail::Touched FilteredTail::FindTouched(const CommitInContext& commit) const {
  Touched touched;
  for (size_t i = 0; i < commit.records.size(); ++i) {
    const std::optional<Uuid>& id = commit.topics[i];
    if (!id.has_value()) {
      continue;
    }
    if (const auto [topic, is_new] = touched.topics.try_emplace(*id); is_new) {
      topic->second = {IsTopicInScope(commit.before, *id), IsTopicInScope(commit.after, *id)};
    }
    const std::optional<int32_t> index = PartitionOf(commit.records[i]);
    if (!index.has_value()) {
      continue;
    }
    const PartitionKey key{*id, *index};
    if (const auto [partition, is_new] = touched.partitions.try_emplace(key); is_new) {
      partition->second = {IsPartitionInScope(commit.before, key),
                           IsPartitionInScope(commit.after, key)};
    }
  }
  return touched;
}

void FilteredTail::AddIfWanted(const v1::MetadataRecord& record, Offset offset,
                               v1::Commit& out) const {
  if (filter_->WantsKind(record)) {
    *out.add_records() = record;
    out.add_offsets(offset.value());
  }
}

void FilteredTail::AddWholeTopic(const CommitInContext& commit, const Topic& topic,
                                 v1::Commit& entered) const {
  const Offset last = commit.update.to - 1;
  v1::MetadataRecord record;
  *record.mutable_topic() = topic.ToRecord();
  AddIfWanted(record, last, entered);
  const auto& configs = commit.after.configs().configs;
  const ConfigKey first{v1::CONFIG_RESOURCE_TYPE_TOPIC, *topic.name, {}};
  for (auto at = configs.lower_bound(first);
       at != configs.end() && at->key.type == first.type && at->key.resource == first.resource;
       ++at) {
    *record.mutable_config() = *at->value;
    AddIfWanted(record, last, entered);
  }
}

void FilteredTail::TellMoves(const CommitInContext& commit, const Touched& touched,
                             v1::Commit& left, v1::Commit& entered) const {
  for (const auto& [id, move] : touched.topics) {
    const Topic* topic = commit.after.topics().Find(id);
    if (topic == nullptr || move.before == move.after) {
      continue;  // its removal says all
    }
    if (move.after) {
      AddWholeTopic(commit, *topic, entered);
    } else if (filter_->WantsKindsOfTopics() && !KVORUM_MUTANT(ScopeLeftUntold)) {
      v1::LeftScope& scope = *left.add_left_scope();
      scope.set_topic_id(id.ToBytes());
      scope.set_topic_name(*topic->name);
    }
  }
  for (const auto& [key, move] : touched.partitions) {
    const Topic* topic = commit.after.topics().Find(key.topic_id);
    if (topic == nullptr || move.before == move.after) {
      continue;
    }
    if (move.after && !KVORUM_MUTANT(ScopeEnteredUntold)) {
      v1::MetadataRecord record;
      *record.mutable_partition() =
          topic->partitions.Find(key.index)->ToRecord(key.topic_id, key.index);
      AddIfWanted(record, commit.update.to - 1, entered);
    } else if (move.before && touched.topics.at(key.topic_id).after &&
               filter_->WantsKind("partition")) {
      v1::LeftScope& scope = *left.add_left_scope();
      scope.set_topic_id(key.topic_id.ToBytes());
      scope.set_partition_index(key.index);
    }
  }
}

bool FilteredTail::Passes(const CommitInContext& commit, size_t index,
                          const Touched& touched) const {
  const v1::MetadataRecord& record = commit.records[index];
  if (!filter_->WantsKind(record)) {
    return false;
  }
  const std::optional<Uuid>& id = commit.topics[index];
  if (!id.has_value() || (KVORUM_MUTANT(ConfigsUnscoped) && record.has_config())) {
    return true;
  }
  if (const std::optional<int32_t> partition = PartitionOf(record)) {
    const Move& move = touched.partitions.at({*id, *partition});
    // What came in by host is told whole already; what the commit itself made comes as it is.
    return move.after && (move.before || !filter_->is_by_host());
  }
  const Move& move = touched.topics.at(*id);
  if (!filter_->is_by_host()) {
    return move.before || move.after;
  }
  // What came in is told whole, and what left by LeftScope, unless the topic is there no more.
  return move.before && (move.after || commit.after.topics().Find(*id) == nullptr);
}

void FilteredTail::OnCommit(const CommitInContext& commit) {
  v1::Commit out;
  v1::Commit entered;
  const Touched touched = FindTouched(commit);
  if (filter_->is_by_host()) {
    TellMoves(commit, touched, out, entered);
  }
  for (size_t i = 0; i < commit.records.size(); ++i) {
    if (Passes(commit, i, touched)) {
      *out.add_records() = commit.records[i];
      out.add_offsets((commit.update.from + static_cast<int64_t>(i)).value());
    }
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
  if (seen_ != tail_.end() && !KVORUM_MUTANT(FilteredStandsStill)) {
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
