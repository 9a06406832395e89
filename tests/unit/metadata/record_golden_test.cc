// The bytes of every kind of record. They are on disks and on brokers' streams, so they never
// change: a new field must leave the old lines as they are. KVORUM_REWRITE_GOLDEN=1 writes the
// files anew; commit that only if you understand the difference.

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "server/metadata/record_codec.h"
#include "server/metadata/record_visit.h"

namespace kvorum {
namespace {

constexpr char kTopicId[] = "0123456789abcdef";

void AddSettingsSamples(std::map<std::string, v1::MetadataRecord>& samples) {
  v1::ConfigRecord& config = *samples["config"].mutable_config();
  config.set_resource_type(v1::CONFIG_RESOURCE_TYPE_TOPIC);
  config.set_resource_name("orders");
  config.set_name("retention.ms");
  config.set_value("3600000");
  v1::RemoveConfigRecord& remove_config = *samples["remove_config"].mutable_remove_config();
  remove_config.set_resource_type(v1::CONFIG_RESOURCE_TYPE_BROKER);
  remove_config.set_resource_name("7");
  remove_config.set_name("log.retention.ms");

  v1::ClientQuotaRecord& quota = *samples["client_quota"].mutable_client_quota();
  quota.add_entity()->set_type(v1::QUOTA_ENTITY_TYPE_USER);
  quota.mutable_entity(0)->set_name("alice");
  quota.add_entity()->set_type(v1::QUOTA_ENTITY_TYPE_CLIENT_ID);
  quota.set_key("producer_byte_rate");
  quota.set_value(1048576.5);
  v1::RemoveClientQuotaRecord& remove_quota =
      *samples["remove_client_quota"].mutable_remove_client_quota();
  remove_quota.add_entity()->set_type(v1::QUOTA_ENTITY_TYPE_IP);
  remove_quota.mutable_entity(0)->set_name("10.0.0.1");
  remove_quota.set_key("connection_creation_rate");

  v1::AccessControlEntryRecord& acl =
      *samples["access_control_entry"].mutable_access_control_entry();
  acl.set_id(kTopicId);
  acl.mutable_binding()->set_resource_type(v1::ACL_RESOURCE_TYPE_GROUP);
  acl.mutable_binding()->set_resource_name("billing-");
  acl.mutable_binding()->set_pattern_type(v1::ACL_PATTERN_TYPE_PREFIXED);
  acl.mutable_binding()->set_principal("User:alice");
  acl.mutable_binding()->set_host("*");
  acl.mutable_binding()->set_operation(v1::ACL_OPERATION_IDEMPOTENT_WRITE);
  acl.mutable_binding()->set_permission(v1::ACL_PERMISSION_DENY);
  samples["remove_access_control_entry"].mutable_remove_access_control_entry()->set_id(kTopicId);

  v1::UserScramCredentialRecord& credential =
      *samples["user_scram_credential"].mutable_user_scram_credential();
  credential.set_user("alice");
  credential.set_mechanism(v1::SCRAM_MECHANISM_SHA_512);
  credential.set_salt("saltsalt");
  credential.set_stored_key("stored");
  credential.set_server_key("server");
  credential.set_iterations(4'096);
  v1::RemoveUserScramCredentialRecord& remove_credential =
      *samples["remove_user_scram_credential"].mutable_remove_user_scram_credential();
  remove_credential.set_user("alice");
  remove_credential.set_mechanism(v1::SCRAM_MECHANISM_SHA_256);

  samples["feature_level"].mutable_feature_level()->set_name("metadata.version");
  samples["feature_level"].mutable_feature_level()->set_level(2);
  v1::ProducerIdsRecord& producer_ids = *samples["producer_ids"].mutable_producer_ids();
  producer_ids.set_broker_id(7);
  producer_ids.set_broker_epoch(300);
  producer_ids.set_next_producer_id(5'000);
}

std::map<std::string, v1::MetadataRecord> SampleRecords() {
  std::map<std::string, v1::MetadataRecord> samples;
  samples["no_op"].mutable_no_op();

  v1::RegisterBrokerRecord& broker = *samples["register_broker"].mutable_register_broker();
  broker.set_broker_id(7);
  broker.set_incarnation_id("fedcba9876543210");
  broker.set_broker_epoch(300);
  v1::Endpoint& endpoint = *broker.add_endpoints();
  endpoint.set_name("PLAINTEXT");
  endpoint.set_host("broker-7");
  endpoint.set_port(9092);
  broker.set_rack("rack-a");
  broker.set_fenced(true);
  v1::SupportedFeature& feature = *broker.add_features();
  feature.set_name("group.version");
  feature.set_min_level(1);
  feature.set_max_level(300);
  broker.add_log_dirs("0000000000000001");
  broker.add_log_dirs("0000000000000002");
  broker.set_in_controlled_shutdown(true);
  broker.set_drained(true);
  broker.add_offline_log_dirs("0000000000000002");

  v1::UnregisterBrokerRecord& unregister =
      *samples["unregister_broker"].mutable_unregister_broker();
  unregister.set_broker_id(7);
  unregister.set_broker_epoch(300);

  v1::BrokerRegistrationChangeRecord& change =
      *samples["broker_registration_change"].mutable_broker_registration_change();
  change.set_broker_id(7);
  change.set_broker_epoch(300);
  change.set_fenced(true);
  change.set_in_controlled_shutdown(true);
  change.set_drained(true);
  change.add_offline_log_dirs("0000000000000002");

  samples["topic"].mutable_topic()->set_topic_id(kTopicId);
  samples["topic"].mutable_topic()->set_name("orders");
  samples["topic"].mutable_topic()->set_min_insync_replicas(2);
  samples["remove_topic"].mutable_remove_topic()->set_topic_id(kTopicId);
  samples["remove_topic"].mutable_remove_topic()->set_name("orders");

  v1::PartitionRecord& partition = *samples["partition"].mutable_partition();
  partition.set_topic_id(kTopicId);
  partition.set_partition_index(5);
  for (const int32_t id : {7, 1, 300}) {
    partition.add_replicas(id);
  }
  partition.add_isr(7);
  partition.add_isr(1);
  partition.set_leader(7);
  partition.set_leader_epoch(2);
  partition.set_partition_epoch(9);
  partition.set_leader_recovery_state(v1::LEADER_RECOVERY_STATE_RECOVERING);
  partition.add_adding_replicas(7);
  partition.add_removing_replicas(1);
  partition.add_eligible_leader_replicas(300);
  partition.add_last_known_elr(7);

  v1::PartitionChangeRecord& partition_change =
      *samples["partition_change"].mutable_partition_change();
  partition_change.set_topic_id(kTopicId);
  partition_change.set_partition_index(5);
  partition_change.add_isr(1);
  partition_change.set_leader(-1);
  partition_change.set_leader_epoch(3);
  partition_change.set_partition_epoch(10);
  partition_change.set_leader_recovery_state(v1::LEADER_RECOVERY_STATE_RECOVERING);
  for (const int32_t id : {7, 1, 300}) {
    partition_change.add_replicas(id);
  }
  partition_change.add_adding_replicas(7);
  partition_change.add_removing_replicas(1);
  partition_change.add_eligible_leader_replicas(300);
  partition_change.add_last_known_elr(7);

  v1::EntryRecord& entry = *samples["entry"].mutable_entry();
  entry.set_key("config/limits");
  entry.set_value(std::string("\x00\x01\xff", 3));
  entry.set_version(1'000'000);
  entry.set_namespace_("team-a");
  entry.mutable_owner()->set_broker_id(7);
  entry.mutable_owner()->set_broker_epoch(300);
  samples["remove_entry"].mutable_remove_entry()->set_key("config/limits");
  samples["remove_entry"].mutable_remove_entry()->set_namespace_("team-a");
  AddSettingsSamples(samples);

  v1::CompletedRequestRecord& completed = *samples["completed_request"].mutable_completed_request();
  completed.set_request_id("fedcba9876543210");
  completed.set_body_hash(0x0123456789abcdef);
  completed.set_reply(std::string("\x0a\x00\xff", 3));
  completed.set_offset(300);
  completed.set_completed_ms(1'700'000'000'000);
  completed.set_epoch(5);
  samples["expire_requests"].mutable_expire_requests()->set_below_offset(300);
  samples["write_reason"].mutable_write_reason()->set_reason("ticket 4711");
  return samples;
}

std::string ToHexLines(const std::string& bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    text += fmt::format("{:02x}{}", static_cast<unsigned char>(bytes[i]),
                        i % 16 == 15 || i + 1 == bytes.size() ? "\n" : " ");
  }
  return text;
}

std::string GoldenPath(const std::string& name) {
  return fmt::format("{}/records/{}.txt", KVORUM_GOLDEN_DIR, name);
}

TEST(RecordGoldenTest, EveryKindOfRecordHasASample) {
  const auto samples = SampleRecords();
  const auto* oneof = v1::MetadataRecord::descriptor()->FindOneofByName("record");
  for (int i = 0; i < oneof->field_count(); ++i) {
    EXPECT_TRUE(samples.contains(oneof->field(i)->name())) << oneof->field(i)->name();
  }
}

TEST(RecordGoldenTest, SamplesSetEveryField) {
  for (const auto& [name, record] : SampleRecords()) {
    VisitRecord(record, [](const auto& inner) {
      const auto* descriptor = inner.GetDescriptor();
      std::vector<const google::protobuf::FieldDescriptor*> set;
      inner.GetReflection()->ListFields(inner, &set);
      EXPECT_EQ(static_cast<int>(set.size()), descriptor->field_count()) << descriptor->name();
    });
  }
}

TEST(RecordGoldenTest, EncodingsAreAsTheyWere) {
  const bool rewrite = std::getenv("KVORUM_REWRITE_GOLDEN") != nullptr;
  for (const auto& [name, record] : SampleRecords()) {
    const std::string encoded = ToHexLines(EncodeRecords({record}));
    if (rewrite) {
      std::ofstream(GoldenPath(name)) << encoded;
      continue;
    }
    std::ifstream file(GoldenPath(name));
    ASSERT_TRUE(file.good()) << GoldenPath(name);
    std::stringstream golden;
    golden << file.rdbuf();
    EXPECT_EQ(encoded, golden.str()) << name;
  }
}

}  // namespace
}  // namespace kvorum
