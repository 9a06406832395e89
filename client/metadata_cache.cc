#include "client/metadata_cache.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "client/entity_hash.h"

namespace kvorum::client {
namespace {

uint64_t HashBroker(int32_t id, const CachedBroker& broker) {
  EntityHash hash('b');
  hash.Add(int64_t{id}).Add(broker.epoch).Add(broker.incarnation_id).Add(broker.rack);
  hash.Add(int64_t{broker.fenced}).Add(int64_t{broker.in_controlled_shutdown});
  hash.Add(int64_t{broker.drained});
  for (const std::vector<std::string>* dirs : {&broker.log_dirs, &broker.offline_log_dirs}) {
    hash.Add(static_cast<int64_t>(dirs->size()));
    for (const std::string& dir : *dirs) {
      hash.Add(dir);
    }
  }
  for (const v1::Endpoint& endpoint : broker.endpoints) {
    hash.Add(endpoint.name()).Add(endpoint.host()).Add(int64_t{endpoint.port()});
  }
  for (const v1::SupportedFeature& feature : broker.features) {
    hash.Add(feature.name()).Add(int64_t{feature.min_level()}).Add(int64_t{feature.max_level()});
  }
  return hash.Finish();
}

uint64_t HashTopic(const CachedTopic& topic) {
  return EntityHash('t')
      .Add(topic.id)
      .Add(topic.name)
      .Add(int64_t{topic.min_insync_replicas})
      .Finish();
}

uint64_t HashPartition(const std::string& topic_id, int32_t index, const CachedPartition& p) {
  EntityHash hash('p');
  hash.Add(topic_id).Add(int64_t{index}).Add(p.replicas).Add(p.isr).Add(int64_t{p.leader});
  hash.Add(int64_t{p.leader_epoch}).Add(int64_t{p.partition_epoch});
  hash.Add(int64_t{p.leader_recovery_state}).Add(p.adding_replicas).Add(p.removing_replicas);
  hash.Add(p.eligible_leader_replicas).Add(p.last_known_elr);
  return hash.Finish();
}

using EntryName = std::pair<std::string, std::string>;  // namespace and key

uint64_t HashEntry(const EntryName& name, const CachedEntry& entry) {
  EntityHash hash('e');
  hash.Add(name.first).Add(name.second).Add(entry.value).Add(entry.version);
  if (entry.owner.has_value()) {
    hash.Add(int64_t{entry.owner->broker_id()}).Add(entry.owner->broker_epoch());
  }
  return hash.Finish();
}

std::vector<int32_t> ToVector(const google::protobuf::RepeatedField<int32_t>& ids) {
  return {ids.begin(), ids.end()};
}

// Fills what both partition records carry.
template <typename Record>
void SetState(const Record& record, CachedPartition& partition) {
  partition.isr = ToVector(record.isr());
  partition.adding_replicas = ToVector(record.adding_replicas());
  partition.removing_replicas = ToVector(record.removing_replicas());
  partition.eligible_leader_replicas = ToVector(record.eligible_leader_replicas());
  partition.last_known_elr = ToVector(record.last_known_elr());
  partition.leader = record.leader();
  partition.leader_epoch = record.leader_epoch();
  partition.partition_epoch = record.partition_epoch();
  partition.leader_recovery_state = record.leader_recovery_state();
}

using Problem = std::optional<std::string>;  // absent: applied

}  // namespace

// The mutable state behind the cache. A topic that a snapshot may share is cloned before its first
// change after that snapshot.
class MetadataCache::State {
 public:
  Problem Apply(const v1::MetadataRecord& record) {
    switch (record.record_case()) {
      case v1::MetadataRecord::kNoOp:
        return std::nullopt;
      case v1::MetadataRecord::kRegisterBroker:
        return ApplyRegistration(record.register_broker());
      case v1::MetadataRecord::kUnregisterBroker:
        return ApplyUnregistration(record.unregister_broker());
      case v1::MetadataRecord::kBrokerRegistrationChange:
        return ApplyRegistrationChange(record.broker_registration_change());
      case v1::MetadataRecord::kTopic:
        return ApplyTopic(record.topic());
      case v1::MetadataRecord::kRemoveTopic:
        return ApplyRemoveTopic(record.remove_topic());
      case v1::MetadataRecord::kPartition:
        return ApplyPartition(record.partition());
      case v1::MetadataRecord::kPartitionChange:
        return ApplyPartitionChange(record.partition_change());
      case v1::MetadataRecord::kEntry:
        return ApplyEntry(record.entry());
      case v1::MetadataRecord::kRemoveEntry:
        return ApplyRemoveEntry(record.remove_entry());
      case v1::MetadataRecord::kConfig:
      case v1::MetadataRecord::kRemoveConfig:
      case v1::MetadataRecord::kClientQuota:
      case v1::MetadataRecord::kRemoveClientQuota:
      case v1::MetadataRecord::kAccessControlEntry:
      case v1::MetadataRecord::kRemoveAccessControlEntry:
      case v1::MetadataRecord::kUserScramCredential:
      case v1::MetadataRecord::kRemoveUserScramCredential:
      case v1::MetadataRecord::kFeatureLevel:
      case v1::MetadataRecord::kProducerIds:
        return settings_.Apply(record);
      case v1::MetadataRecord::kCompletedRequest:
      case v1::MetadataRecord::kExpireRequests:
      case v1::MetadataRecord::kWriteReason:
        return "record that is private to controllers";
      case v1::MetadataRecord::RECORD_NOT_SET:
        break;
    }
    return "record of a kind that this client does not know; upgrade the client";
  }

  std::string TopicName(const std::string& topic_id) const {
    const auto name = names_.find(topic_id);
    return name == names_.end() ? std::string() : name->second;
  }

  // A filter by kind may leave topics out and let through what goes with them.
  Problem ApplyFiltered(const v1::MetadataRecord& record) {
    if (record.has_remove_topic() && !names_.contains(record.remove_topic().topic_id())) {
      settings_.RemoveTopic(record.remove_topic().name());
      return std::nullopt;
    }
    return Apply(record);
  }

  // What a filtered stream no longer tells of.
  void Forget(const v1::LeftScope& left) {
    const auto name = names_.find(left.topic_id());
    if (name == names_.end()) {
      settings_.RemoveTopic(left.topic_name());  // empty with a partition: no topic's
      return;
    }
    if (!left.has_partition_index()) {
      v1::RemoveTopicRecord whole;
      whole.set_topic_id(left.topic_id());
      whole.set_name(name->second);
      ApplyRemoveTopic(whole);
      return;
    }
    CachedTopic* topic = MutableTopic(left.topic_id());
    if (const auto partition = topic->partitions.find(left.partition_index());
        partition != topic->partitions.end()) {
      digest_ -= HashPartition(topic->id, partition->first, partition->second);
      topic->partitions.erase(partition);
    }
  }

  std::shared_ptr<const MetadataSnapshot> TakeSnapshot(const v1::Position& position) {
    auto snapshot = std::make_shared<MetadataSnapshot>();
    snapshot->position = position;
    snapshot->brokers = brokers_;
    for (const auto& [name, slot] : topics_) {
      snapshot->topics.emplace_hint(snapshot->topics.end(), name, slot.topic);
    }
    snapshot->entries = entries_;
    snapshot->namespace_entries = namespace_entries_;
    snapshot->settings = settings_.Share();
    snapshot->digest = digest();
    ++snapshot_count_;
    return snapshot;
  }

  uint64_t digest() const { return digest_ + settings_.digest(); }

 private:
  struct TopicSlot {
    std::shared_ptr<CachedTopic> topic;
    uint64_t owned_since = 0;  // snapshot_count_ when it was made: no snapshot has it if equal
  };

  Problem ApplyRegistration(const v1::RegisterBrokerRecord& record) {
    CachedBroker broker;
    broker.epoch = record.broker_epoch();
    broker.incarnation_id = record.incarnation_id();
    broker.endpoints.assign(record.endpoints().begin(), record.endpoints().end());
    broker.rack = record.rack();
    broker.features.assign(record.features().begin(), record.features().end());
    broker.fenced = record.fenced();
    broker.in_controlled_shutdown = record.in_controlled_shutdown();
    broker.drained = record.drained();
    broker.log_dirs.assign(record.log_dirs().begin(), record.log_dirs().end());
    broker.offline_log_dirs.assign(record.offline_log_dirs().begin(),
                                   record.offline_log_dirs().end());
    const auto known = brokers_.find(record.broker_id());
    if (known != brokers_.end()) {
      // One incarnation may register again, with other endpoints say, and keeps its epoch.
      const bool is_same = known->second.incarnation_id == broker.incarnation_id;
      if (is_same ? known->second.epoch != broker.epoch : known->second.epoch >= broker.epoch) {
        return fmt::format("broker {} registered with epoch {} after epoch {}", record.broker_id(),
                           broker.epoch, known->second.epoch);
      }
      digest_ -= HashBroker(known->first, known->second);
    }
    digest_ += HashBroker(record.broker_id(), broker);
    brokers_[record.broker_id()] = std::move(broker);
    return std::nullopt;
  }

  Problem ApplyUnregistration(const v1::UnregisterBrokerRecord& record) {
    const auto known = brokers_.find(record.broker_id());
    if (known == brokers_.end() || known->second.epoch != record.broker_epoch()) {
      return UnknownBroker(record.broker_id(), record.broker_epoch());
    }
    digest_ -= HashBroker(known->first, known->second);
    brokers_.erase(known);
    return std::nullopt;
  }

  Problem ApplyRegistrationChange(const v1::BrokerRegistrationChangeRecord& record) {
    const auto known = brokers_.find(record.broker_id());
    if (known == brokers_.end() || known->second.epoch != record.broker_epoch()) {
      return UnknownBroker(record.broker_id(), record.broker_epoch());
    }
    digest_ -= HashBroker(known->first, known->second);
    known->second.fenced = record.fenced();
    known->second.in_controlled_shutdown = record.in_controlled_shutdown();
    known->second.drained = record.drained();
    known->second.offline_log_dirs.assign(record.offline_log_dirs().begin(),
                                          record.offline_log_dirs().end());
    digest_ += HashBroker(known->first, known->second);
    return std::nullopt;
  }

  Problem ApplyTopic(const v1::TopicRecord& record) {
    if (topics_.contains(record.name()) || names_.contains(record.topic_id())) {
      return fmt::format("topic {} exists already", record.name());
    }
    auto topic = std::make_shared<CachedTopic>();
    topic->id = record.topic_id();
    topic->name = record.name();
    topic->min_insync_replicas = std::max(record.min_insync_replicas(), 1);
    digest_ += HashTopic(*topic);
    names_[record.topic_id()] = record.name();
    topics_[record.name()] = {std::move(topic), snapshot_count_};
    return std::nullopt;
  }

  Problem ApplyRemoveTopic(const v1::RemoveTopicRecord& record) {
    const auto name = names_.find(record.topic_id());
    if (name == names_.end() || name->second != record.name()) {
      return fmt::format("topic {} does not exist with this id", record.name());
    }
    const auto slot = topics_.find(name->second);
    const CachedTopic& topic = *slot->second.topic;
    for (const auto& [index, partition] : topic.partitions) {
      digest_ -= HashPartition(topic.id, index, partition);
    }
    digest_ -= HashTopic(topic);
    settings_.RemoveTopic(topic.name);
    topics_.erase(slot);
    names_.erase(name);
    return std::nullopt;
  }

  Problem ApplyPartition(const v1::PartitionRecord& record) {
    CachedTopic* topic = MutableTopic(record.topic_id());
    if (topic == nullptr) {
      return "partition of a topic that does not exist";
    }
    CachedPartition partition;
    partition.replicas = ToVector(record.replicas());
    SetState(record, partition);
    const auto known = topic->partitions.find(record.partition_index());
    if (known != topic->partitions.end()) {
      digest_ -= HashPartition(topic->id, known->first, known->second);
    }
    digest_ += HashPartition(topic->id, record.partition_index(), partition);
    topic->partitions[record.partition_index()] = std::move(partition);
    return std::nullopt;
  }

  Problem ApplyPartitionChange(const v1::PartitionChangeRecord& record) {
    CachedTopic* topic = MutableTopic(record.topic_id());
    if (topic == nullptr || !topic->partitions.contains(record.partition_index())) {
      return fmt::format("change of partition {} that does not exist", record.partition_index());
    }
    CachedPartition& partition = topic->partitions[record.partition_index()];
    if (record.partition_epoch() <= partition.partition_epoch) {
      return fmt::format("partition {} of {} goes from partition epoch {} to {}",
                         record.partition_index(), topic->name, partition.partition_epoch,
                         record.partition_epoch());
    }
    digest_ -= HashPartition(topic->id, record.partition_index(), partition);
    if (!record.replicas().empty()) {
      partition.replicas = ToVector(record.replicas());
    }
    SetState(record, partition);
    digest_ += HashPartition(topic->id, record.partition_index(), partition);
    return std::nullopt;
  }

  using EntryPtr = std::shared_ptr<const CachedEntry>;

  // Where the entry is kept, made if it is not there; null when `name` is not there and only looked
  // for.
  EntryPtr* FindEntry(const EntryName& name, bool is_made) {
    if (name.first.empty()) {
      const auto known = entries_.find(name.second);
      return known != entries_.end() ? &known->second
                                     : (is_made ? &entries_[name.second] : nullptr);
    }
    const auto known = namespace_entries_.find(name);
    return known != namespace_entries_.end() ? &known->second
                                             : (is_made ? &namespace_entries_[name] : nullptr);
  }

  Problem ApplyEntry(const v1::EntryRecord& record) {
    auto entry = std::make_shared<CachedEntry>();
    entry->value = record.value();
    entry->version = record.version();
    if (record.has_owner()) {
      entry->owner = record.owner();
    }
    const EntryName name(record.namespace_(), record.key());
    EntryPtr& known = *FindEntry(name, /*is_made=*/true);
    if (known != nullptr) {
      if (known->version >= record.version()) {
        return fmt::format("entry {} goes from version {} to {}", record.key(), known->version,
                           record.version());
      }
      digest_ -= HashEntry(name, *known);
    }
    digest_ += HashEntry(name, *entry);
    known = std::move(entry);
    return std::nullopt;
  }

  Problem ApplyRemoveEntry(const v1::RemoveEntryRecord& record) {
    const EntryName name(record.namespace_(), record.key());
    const EntryPtr* known = FindEntry(name, /*is_made=*/false);
    if (known == nullptr) {
      return fmt::format("entry {} does not exist", record.key());
    }
    digest_ -= HashEntry(name, **known);
    if (name.first.empty()) {
      entries_.erase(name.second);
    } else {
      namespace_entries_.erase(name);
    }
    return std::nullopt;
  }

  static std::string UnknownBroker(int32_t id, int64_t epoch) {
    return fmt::format("broker {} does not exist with epoch {}", id, epoch);
  }

  // Null when there is no such topic.
  CachedTopic* MutableTopic(const std::string& topic_id) {
    const auto name = names_.find(topic_id);
    if (name == names_.end()) {
      return nullptr;
    }
    TopicSlot& slot = topics_[name->second];
    if (slot.owned_since != snapshot_count_) {
      slot.topic = std::make_shared<CachedTopic>(*slot.topic);
      slot.owned_since = snapshot_count_;
    }
    return slot.topic.get();
  }

  std::map<int32_t, CachedBroker> brokers_;
  std::map<std::string, TopicSlot> topics_;   // by name
  std::map<std::string, std::string> names_;  // by topic id
  std::map<std::string, EntryPtr> entries_;   // of the default namespace
  std::map<EntryName, EntryPtr> namespace_entries_;
  SettingsState settings_;
  uint64_t digest_ = 0;
  uint64_t snapshot_count_ = 0;
};

MetadataCache::MetadataCache()
    : state_(std::make_unique<State>()), snapshot_(std::make_shared<MetadataSnapshot>()) {}

MetadataCache::~MetadataCache() = default;

std::shared_ptr<const MetadataSnapshot> MetadataCache::Snapshot() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (snapshot_is_stale_ && error_.empty()) {
    snapshot_ = state_->TakeSnapshot(position_);
    snapshot_is_stale_ = false;
  }
  return snapshot_;
}

v1::Position MetadataCache::position() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return position_;
}

uint64_t MetadataCache::digest() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return state_->digest();
}

std::string MetadataCache::error() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return error_;
}

// The old state stays readable until the new snapshot is complete.
void MetadataCache::OnReset(const v1::Reset& /*reset*/) {}

void MetadataCache::OnSnapshotBegin() {
  const std::lock_guard<std::mutex> lock(mutex_);
  incoming_ = std::make_unique<State>();
}

std::optional<ApplyError> MetadataCache::OnSnapshotRecords(const Records& records) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const v1::MetadataRecord& record : records) {
    if (Problem problem = incoming_->Apply(record)) {
      return Refuse({-1, *std::move(problem)});
    }
  }
  return std::nullopt;
}

void MetadataCache::OnSnapshotEnd(const v1::Position& position) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    state_ = std::move(incoming_);
    position_ = position;
    snapshot_is_stale_ = true;
    position_changed_.notify_all();
  }
  MetadataChanges changes;
  changes.position = position;
  changes.everything = true;
  Tell(changes);
}

std::optional<ApplyError> MetadataCache::OnCommit(const CommittedRecords& commit) {
  MetadataChanges changes;
  if (std::optional<ApplyError> error = Apply(commit, changes)) {
    return error;
  }
  if (!changes.empty()) {
    Tell(changes);
  }
  return std::nullopt;
}

std::optional<ApplyError> MetadataCache::Apply(const CommittedRecords& commit,
                                               MetadataChanges& changes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const TopicNameOf name_of = [this](const std::string& id) { return state_->TopicName(id); };
  const bool is_told = !listeners_.empty();
  for (const v1::LeftScope& left : commit.left_scope) {
    if (std::string name = state_->TopicName(left.topic_id()); is_told && !name.empty()) {
      changes.topics.insert(std::move(name));
    }
    state_->Forget(left);
  }
  const bool is_filtered = !commit.offsets.empty();
  for (int i = 0; i < commit.records.size(); ++i) {
    const v1::MetadataRecord& record = commit.records[i];
    if (Problem problem = is_filtered ? state_->ApplyFiltered(record) : state_->Apply(record)) {
      return Refuse({commit.OffsetOf(i), *std::move(problem)});
    }
    if (is_told) {
      AddChange(record, name_of, changes);
    }
  }
  changes.position = commit.to;
  position_ = commit.to;
  snapshot_is_stale_ = true;
  position_changed_.notify_all();
  return std::nullopt;
}

void MetadataCache::AddListener(ChangeListener listener) {
  listeners_.push_back(std::move(listener));
}

void MetadataCache::Tell(const MetadataChanges& changes) const {
  for (const ChangeListener& listener : listeners_) {
    listener(changes);
  }
}

bool MetadataCache::AwaitPosition(const v1::Position& position,
                                  std::chrono::milliseconds timeout) const {
  std::unique_lock<std::mutex> lock(mutex_);
  return position_changed_.wait_for(lock, timeout, [&] {
    return position_.generation() == position.generation() &&
           position_.offset() >= position.offset();
  });
}

void MetadataCache::OnBookmark(const v1::Bookmark& bookmark) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (position_.offset() != bookmark.position().offset()) {
    position_ = bookmark.position();
    snapshot_is_stale_ = true;
    position_changed_.notify_all();
  }
}

// A commit that was refused half-way leaves `state_` torn; with `error_` set nobody sees it.
std::optional<ApplyError> MetadataCache::Refuse(ApplyError error) {
  error_ = error.message;
  return error;
}

}  // namespace kvorum::client
