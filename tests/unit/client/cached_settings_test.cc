#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/metadata_cache.h"
#include "client/record_text.h"

namespace kvorum::client {
namespace {

class CachedSettingsTest : public ::testing::Test {
 protected:
  std::optional<ApplyError> Commit(const std::vector<v1::MetadataRecord>& records) {
    CommittedRecords commit;
    commit.from = cache_.position().offset();
    commit.to.set_offset(commit.from + static_cast<int64_t>(records.size()));
    commit.records.Assign(records.begin(), records.end());
    return cache_.OnCommit(commit);
  }

  // Records that set one of everything, and those that take it away again.
  static std::vector<v1::MetadataRecord> Settings() {
    std::vector<v1::MetadataRecord> records(7);
    records[0].mutable_config()->set_resource_type(v1::CONFIG_RESOURCE_TYPE_BROKER);
    records[0].mutable_config()->set_name("log.roll.ms");
    records[0].mutable_config()->set_value("7");
    records[1].mutable_client_quota()->add_entity()->set_type(v1::QUOTA_ENTITY_TYPE_USER);
    records[1].mutable_client_quota()->set_key("request_percentage");
    records[1].mutable_client_quota()->set_value(1.5);
    records[2].mutable_access_control_entry()->set_id("0123456789abcdef");
    records[2].mutable_access_control_entry()->mutable_binding()->set_principal("User:alice");
    records[3].mutable_user_scram_credential()->set_user("alice");
    records[3].mutable_user_scram_credential()->set_mechanism(v1::SCRAM_MECHANISM_SHA_256);
    records[3].mutable_user_scram_credential()->set_stored_key("SECRET");
    records[4].mutable_feature_level()->set_name("group.version");
    records[4].mutable_feature_level()->set_level(2);
    records[5].mutable_entry()->set_namespace_("a");
    records[5].mutable_entry()->set_key("k");
    records[5].mutable_entry()->set_version(5);
    records[5].mutable_entry()->mutable_owner()->set_broker_id(1);
    records[6].mutable_topic()->set_topic_id("fedcba9876543210");
    records[6].mutable_topic()->set_name("orders");
    v1::MetadataRecord topic_config;
    topic_config.mutable_config()->set_resource_type(v1::CONFIG_RESOURCE_TYPE_TOPIC);
    topic_config.mutable_config()->set_resource_name("orders");
    topic_config.mutable_config()->set_name("segment.ms");
    topic_config.mutable_config()->set_value("5");
    records.push_back(topic_config);
    return records;
  }
  static std::vector<v1::MetadataRecord> Removals() {
    std::vector<v1::MetadataRecord> records(7);
    records[0].mutable_remove_config()->set_resource_type(v1::CONFIG_RESOURCE_TYPE_BROKER);
    records[0].mutable_remove_config()->set_name("log.roll.ms");
    records[1].mutable_remove_client_quota()->add_entity()->set_type(v1::QUOTA_ENTITY_TYPE_USER);
    records[1].mutable_remove_client_quota()->set_key("request_percentage");
    records[2].mutable_remove_access_control_entry()->set_id("0123456789abcdef");
    records[3].mutable_remove_user_scram_credential()->set_user("alice");
    records[3].mutable_remove_user_scram_credential()->set_mechanism(v1::SCRAM_MECHANISM_SHA_256);
    records[4].mutable_feature_level()->set_name("group.version");
    records[5].mutable_remove_entry()->set_namespace_("a");
    records[5].mutable_remove_entry()->set_key("k");
    records[6].mutable_remove_topic()->set_topic_id("fedcba9876543210");
    records[6].mutable_remove_topic()->set_name("orders");
    return records;
  }

  MetadataCache cache_;
};

TEST_F(CachedSettingsTest, HoldsWhatRecordsSet) {
  ASSERT_FALSE(Commit(Settings()));
  const auto snapshot = cache_.Snapshot();
  const CachedSettings& settings = *snapshot->settings;
  EXPECT_EQ(*settings.FindConfig(v1::CONFIG_RESOURCE_TYPE_BROKER, "", "log.roll.ms"), "7");
  EXPECT_EQ(*settings.FindConfig(v1::CONFIG_RESOURCE_TYPE_TOPIC, "orders", "segment.ms"), "5");
  EXPECT_EQ(settings.FindConfig(v1::CONFIG_RESOURCE_TYPE_TOPIC, "", "segment.ms"), nullptr);
  EXPECT_EQ(settings.quotas.begin()->second.limits.at("request_percentage"), 1.5);
  EXPECT_EQ(settings.acls.at("0123456789abcdef").principal(), "User:alice");
  EXPECT_EQ(settings.credentials.begin()->second.stored_key(), "SECRET");
  EXPECT_EQ(settings.feature_levels.at("group.version"), 2);
  EXPECT_EQ(snapshot->namespace_entries.at({"a", "k"})->owner->broker_id(), 1);
  EXPECT_TRUE(snapshot->entries.empty());
}

TEST_F(CachedSettingsTest, ComesBackToTheSameDigestAndATopicsConfigsGoWithIt) {
  const uint64_t empty = cache_.digest();
  ASSERT_FALSE(Commit(Settings()));
  const auto before = cache_.Snapshot();
  EXPECT_NE(cache_.digest(), empty);
  EXPECT_EQ(before->digest, cache_.digest());
  ASSERT_FALSE(Commit(Removals()));
  EXPECT_EQ(cache_.digest(), empty);
  EXPECT_TRUE(cache_.Snapshot()->settings->configs.empty());
  EXPECT_EQ(before->settings->configs.size(), 2U) << "a snapshot stays as it was";
}

TEST_F(CachedSettingsTest, RefusesRemovalsOfWhatIsNotThere) {
  for (const v1::MetadataRecord& record : Removals()) {
    MetadataCache cache;
    CommittedRecords commit;
    *commit.records.Add() = record;
    commit.to.set_offset(1);
    EXPECT_TRUE(cache.OnCommit(commit).has_value()) << RecordText(record);
  }
}

TEST_F(CachedSettingsTest, ProducerIdsOnlyGrow) {
  v1::MetadataRecord record;
  record.mutable_producer_ids()->set_next_producer_id(1'000);
  ASSERT_FALSE(Commit({record}));
  EXPECT_EQ(cache_.Snapshot()->settings->next_producer_id, 1'000);
  EXPECT_TRUE(Commit({record}).has_value());
}

TEST(RecordTextTest, TellsNoSecretAndEveryKind) {
  v1::MetadataRecord record;
  record.mutable_user_scram_credential()->set_user("alice");
  record.mutable_user_scram_credential()->set_mechanism(v1::SCRAM_MECHANISM_SHA_512);
  record.mutable_user_scram_credential()->set_salt("SECRET");
  record.mutable_user_scram_credential()->set_stored_key("SECRET");
  record.mutable_user_scram_credential()->set_server_key("SECRET");
  const std::string text = RecordText(record);
  EXPECT_EQ(text, "user-scram-credential user=\"alice\" mechanism=SHA_512 iterations=0");
  HideSecrets(record);
  EXPECT_EQ(record.ShortDebugString().find("SECRET"), std::string::npos);
  const auto* oneof = v1::MetadataRecord::descriptor()->FindOneofByName("record");
  for (int i = 0; i < oneof->field_count(); ++i) {
    v1::MetadataRecord any;
    any.GetReflection()->MutableMessage(&any, oneof->field(i));
    EXPECT_NE(RecordKind(any), "unknown") << oneof->field(i)->name();
  }
}

}  // namespace
}  // namespace kvorum::client
