#pragma once

#include <string>

#include "server/metadata/commands.h"
#include "server/metadata/requests/completed_requests.h"
#include "tests/support/requests.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {

// Commands of every domain, drawn from a seed, executed and applied; most are sound, some are
// refused. Owns the world they change.
class RandomCommands {
 public:
  explicit RandomCommands(uint64_t seed) : world_(seed), random_(seed + 1'000) {
    world_.Apply(BootstrapRecords(kMaxMetadataLevel));
  }

  World& world() { return world_; }
  int transactions() const { return transactions_; }  // that were carried out

  void Step() {
    switch (random_.Below(25)) {
      case 24:
        Transact();
        break;
      case 0:
        Register();
        break;
      case 18:
        CompleteRequests();
        break;
      case 19:
        world_.Apply(BeginControlledShutdown(world_.image(), BrokerId{AnyBroker()}));
        break;
      case 20:
        Drain();
        break;
      case 21:
        ElectLeaders();
        break;
      case 22:
        Reassign();
        break;
      case 23:
        AlterPartitions();
        break;
      case 1:
      case 2:
        world_.Unfence(AnyBroker());
        break;
      case 3:
        world_.Fence(AnyBroker());
        break;
      case 4: {
        v1::UnregisterBrokerRequest request;
        request.set_broker_id(AnyBroker());
        if (random_.OneIn(1, 4)) {
          Do(request);
        }
        break;
      }
      case 5:
      case 6:
        CreateTopics();
        break;
      case 7: {
        v1::DeleteTopicsRequest request;
        request.add_topics()->set_name(AnyTopic());
        Do(request);
        break;
      }
      case 8: {
        v1::CreatePartitionsRequest request;
        request.add_topics()->set_name(AnyTopic());
        request.mutable_topics(0)->set_new_partition_count(static_cast<int32_t>(random_.Below(9)));
        Do(request);
        break;
      }
      case 9:
        AlterPartitions();
        break;
      case 10:
        ChangeConfigs();
        break;
      case 11:
        ChangeQuotas();
        break;
      case 12:
        ChangeAcls();
        break;
      case 13:
        ChangeCredentials();
        break;
      case 14:
        ChangeFeatures();
        break;
      case 15: {
        v1::AllocateProducerIdsRequest request;
        request.set_broker_id(AnyBroker());
        request.set_broker_epoch(EpochOf(request.broker_id()));
        Do(request);
        break;
      }
      default:
        ChangeEntry();
    }
  }

 private:
  // Carries `request` out, or makes it an operation of the transaction that is being put together.
  template <typename Request>
  void Do(const Request& request) {
    if (transaction_ == nullptr) {
      (void)world_.Run(request);
      return;
    }
    const auto* oneof = v1::Operation::descriptor()->oneof_decl(0);
    for (int i = 0; i < oneof->field_count(); ++i) {
      if (oneof->field(i)->message_type() == Request::descriptor()) {
        v1::Operation& operation = *transaction_->add_operations();
        operation.GetReflection()->MutableMessage(&operation, oneof->field(i))->CopyFrom(request);
      }
    }
  }

  // A transaction is what its operations would be one after the other, or nothing.
  void Transact() {
    v1::CommitRequest transaction;
    transaction_ = &transaction;
    for (uint64_t i = 0; i <= random_.Below(4); ++i) {
      switch (random_.Below(8)) {
        case 0:
          CreateTopics();
          break;
        case 1:
          ChangeConfigs();
          break;
        case 2:
          ChangeQuotas();
          break;
        case 3:
          ChangeAcls();
          break;
        case 4:
          Drain();
          break;
        case 5: {
          v1::DeleteTopicsRequest request;
          request.add_topics()->set_name(AnyTopic());
          Do(request);
          break;
        }
        case 6:
          ChangeCredentials();
          break;
        default:
          ChangeEntry();
      }
    }
    transaction_ = nullptr;
    World one_by_one = world_;
    const Offset begin = world_.next_offset();
    const auto response = world_.Run(transaction);
    if (!response.ok()) {
      ASSERT_EQ(world_.next_offset(), begin);
      return;
    }
    ++transactions_;
    for (const v1::Operation& operation : transaction.operations()) {
      v1::CommitRequest single;
      *single.add_operations() = operation;
      ASSERT_TRUE(one_by_one.Run(single).ok());
    }
    ASSERT_EQ(one_by_one.image().StateHash(), world_.image().StateHash());
    ASSERT_EQ(one_by_one.next_offset(), world_.next_offset());
  }

  // Keeps at most four.
  void CompleteRequests() {
    const auto completed =
        CompleteRequest({Uuid::FromRandom(random_), random_.Next()},
                        std::string(random_.Below(50), 'r'), {world_.next_offset(), Epoch(1)}, 0);
    ASSERT_TRUE(completed.ok()) << completed.status();
    world_.Apply({*completed});
    const auto expired = ExpireRequests(world_.image().requests(), {.max_count = 4}, 0, Offset(0));
    if (expired.has_value()) {
      world_.Apply({*expired});
    }
    ASSERT_LE(world_.image().requests().by_id.size(), 4u);
  }

  int32_t AnyBroker() { return static_cast<int32_t>(random_.Below(6)); }
  std::string AnyTopic() {
    static constexpr const char* kNames[] = {"a", "b", "c.d", "c_d", "e.f", "g"};
    return kNames[random_.Below(6)];
  }

  void Drain() {
    if (random_.OneIn(1, 2)) {
      v1::DrainBrokerRequest request;
      request.set_broker_id(AnyBroker());
      Do(request);
    } else {
      v1::UndrainBrokerRequest request;
      request.set_broker_id(AnyBroker());
      Do(request);
    }
  }

  void ElectLeaders() {
    v1::ElectLeadersRequest request;
    request.set_election_type(random_.OneIn(1, 2) ? v1::ELECTION_TYPE_PREFERRED
                                                  : v1::ELECTION_TYPE_UNCLEAN);
    request.add_topics()->mutable_topic()->set_name(AnyTopic());
    Do(request);
  }

  void Reassign() {
    v1::AlterPartitionReassignmentsRequest request;
    for (int32_t index = 0; index < 3; ++index) {
      v1::AlterPartitionReassignmentsRequest::Item& item = *request.add_partitions();
      item.mutable_topic()->set_name(AnyTopic());
      item.set_partition_index(index);
      item.set_cancel(random_.OneIn(1, 4));
      for (uint64_t i = item.cancel() ? 3 : 0; i <= random_.Below(3); ++i) {
        item.add_replicas(AnyBroker());
      }
    }
    Do(request);
  }

  void CreateTopics() {
    v1::CreateTopicsRequest request;
    for (uint64_t i = 0; i <= random_.Below(3); ++i) {
      v1::NewTopic& topic = *request.add_topics();
      topic.set_name(AnyTopic());
      topic.set_partition_count(static_cast<int32_t>(random_.Below(6)));
      topic.set_replication_factor(static_cast<int32_t>(random_.Below(4)));
      topic.set_min_insync_replicas(static_cast<int32_t>(random_.Below(4)));
    }
    Do(request);
  }

  void AlterPartitions() {
    v1::AlterPartitionRequest request;
    request.set_broker_id(AnyBroker());
    const Broker* broker = world_.image().brokers().Find(BrokerId{request.broker_id()});
    if (broker == nullptr) {
      return;
    }
    request.set_broker_epoch(broker->epoch.value());
    for (const auto& [id, topic] : world_.image().topics().by_id) {
      for (const auto& [index, partition] : topic.partitions) {
        v1::AlterPartitionRequest::Item& item = *request.add_partitions();
        item.set_topic_id(id.ToString());
        item.set_partition_index(index);
        item.set_leader_epoch(partition.leader_epoch);
        item.set_partition_epoch(partition.partition_epoch);
        for (const BrokerId replica : partition.replicas) {
          if (replica == broker->id || random_.OneIn(1, 2)) {
            v1::IsrMember& member = *item.add_new_isr();
            member.set_broker_id(replica.value());
            member.set_broker_epoch(-1);
          }
        }
      }
    }
    Do(request);
  }

  int64_t EpochOf(int32_t broker) const {
    const Broker* found = world_.image().brokers().Find(BrokerId{broker});
    return found == nullptr ? -1 : found->epoch.value();
  }

  void Register() {
    v1::RegisterBrokerRequest request = world_.Registration(AnyBroker());
    if (random_.OneIn(3, 4)) {
      v1::SupportedFeature& feature = *request.add_features();
      feature.set_name("group.version");
      feature.set_max_level(3);
    }
    const Broker* broker = world_.image().brokers().Find(BrokerId{request.broker_id()});
    if (broker != nullptr && random_.OneIn(1, 2)) {
      request.set_previous_broker_epoch(broker->epoch.value());
    }
    Do(request);
  }

  void ChangeEntry() {
    const std::string key = "key/" + std::to_string(random_.Below(40));
    const std::string name_space =
        random_.OneIn(1, 3) ? "n" + std::to_string(random_.Below(3)) : "";
    if (random_.OneIn(1, 3)) {
      v1::DeleteEntryRequest request;
      request.set_key(key);
      request.set_namespace_(name_space);
      Do(request);
    } else {
      v1::PutEntryRequest request;
      request.set_key(key);
      request.set_value(std::string(random_.Below(50), 'v'));
      request.set_namespace_(name_space);
      if (random_.OneIn(1, 3)) {
        request.mutable_owner()->set_broker_id(AnyBroker());
        request.mutable_owner()->set_broker_epoch(EpochOf(request.owner().broker_id()));
      }
      Do(request);
    }
  }

  void ChangeConfigs() {
    v1::AlterConfigsRequest request;
    v1::AlterConfigsRequest::Item& item = *request.add_resources();
    const bool is_topic = random_.OneIn(1, 2);
    item.mutable_resource()->set_type(is_topic ? v1::CONFIG_RESOURCE_TYPE_TOPIC
                                               : v1::CONFIG_RESOURCE_TYPE_BROKER);
    item.mutable_resource()->set_name(
        is_topic ? AnyTopic() : (random_.OneIn(2, 3) ? "" : std::to_string(AnyBroker())));
    for (const char* name : {"min.insync.replicas", "unclean.leader.election.enable"}) {
      auto& operation = *item.add_operations();
      operation.set_name(name);
      operation.set_operation(random_.OneIn(1, 2) ? v1::CONFIG_OPERATION_SET
                                                  : v1::CONFIG_OPERATION_DELETE);
      if (operation.operation() == v1::CONFIG_OPERATION_SET) {
        operation.set_value(name[0] == 'm' ? std::to_string(1 + random_.Below(3)) : "true");
      }
    }
    Do(request);
  }

  void ChangeQuotas() {
    v1::AlterClientQuotasRequest request;
    auto& item = *request.add_entities();
    item.add_entity()->set_type(v1::QUOTA_ENTITY_TYPE_USER);
    if (random_.OneIn(3, 4)) {
      item.mutable_entity(0)->set_name("u" + std::to_string(random_.Below(4)));
    }
    item.add_operations()->set_key(random_.OneIn(1, 2) ? "producer_byte_rate"
                                                       : "request_percentage");
    if (random_.OneIn(1, 2)) {
      item.mutable_operations(0)->set_value(1.0 + static_cast<double>(random_.Below(9)));
    }
    Do(request);
  }

  void ChangeAcls() {
    const std::string name = "r" + std::to_string(random_.Below(6));
    if (random_.OneIn(1, 3)) {
      v1::DeleteAclsRequest request;
      v1::AclFilter& filter = *request.add_filters() = AnyAclFilter();
      filter.set_resource_name(name);
      Do(request);
      return;
    }
    v1::CreateAclsRequest request;
    v1::AclBinding& binding = *request.add_acls();
    binding.set_resource_type(v1::ACL_RESOURCE_TYPE_TOPIC);
    binding.set_resource_name(name);
    binding.set_pattern_type(random_.OneIn(1, 2) ? v1::ACL_PATTERN_TYPE_LITERAL
                                                 : v1::ACL_PATTERN_TYPE_PREFIXED);
    binding.set_principal("User:alice");
    binding.set_host("*");
    binding.set_operation(v1::ACL_OPERATION_READ);
    binding.set_permission(v1::ACL_PERMISSION_ALLOW);
    Do(request);
  }

  void ChangeCredentials() {
    v1::AlterUserScramCredentialsRequest request;
    const std::string user = "u" + std::to_string(random_.Below(4));
    if (random_.OneIn(1, 2)) {
      request.add_deletions()->set_user(user);
      request.mutable_deletions(0)->set_mechanism(v1::SCRAM_MECHANISM_SHA_256);
    } else {
      auto& upsertion = *request.add_upsertions();
      upsertion.set_user(user);
      upsertion.set_mechanism(v1::SCRAM_MECHANISM_SHA_256);
      upsertion.set_iterations(4'096 + static_cast<int32_t>(random_.Below(9)));
      upsertion.set_salt("saltsalt");
      upsertion.set_stored_key(std::string(32, 's'));
      upsertion.set_server_key(std::string(32, 'v'));
    }
    Do(request);
  }

  void ChangeFeatures() {
    v1::UpdateFeaturesRequest request;
    auto& item = *request.add_updates();
    item.set_name("group.version");
    item.set_level(static_cast<int32_t>(random_.Below(4)));
    item.set_upgrade_type(random_.OneIn(1, 2) ? v1::FEATURE_UPGRADE_TYPE_UPGRADE
                                              : v1::FEATURE_UPGRADE_TYPE_SAFE_DOWNGRADE);
    Do(request);
  }

  World world_;
  v1::CommitRequest* transaction_ = nullptr;  // set while one is put together
  int transactions_ = 0;
  Random random_;
};

}  // namespace kvorum
