// Flat transactions (api.md §3, MetadataService.Commit): all operations in one commit, each on what
// those before it left, or nothing; the first fault is the whole's.
#include <string>

#include "gtest/gtest.h"
#include "server/metadata/features/features_commands.h"
#include "server/metadata/record_codec.h"
#include "tests/support/requests.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

class TransactionsTest : public testing::Test {
 protected:
  TransactionsTest() {
    world_.Apply(BootstrapRecords(kMaxMetadataLevel));
    world_.AddBrokers({1, 2, 3});
  }

  static v1::PutEntryRequest& AddPut(v1::CommitRequest& request, const std::string& key,
                                     const std::string& value = "v") {
    v1::PutEntryRequest& put = *request.add_operations()->mutable_put_entry();
    put.set_key(key);
    put.set_value(value);
    return put;
  }
  static v1::NewTopic& AddCreate(v1::CommitRequest& request, const std::string& name) {
    v1::NewTopic& topic = *request.add_operations()->mutable_create_topics()->add_topics();
    topic.set_name(name);
    return topic;
  }
  static void AddDelete(v1::CommitRequest& request, const std::string& name) {
    request.add_operations()->mutable_delete_topics()->add_topics()->set_name(name);
  }
  static void AddSetConfig(v1::CommitRequest& request, const std::string& topic,
                           const std::string& name, const std::string& value) {
    *request.add_operations()->mutable_alter_configs() = SetTopicConfig(topic, name, value);
  }

  // That it is refused with `reason`, for the part of that index, and that nothing is planned.
  void ExpectRefused(const v1::CommitRequest& request, ErrorReason reason,
                     const std::string& fact = "", const std::string& index = "") {
    const auto planned = world_.Plan(request);
    EXPECT_THAT(planned, HasReason(reason)) << request.ShortDebugString();
    if (!fact.empty()) {
      EXPECT_EQ(GetErrorFacts(planned.status())[fact], index) << planned.status();
    }
  }

  World world_;
};

TEST_F(TransactionsTest, EachOperationFindsWhatThoseBeforeItLeft) {
  v1::CommitRequest request;
  AddCreate(request, "t").set_partition_count(2);
  AddSetConfig(request, "t", "retention.ms", "1000");
  auto& grow = *request.add_operations()->mutable_create_partitions()->add_topics();
  grow.set_name("t");
  grow.set_new_partition_count(5);
  AddPut(request, "t/owner", "alice");
  const auto response = world_.Run(request);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->results_size(), 4);
  EXPECT_THAT(response->results(0).create_topics().results(0).status(), ItemIsOk());
  EXPECT_EQ(response->results(2).create_partitions().results(0).assignments_size(), 3);
  EXPECT_EQ(world_.topic("t").partition_count(), 5);
  EXPECT_EQ(*world_.image().configs().Find({v1::CONFIG_RESOURCE_TYPE_TOPIC, "t", "retention.ms"}),
            "1000");
  EXPECT_EQ(world_.image().entries().Find("t/owner")->version(),
            response->results(3).put_entry().version());
}

TEST_F(TransactionsTest, ATopicMayTakeTheNameOfOneThatIsDeleted) {
  world_.AddTopic("t", {{1, 2}});
  const Uuid before = world_.topic("t").id;
  v1::CommitRequest request;
  AddSetConfig(request, "t", "retention.ms", "1");
  AddDelete(request, "t");
  AddCreate(request, "t").set_partition_count(1);
  ASSERT_TRUE(world_.Run(request).ok());
  EXPECT_NE(world_.topic("t").id, before);
  EXPECT_EQ(world_.image().configs().Find({v1::CONFIG_RESOURCE_TYPE_TOPIC, "t", "retention.ms"}),
            nullptr)
      << "the configs of the old one went with it";
}

TEST_F(TransactionsTest, WhatIsMadeAndDeletedInOneLeavesNothing) {
  const uint64_t before = world_.image().StateHash();
  v1::CommitRequest request;
  AddCreate(request, "t");
  AddSetConfig(request, "t", "retention.ms", "1");
  AddDelete(request, "t");
  AddPut(request, "k");
  request.add_operations()->mutable_delete_entry()->set_key("k");
  ASSERT_TRUE(world_.Run(request).ok());
  EXPECT_EQ(world_.image().StateHash(), before);
}

TEST_F(TransactionsTest, TheFirstRefusalIsThatOfTheWholeWithItsIndex) {
  world_.AddTopic("there", {{1}});
  v1::CommitRequest request;
  AddPut(request, "a");
  AddCreate(request, "there");  // an item of it, that is
  AddPut(request, "");
  ExpectRefused(request, ErrorReason::kTopicAlreadyExists, "operation_index", "1");
  EXPECT_EQ(world_.image().entries().Find("a"), nullptr);

  v1::CommitRequest other;
  AddPut(other, "a");
  AddPut(other, "");
  ExpectRefused(other, ErrorReason::kInvalidKey, "operation_index", "1");
}

TEST_F(TransactionsTest, OneBadItemAmongGoodOnesRefusesAll) {
  v1::CommitRequest request;
  v1::CreateTopicsRequest& create = *request.add_operations()->mutable_create_topics();
  create.add_topics()->set_name("good");
  create.add_topics()->set_name("..");
  const auto planned = world_.Plan(request);
  EXPECT_THAT(planned, HasReason(ErrorReason::kInvalidTopic));
  EXPECT_NE(planned.status().message().find("item 1"), absl::string_view::npos) << planned.status();
}

TEST_F(TransactionsTest, PreconditionsOfAnOperationSeeTheOperationsBefore) {
  v1::CommitRequest request;
  AddPut(request, "k").set_expected_version(0);
  AddPut(request, "k").set_expected_version(0);
  ExpectRefused(request, ErrorReason::kInvalidUpdateVersion, "operation_index", "1");
}

TEST_F(TransactionsTest, EmptyAndNestedListsAreRefused) {
  ExpectRefused(v1::CommitRequest(), ErrorReason::kInvalidRequest);
  v1::CommitRequest blank;
  blank.add_operations();
  ExpectRefused(blank, ErrorReason::kInvalidRequest, "operation_index", "0");
  // A list in a list can't even be written.
  for (int i = 0; i < v1::Operation::descriptor()->field_count(); ++i) {
    EXPECT_NE(v1::Operation::descriptor()->field(i)->message_type(),
              v1::CommitRequest::descriptor());
  }
}

TEST_F(TransactionsTest, WhatIsTheTransactionsIsRefusedInAnOperation) {
  v1::CommitRequest with_cluster;
  AddPut(with_cluster, "k").set_cluster_id("c");
  ExpectRefused(with_cluster, ErrorReason::kInvalidRequest, "operation_index", "0");
  v1::CommitRequest with_options;
  AddPut(with_options, "k").mutable_options();
  ExpectRefused(with_options, ErrorReason::kInvalidRequest, "operation_index", "0");
  v1::CommitRequest with_explanation;
  AddCreate(with_explanation, "t");
  with_explanation.mutable_operations(0)->mutable_create_topics()->set_explain(true);
  ExpectRefused(with_explanation, ErrorReason::kInvalidRequest, "operation_index", "0");
}

TEST_F(TransactionsTest, LimitsAreToldAndKept) {
  v1::CommitRequest many;
  for (int i = 0; i < kMaxOperationsPerTransaction; ++i) {
    AddPut(many, "k" + std::to_string(i));
  }
  EXPECT_TRUE(world_.Plan(many).ok());
  AddPut(many, "one more");
  ExpectRefused(many, ErrorReason::kPolicyViolation);

  v1::CommitRequest walking;
  for (int i = 0; i <= kMaxWalkingOperationsPerTransaction; ++i) {
    walking.add_operations()->mutable_drain_broker()->set_broker_id(1);
  }
  ExpectRefused(walking, ErrorReason::kPolicyViolation);
  walking.mutable_operations()->RemoveLast();
  EXPECT_TRUE(world_.Plan(walking).ok());

  v1::CommitRequest conditions;
  AddPut(conditions, "k");
  for (int i = 0; i <= kMaxPreconditionsPerTransaction; ++i) {
    conditions.add_preconditions()->mutable_topic()->set_name("t");
  }
  ExpectRefused(conditions, ErrorReason::kPolicyViolation);
}

TEST_F(TransactionsTest, WhatDoesNotFitOneCommitIsRefused) {
  // Each is less than a commit holds, both are more.
  v1::CommitRequest records;
  AddCreate(records, "a").set_partition_count(6'000);
  AddCreate(records, "b").set_partition_count(6'000);
  ExpectRefused(records, ErrorReason::kPolicyViolation, "operation_index", "1");

  v1::CommitRequest bytes;
  for (int i = 0; i < 66; ++i) {
    AddPut(bytes, "k" + std::to_string(i), std::string(65'000, 'v'));
  }
  ExpectRefused(bytes, ErrorReason::kPolicyViolation);
}

TEST_F(TransactionsTest, PreconditionsHoldForWhatWasBefore) {
  world_.AddTopic("t", {{1}});
  ASSERT_TRUE(world_
                  .Run([] {
                    v1::PutEntryRequest put;
                    put.set_key("k");
                    return put;
                  }())
                  .ok());
  const int64_t version = world_.image().entries().Find("k")->version();
  const int64_t epoch = world_.broker(1).epoch.value();
  v1::CommitRequest request;
  AddDelete(request, "t");
  const auto with = [&](const auto& fill) {
    v1::CommitRequest filled = request;
    fill(*filled.add_preconditions());
    return filled;
  };
  const auto entry = [](const std::string& key, int64_t at) {
    return [=](v1::Precondition& condition) {
      condition.mutable_entry()->set_key(key);
      condition.mutable_entry()->set_version(at);
    };
  };
  const auto topic = [](const std::string& name, const std::string& id) {
    return [=](v1::Precondition& condition) {
      condition.mutable_topic()->set_name(name);
      condition.mutable_topic()->set_topic_id(id);
    };
  };
  const auto config = [](const std::string& name, std::optional<std::string> value) {
    return [=](v1::Precondition& condition) {
      auto& is = *condition.mutable_config();
      is.mutable_resource()->set_type(v1::CONFIG_RESOURCE_TYPE_TOPIC);
      is.mutable_resource()->set_name("t");
      is.set_name(name);
      if (value.has_value()) {
        is.set_value(*value);
      }
    };
  };
  const auto broker = [](int32_t id, int64_t at) {
    return [=](v1::Precondition& condition) {
      condition.mutable_broker()->set_broker_id(id);
      condition.mutable_broker()->set_broker_epoch(at);
    };
  };
  EXPECT_TRUE(world_.Plan(with(entry("k", version))).ok());
  EXPECT_TRUE(world_.Plan(with(entry("absent", 0))).ok());
  EXPECT_TRUE(world_.Plan(with(topic("t", world_.topic("t").id.ToString()))).ok());
  EXPECT_TRUE(world_.Plan(with(topic("absent", ""))).ok());
  EXPECT_TRUE(world_.Plan(with(config("retention.ms", std::nullopt))).ok());
  EXPECT_TRUE(world_.Plan(with(broker(1, epoch))).ok());
  EXPECT_TRUE(world_.Plan(with(broker(9, -1))).ok());

  constexpr ErrorReason kFailed = ErrorReason::kInvalidUpdateVersion;
  constexpr char kIndex[] = "precondition_index";
  ExpectRefused(with(entry("k", version - 1)), kFailed, kIndex, "0");
  ExpectRefused(with(entry("k", 0)), kFailed, kIndex, "0");
  ExpectRefused(with(entry("absent", 7)), kFailed, kIndex, "0");
  ExpectRefused(with(topic("t", "")), kFailed, kIndex, "0");
  ExpectRefused(with(topic("t", "6f6f3a1c-2f0d-4a53-9a55-0f0a4d1f2b01")), kFailed, kIndex, "0");
  ExpectRefused(with(topic("absent", world_.topic("t").id.ToString())), kFailed, kIndex, "0");
  ExpectRefused(with(config("retention.ms", "1")), kFailed, kIndex, "0");
  ExpectRefused(with(broker(1, epoch + 1)), kFailed, kIndex, "0");
  ExpectRefused(with(broker(1, -1)), kFailed, kIndex, "0");

  constexpr ErrorReason kInvalid = ErrorReason::kInvalidRequest;
  ExpectRefused(with([](v1::Precondition&) {}), kInvalid, kIndex, "0");
  ExpectRefused(with(entry("", 0)), kInvalid, kIndex, "0");
  ExpectRefused(with(entry("k", -1)), kInvalid, kIndex, "0");
  ExpectRefused(with(topic("", "")), kInvalid, kIndex, "0");
  ExpectRefused(with(topic("t", "x")), kInvalid, kIndex, "0");
  ExpectRefused(with(config("no.such.key", std::nullopt)), kInvalid, kIndex, "0");
  ExpectRefused(with(broker(-1, 0)), kInvalid, kIndex, "0");
  ExpectRefused(with(broker(1, -2)), kInvalid, kIndex, "0");
}

TEST_F(TransactionsTest, BrokersMayBeDrainedAndUnregisteredInOne) {
  world_.AddTopic("t", {{1, 2}, {2, 1}});
  v1::CommitRequest request;
  request.add_operations()->mutable_drain_broker()->set_broker_id(1);
  request.add_operations()->mutable_unregister_broker()->set_broker_id(2);
  AddCreate(request, "u").set_replication_factor(1);
  ASSERT_TRUE(world_.Run(request).ok());
  EXPECT_EQ(world_.image().brokers().Find(BrokerId{2}), nullptr);
  EXPECT_EQ(world_.partition("t", 0).leader, BrokerId{1}) << "drained, but the only one left";
  EXPECT_EQ(Ids(world_.partition("u", 0).replicas), std::vector<int32_t>{3}) << "1 is drained";
}

TEST_F(TransactionsTest, ALevelIsInForceFromItsOwnOperationOn) {
  World world;
  v1::CommitRequest request;
  auto& scram = *request.add_operations()->mutable_alter_client_quotas()->add_entities();
  scram.add_entity()->set_type(v1::QUOTA_ENTITY_TYPE_USER);
  scram.add_operations()->set_key("producer_byte_rate");
  scram.mutable_operations(0)->set_value(1);
  EXPECT_THAT(world.Plan(request), HasReason(ErrorReason::kUnsupportedVersion));
  v1::CommitRequest upgraded;
  auto& update = *upgraded.add_operations()->mutable_update_features()->add_updates();
  update.set_name(kMetadataVersionFeature);
  update.set_level(kMaxMetadataLevel);
  update.set_upgrade_type(v1::FEATURE_UPGRADE_TYPE_UPGRADE);
  *upgraded.add_operations() = request.operations(0);
  EXPECT_TRUE(world.Run(upgraded).ok());
}

}  // namespace
}  // namespace kvorum
