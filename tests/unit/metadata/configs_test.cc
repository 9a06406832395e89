#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metadata/configs/config_keys.h"
#include "server/metadata/topics/topic_settings.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

constexpr auto kTopic = v1::CONFIG_RESOURCE_TYPE_TOPIC;
constexpr auto kBroker = v1::CONFIG_RESOURCE_TYPE_BROKER;

class Alter {
 public:
  Alter() = default;
  Alter(v1::ConfigResourceType type, const std::string& name) { Resource(type, name); }

  Alter& Resource(v1::ConfigResourceType type, const std::string& name) {
    item_ = request_.add_resources();
    item_->mutable_resource()->set_type(type);
    item_->mutable_resource()->set_name(name);
    return *this;
  }
  Alter& Do(v1::ConfigOperation operation, const std::string& name, const std::string& value = "") {
    auto& added = *item_->add_operations();
    added.set_name(name);
    added.set_operation(operation);
    added.set_value(value);
    return *this;
  }
  Alter& Set(const std::string& name, const std::string& value) {
    return Do(v1::CONFIG_OPERATION_SET, name, value);
  }
  Alter& AllOrNothing() {
    request_.set_all_or_nothing(true);
    return *this;
  }
  operator const v1::AlterConfigsRequest&() const { return request_; }  // NOLINT
  const v1::AlterConfigsRequest& request() const { return request_; }

 private:
  v1::AlterConfigsRequest request_;
  v1::AlterConfigsRequest::Item* item_ = nullptr;
};

class ConfigsTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.AddBrokers({1, 2});
    world_.AddTopic("t", {{1}});
  }
  v1::ItemStatus Run(const Alter& alter) {
    return world_.Run(alter.request())->results(0).status();
  }
  // The records that `alter` would make.
  std::vector<v1::MetadataRecord> Plan(const Alter& alter) {
    return world_.Plan(alter.request())->records;
  }
  const std::string* Find(v1::ConfigResourceType type, const std::string& resource,
                          const std::string& name) const {
    return world_.image().configs().Find({type, resource, name});
  }
  v1::ConfigEntry Describe(v1::ConfigResourceType type, const std::string& resource,
                           const std::string& name, int32_t broker = -1) const {
    v1::DescribeConfigsRequest request;
    request.add_resources()->mutable_resource()->set_type(type);
    request.mutable_resources(0)->mutable_resource()->set_name(resource);
    request.mutable_resources(0)->add_names(name);
    request.set_include_synonyms(true);
    if (broker >= 0) {
      request.set_broker_id(broker);
    }
    return world_.Read(request)->results(0).configs(0);
  }

  World world_;
};

TEST_F(ConfigsTest, SetDeleteAppendAndSubtract) {
  EXPECT_THAT(Run(Alter(kTopic, "t").Set("retention.ms", "1000").Set("cleanup.policy", "delete")),
              ItemIsOk());
  EXPECT_EQ(*Find(kTopic, "t", "retention.ms"), "1000");
  EXPECT_THAT(Run(Alter(kTopic, "t").Do(v1::CONFIG_OPERATION_APPEND, "cleanup.policy", "compact")),
              ItemIsOk());
  EXPECT_EQ(*Find(kTopic, "t", "cleanup.policy"), "delete,compact");
  EXPECT_THAT(Run(Alter(kTopic, "t").Do(v1::CONFIG_OPERATION_SUBTRACT, "cleanup.policy", "delete")),
              ItemIsOk());
  EXPECT_EQ(*Find(kTopic, "t", "cleanup.policy"), "compact");
  EXPECT_THAT(Run(Alter(kTopic, "t").Do(v1::CONFIG_OPERATION_DELETE, "retention.ms")), ItemIsOk());
  EXPECT_EQ(Find(kTopic, "t", "retention.ms"), nullptr);
}

TEST_F(ConfigsTest, AppendBeginsAtTheDefaultWhereNothingIsSet) {
  EXPECT_THAT(Run(Alter(kTopic, "t").Do(v1::CONFIG_OPERATION_APPEND, "cleanup.policy", "compact")),
              ItemIsOk());
  EXPECT_EQ(*Find(kTopic, "t", "cleanup.policy"), "delete,compact");
}

TEST_F(ConfigsTest, AppendAndSubtractAreForListsOnly) {
  for (const auto operation : {v1::CONFIG_OPERATION_APPEND, v1::CONFIG_OPERATION_SUBTRACT}) {
    EXPECT_THAT(Run(Alter(kTopic, "t").Do(operation, "retention.ms", "5")),
                ItemHasReason(ErrorReason::kInvalidConfig));
  }
}

TEST_F(ConfigsTest, UnknownKeyIsInvalidConfig) {
  for (const std::string key : {"no.such.key", "", "log.retention.ms"}) {
    EXPECT_THAT(Run(Alter(kTopic, "t").Set(key, "1")), ItemHasReason(ErrorReason::kInvalidConfig))
        << key;
  }
  EXPECT_THAT(Run(Alter(kBroker, "1").Set("retention.ms", "1")),
              ItemHasReason(ErrorReason::kInvalidConfig));
}

TEST_F(ConfigsTest, ValuesOfTheWrongTypeOrRangeAreInvalidConfig) {
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"retention.ms", "soon"},
      {"retention.ms", ""},
      {"retention.ms", "-2"},
      {"retention.ms", "1.5"},
      {"retention.ms", "9223372036854775808"},
      {"segment.bytes", "13"},
      {"segment.bytes", "2147483648"},
      {"preallocate", "yes"},
      {"min.cleanable.dirty.ratio", "1.1"},
      {"min.cleanable.dirty.ratio", "nan"},
      {"compression.type", "rar"},
      {"cleanup.policy", "delete,burn"},
      {"cleanup.policy", "delete,"},
      {"leader.replication.throttled.replicas", "a\nb"},
  };
  for (const auto& [name, value] : bad) {
    EXPECT_THAT(Run(Alter(kTopic, "t").Set(name, value)),
                ItemHasReason(ErrorReason::kInvalidConfig))
        << name << "=" << value;
  }
  EXPECT_TRUE(world_.image().configs().configs.empty());
}

TEST_F(ConfigsTest, ValuesOver32767BytesAreInvalidConfig) {
  const std::string key = "leader.replication.throttled.replicas";
  EXPECT_THAT(Run(Alter(kTopic, "t").Set(key, std::string(32'767, 'v'))), ItemIsOk());
  EXPECT_THAT(Run(Alter(kTopic, "t").Set(key, std::string(32'768, 'v'))),
              ItemHasReason(ErrorReason::kInvalidConfig));
  // Also where two halves are joined.
  EXPECT_THAT(Run(Alter(kTopic, "t").Do(v1::CONFIG_OPERATION_APPEND, key, "w")),
              ItemHasReason(ErrorReason::kInvalidConfig));
}

TEST_F(ConfigsTest, UnknownTopicsAndBrokersAreRefused) {
  EXPECT_THAT(Run(Alter(kTopic, "missing").Set("retention.ms", "1")),
              ItemHasReason(ErrorReason::kUnknownTopicOrPartition));
  EXPECT_THAT(Run(Alter(kBroker, "9").Set("log.retention.ms", "1")),
              ItemHasReason(ErrorReason::kBrokerIdNotRegistered));
  for (const std::string name : {"one", "-1", "01", "1 ", "2147483648"}) {
    EXPECT_THAT(Run(Alter(kBroker, name).Set("log.retention.ms", "1")),
                ItemHasReason(ErrorReason::kInvalidRequest))
        << name;
  }
  EXPECT_THAT(Run(Alter(kBroker, "").Set("log.retention.ms", "1")), ItemIsOk());
}

TEST_F(ConfigsTest, ClientMetricsAndGroupsNeedANameOnly) {
  EXPECT_THAT(Run(Alter(v1::CONFIG_RESOURCE_TYPE_CLIENT_METRICS, "m").Set("interval.ms", "100")),
              ItemIsOk());
  EXPECT_THAT(Run(Alter(v1::CONFIG_RESOURCE_TYPE_CLIENT_METRICS, "m").Set("interval.ms", "99")),
              ItemHasReason(ErrorReason::kInvalidConfig));
  EXPECT_THAT(
      Run(Alter(v1::CONFIG_RESOURCE_TYPE_GROUP, "g").Set("consumer.session.timeout.ms", "1")),
      ItemIsOk());
  for (const std::string& name : {std::string(), std::string(250, 'n'), std::string("a\nb")}) {
    EXPECT_THAT(
        Run(Alter(v1::CONFIG_RESOURCE_TYPE_GROUP, name).Set("consumer.session.timeout.ms", "1")),
        ItemHasReason(ErrorReason::kInvalidRequest));
  }
  EXPECT_THAT(Run(Alter(v1::CONFIG_RESOURCE_TYPE_UNSPECIFIED, "t").Set("retention.ms", "1")),
              ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(Run(Alter(static_cast<v1::ConfigResourceType>(77), "t").Set("retention.ms", "1")),
              ItemHasReason(ErrorReason::kInvalidRequest));
}

TEST_F(ConfigsTest, AResourceIsChangedAsAWholeOrNotAtAll) {
  EXPECT_THAT(Run(Alter(kTopic, "t").Set("retention.ms", "1000").Set("segment.ms", "zero")),
              ItemHasReason(ErrorReason::kInvalidConfig));
  EXPECT_EQ(Find(kTopic, "t", "retention.ms"), nullptr);

  Alter two(kTopic, "t");
  two.Set("retention.ms", "bad").Resource(kBroker, "1").Set("log.retention.ms", "5");
  const auto response = world_.Run(two.request());
  EXPECT_THAT(response->results(0).status(), ItemHasReason(ErrorReason::kInvalidConfig));
  EXPECT_THAT(response->results(1).status(), ItemIsOk());
  EXPECT_EQ(*Find(kBroker, "1", "log.retention.ms"), "5");
}

TEST_F(ConfigsTest, AllOrNothingRefusesSoundResourcesToo) {
  Alter two(kTopic, "t");
  two.Set("retention.ms", "bad").Resource(kBroker, "1").Set("log.retention.ms", "5").AllOrNothing();
  const auto response = world_.Run(two.request());
  EXPECT_THAT(response->results(1).status(), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_EQ(Find(kBroker, "1", "log.retention.ms"), nullptr);
}

TEST_F(ConfigsTest, UnchangedValuesEmitNothing) {
  const Alter alter = Alter(kTopic, "t").Set("retention.ms", "1000");
  EXPECT_EQ(Plan(alter).size(), 1u);
  ASSERT_THAT(Run(alter), ItemIsOk());
  EXPECT_TRUE(Plan(alter).empty());
  EXPECT_TRUE(Plan(Alter(kTopic, "t").Do(v1::CONFIG_OPERATION_DELETE, "segment.ms")).empty());
  // Not a broker's either, whose passwords Kafka has it load anew: none are kept here.
  const Alter broker = Alter(kBroker, "1").Set("log.retention.ms", "1000");
  ASSERT_THAT(Run(broker), ItemIsOk());
  EXPECT_TRUE(Plan(broker).empty());
}

TEST_F(ConfigsTest, NamesAreGivenOnceAndOperationsAreKnown) {
  EXPECT_THAT(Run(Alter(kTopic, "t").Set("retention.ms", "1").Set("retention.ms", "2")),
              ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(Run(Alter(kTopic, "t")), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(Run(Alter(kTopic, "t").Do(v1::CONFIG_OPERATION_UNSPECIFIED, "retention.ms", "1")),
              ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(Run(Alter(kTopic, "t").Do(v1::CONFIG_OPERATION_DELETE, "retention.ms", "1")),
              ItemHasReason(ErrorReason::kInvalidRequest));
  Alter twice(kTopic, "t");
  twice.Set("retention.ms", "1").Resource(kTopic, "t").Set("segment.ms", "1");
  const auto response = world_.Run(twice.request());
  EXPECT_THAT(response->results(0).status(), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(response->results(1).status(), ItemHasReason(ErrorReason::kInvalidRequest));
}

TEST_F(ConfigsTest, LimitsResourcesOperationsAndConfigs) {
  EXPECT_THAT(world_.Run(v1::AlterConfigsRequest()), HasReason(ErrorReason::kInvalidRequest));
  Alter many;
  for (int i = 0; i <= kMaxConfigResourcesPerRequest; ++i) {
    many.Resource(v1::CONFIG_RESOURCE_TYPE_GROUP, std::to_string(i));
  }
  EXPECT_THAT(world_.Run(many.request()), HasReason(ErrorReason::kPolicyViolation));
  Alter operations(kTopic, "t");
  for (int i = 0; i <= kMaxConfigOperationsPerRequest; ++i) {
    operations.Set("retention.ms", "1");
  }
  EXPECT_THAT(world_.Run(operations.request()), HasReason(ErrorReason::kPolicyViolation));

  world_.limits().max_configs = 2;
  EXPECT_THAT(Run(Alter(kTopic, "t").Set("retention.ms", "1").Set("segment.ms", "1")), ItemIsOk());
  EXPECT_THAT(Run(Alter(kBroker, "").Set("log.retention.ms", "1")),
              ItemHasReason(ErrorReason::kLimitExceeded));
  // A change, and a swap, are no growth.
  EXPECT_THAT(Run(Alter(kTopic, "t").Set("retention.ms", "2")), ItemIsOk());
  EXPECT_THAT(
      Run(Alter(kTopic, "t").Do(v1::CONFIG_OPERATION_DELETE, "retention.ms").Set("flush.ms", "1")),
      ItemIsOk());
}

TEST_F(ConfigsTest, PrecedenceIsTopicThenBrokerThenClusterThenStaticDefault) {
  const auto retention = [&] { return Describe(kTopic, "t", "retention.ms", 1); };
  EXPECT_EQ(retention().value(), "604800000");
  EXPECT_EQ(retention().source(), v1::CONFIG_SOURCE_STATIC_DEFAULT);
  ASSERT_THAT(Run(Alter(kBroker, "").Set("log.retention.ms", "3")), ItemIsOk());
  EXPECT_EQ(retention().value(), "3");
  EXPECT_EQ(retention().source(), v1::CONFIG_SOURCE_CLUSTER_DEFAULT);
  ASSERT_THAT(Run(Alter(kBroker, "1").Set("log.retention.ms", "2")), ItemIsOk());
  EXPECT_EQ(retention().value(), "2");
  EXPECT_EQ(retention().source(), v1::CONFIG_SOURCE_BROKER);
  EXPECT_EQ(Describe(kTopic, "t", "retention.ms", 2).value(), "3") << "on the other broker";
  EXPECT_EQ(Describe(kTopic, "t", "retention.ms").value(), "3") << "on none";
  ASSERT_THAT(Run(Alter(kTopic, "t").Set("retention.ms", "1")), ItemIsOk());
  const v1::ConfigEntry entry = retention();
  EXPECT_EQ(entry.value(), "1");
  EXPECT_EQ(entry.source(), v1::CONFIG_SOURCE_TOPIC);
  std::vector<std::string> synonyms;
  for (const v1::ConfigSynonym& synonym : entry.synonyms()) {
    synonyms.push_back(synonym.name() + "=" + synonym.value());
  }
  EXPECT_THAT(synonyms, testing::ElementsAre("retention.ms=1", "log.retention.ms=2",
                                             "log.retention.ms=3", "retention.ms=604800000"));
  EXPECT_EQ(Describe(kBroker, "1", "log.retention.ms").value(), "2");
  EXPECT_EQ(Describe(kBroker, "2", "log.retention.ms").value(), "3");
  EXPECT_EQ(Describe(kBroker, "", "log.retention.ms").value(), "3");
}

TEST_F(ConfigsTest, DescribeAnswersPerResource) {
  v1::DescribeConfigsRequest request;
  request.add_resources()->mutable_resource()->set_type(kTopic);
  request.mutable_resources(0)->mutable_resource()->set_name("missing");
  request.add_resources()->mutable_resource()->set_type(kTopic);
  request.mutable_resources(1)->mutable_resource()->set_name("t");
  request.add_resources()->mutable_resource()->set_type(kTopic);
  request.mutable_resources(2)->mutable_resource()->set_name("t");
  request.mutable_resources(2)->add_names("nonsense");
  const auto response = world_.Read(request);
  EXPECT_THAT(response->results(0).status(), ItemHasReason(ErrorReason::kUnknownTopicOrPartition));
  EXPECT_THAT(response->results(1).status(), ItemIsOk());
  EXPECT_EQ(response->results(1).configs_size(), static_cast<int>(ConfigKeysOf(kTopic).size()));
  EXPECT_THAT(response->results(2).status(), ItemHasReason(ErrorReason::kInvalidConfig));
  request.mutable_page()->set_page_size(1);
  std::vector<std::string> names;
  for (int pages = 0; pages < 3; ++pages) {
    const auto page = world_.Read(request);
    ASSERT_EQ(page->results_size(), 1);
    names.push_back(page->results(0).resource().name());
    request.mutable_page()->set_page_token(page->page().next_page_token());
  }
  EXPECT_THAT(names, testing::ElementsAre("missing", "t", "t"));
  EXPECT_EQ(request.page().page_token(), "");
}

TEST_F(ConfigsTest, ATopicsConfigsGoWithIt) {
  world_.AddTopic("tt", {{1}});
  ASSERT_THAT(Run(Alter(kTopic, "t").Set("retention.ms", "1").Set("segment.ms", "1")), ItemIsOk());
  ASSERT_THAT(Run(Alter(kTopic, "tt").Set("retention.ms", "2")), ItemIsOk());
  ASSERT_THAT(
      Run(Alter(v1::CONFIG_RESOURCE_TYPE_GROUP, "t").Set("consumer.session.timeout.ms", "3")),
      ItemIsOk());
  v1::DeleteTopicsRequest remove;
  remove.add_topics()->set_name("t");
  ASSERT_TRUE(world_.Run(remove).ok());
  EXPECT_EQ(world_.image().configs().configs.size(), 2u);
  EXPECT_EQ(*Find(kTopic, "tt", "retention.ms"), "2");
  // A topic of this name begins anew.
  world_.AddTopic("t", {{1}});
  EXPECT_EQ(Find(kTopic, "t", "retention.ms"), nullptr);
}

TEST_F(ConfigsTest, UncleanElectionIsTheTopicsWordElseTheClusters) {
  const std::string key = "unclean.leader.election.enable";
  const auto is_enabled = [&] {
    return IsUncleanElectionEnabled(world_.image(), world_.topic("t"));
  };
  EXPECT_FALSE(is_enabled());
  ASSERT_THAT(Run(Alter(kBroker, "").Set(key, "true")), ItemIsOk());
  EXPECT_TRUE(is_enabled());
  ASSERT_THAT(Run(Alter(kTopic, "t").Set(key, "false")), ItemIsOk());
  EXPECT_FALSE(is_enabled());
  ASSERT_THAT(Run(Alter(kTopic, "t").Set(key, "true")), ItemIsOk());
  EXPECT_TRUE(is_enabled());
}

// What the config is for: the last in-sync replica goes, and one that lacks records may lead.
TEST_F(ConfigsTest, UncleanElectionLetsAReplicaThatLacksRecordsLead) {
  for (const std::string name : {"safe", "lossy"}) {
    world_.AddTopic(name, {{1, 2}});
  }
  ASSERT_THAT(Run(Alter(kTopic, "lossy").Set("unclean.leader.election.enable", "true")),
              ItemIsOk());
  world_.Fence(2);
  world_.Fence(1);  // in sync to the end: broker 2 lacks what was written meanwhile
  world_.Unfence(2);
  EXPECT_EQ(world_.partition("safe", 0).leader, kNoLeader);
  EXPECT_EQ(world_.partition("lossy", 0).leader, BrokerId{2});
  EXPECT_EQ(world_.partition("lossy", 0).leader_recovery_state,
            v1::LEADER_RECOVERY_STATE_RECOVERING);
}

TEST_F(ConfigsTest, TopicsAreCreatedWithConfigs) {
  v1::CreateTopicsRequest request;
  v1::NewTopic& topic = *request.add_topics();
  topic.set_name("made");
  topic.add_configs()->set_name("retention.ms");
  topic.mutable_configs(0)->set_value("7");
  request.add_topics()->set_name("bad");
  request.mutable_topics(1)->add_configs()->set_name("nonsense");
  request.add_topics()->set_name("worse");
  request.mutable_topics(2)->add_configs()->set_name("retention.ms");
  request.mutable_topics(2)->mutable_configs(0)->set_value("x");
  request.add_topics()->set_name("twice");
  for (int i = 0; i < 2; ++i) {
    request.mutable_topics(3)->add_configs()->set_name("retention.ms");
    request.mutable_topics(3)->mutable_configs(i)->set_value("7");
  }
  const auto response = world_.Run(request);
  EXPECT_THAT(response->results(0).status(), ItemIsOk());
  EXPECT_THAT(response->results(1).status(), ItemHasReason(ErrorReason::kInvalidConfig));
  EXPECT_THAT(response->results(2).status(), ItemHasReason(ErrorReason::kInvalidConfig));
  EXPECT_THAT(response->results(3).status(), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_EQ(*Find(kTopic, "made", "retention.ms"), "7");
  EXPECT_EQ(world_.image().topics().Find("bad"), nullptr);
  world_.limits().max_configs = 1;
  request.mutable_topics(0)->set_name("full");
  EXPECT_THAT(world_.Run(request)->results(0).status(), ItemHasReason(ErrorReason::kLimitExceeded));
}

TEST(ConfigKeysTest, TablesAreSortedAndTheirDefaultsAreValid) {
  for (const auto type :
       {kTopic, kBroker, v1::CONFIG_RESOURCE_TYPE_CLIENT_METRICS, v1::CONFIG_RESOURCE_TYPE_GROUP}) {
    const auto keys = ConfigKeysOf(type);
    EXPECT_FALSE(keys.empty());
    EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end(),
                               [](const auto& a, const auto& b) { return a.name < b.name; }));
    for (const ConfigKeyInfo& key : keys) {
      EXPECT_EQ(FindConfigKey(type, key.name), &key);
      EXPECT_TRUE(ValidateConfigValue(key, key.default_value).ok()) << key.name;
      EXPECT_FALSE(key.documentation.empty()) << key.name;
    }
  }
}

TEST(ConfigKeysTest, TopicsFallBackToBrokerKeysOfTheSameType) {
  int count = 0;
  for (const ConfigKeyInfo& key : ConfigKeysOf(kTopic)) {
    if (key.broker_key.empty()) {
      continue;
    }
    const ConfigKeyInfo* broker_key = FindConfigKey(kBroker, key.broker_key);
    ASSERT_NE(broker_key, nullptr) << key.broker_key;
    EXPECT_EQ(broker_key->type, key.type) << key.name;
    EXPECT_EQ(broker_key->default_value, key.default_value) << key.name;
    EXPECT_EQ(broker_key->min, key.min) << key.name;
    EXPECT_EQ(broker_key->max, key.max) << key.name;
    EXPECT_EQ(broker_key->allowed, key.allowed) << key.name;
    ++count;
  }
  EXPECT_GT(count, 20);
}

TEST(ConfigsDeltaDeathTest, RefusesRecordsThatCannotApply) {
  World world;
  v1::MetadataRecord config;
  config.mutable_config()->set_resource_type(kTopic);
  config.mutable_config()->set_resource_name("t");
  config.mutable_config()->set_name("retention.ms");
  EXPECT_EXIT(world.Apply({config}), testing::ExitedWithCode(70), "offset 1: no such topic");
  v1::MetadataRecord removal;
  removal.mutable_remove_config()->set_resource_type(kBroker);
  removal.mutable_remove_config()->set_name("log.retention.ms");
  EXPECT_EXIT(world.Apply({removal}), testing::ExitedWithCode(70), "offset 1: no such config");
}

}  // namespace
}  // namespace kvorum
