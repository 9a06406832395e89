#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

using Parts = std::vector<std::pair<v1::QuotaEntityType, std::optional<std::string>>>;
constexpr auto kUser = v1::QUOTA_ENTITY_TYPE_USER;
constexpr auto kClientId = v1::QUOTA_ENTITY_TYPE_CLIENT_ID;
constexpr auto kIp = v1::QUOTA_ENTITY_TYPE_IP;

v1::AlterClientQuotasRequest::Item& AddItem(v1::AlterClientQuotasRequest& request,
                                            const Parts& parts, const std::string& key,
                                            std::optional<double> value) {
  v1::AlterClientQuotasRequest::Item& item = *request.add_entities();
  for (const auto& [type, name] : parts) {
    v1::QuotaEntity& part = *item.add_entity();
    part.set_type(type);
    if (name.has_value()) {
      part.set_name(*name);
    }
  }
  item.add_operations()->set_key(key);
  if (value.has_value()) {
    item.mutable_operations(0)->set_value(*value);
  }
  return item;
}

v1::AlterClientQuotasRequest Alter(const Parts& parts, const std::string& key,
                                   std::optional<double> value) {
  v1::AlterClientQuotasRequest request;
  AddItem(request, parts, key, value);
  return request;
}

class QuotasTest : public testing::Test {
 protected:
  v1::ItemStatus Run(const Parts& parts, const std::string& key, std::optional<double> value) {
    return world_.Run(Alter(parts, key, value))->results(0).status();
  }
  int Count(const v1::DescribeClientQuotasRequest& request) const {
    const auto response = world_.Read(request);
    return response.ok() ? response->quotas_size() : -1;
  }

  World world_;
};

TEST_F(QuotasTest, SetChangeAndRemove) {
  EXPECT_THAT(Run({{kUser, "alice"}}, "producer_byte_rate", 1000), ItemIsOk());
  EXPECT_THAT(Run({{kUser, "alice"}}, "producer_byte_rate", 2000), ItemIsOk());
  EXPECT_THAT(Run({{kUser, "alice"}}, "request_percentage", 12.5), ItemIsOk());
  const auto described = world_.Read(v1::DescribeClientQuotasRequest());
  ASSERT_EQ(described->quotas_size(), 1);
  EXPECT_EQ(described->quotas(0).values(0).value(), 2000);
  EXPECT_EQ(described->quotas(0).values(1).value(), 12.5);
  EXPECT_THAT(Run({{kUser, "alice"}}, "producer_byte_rate", std::nullopt), ItemIsOk());
  EXPECT_THAT(Run({{kUser, "alice"}}, "request_percentage", std::nullopt), ItemIsOk());
  EXPECT_TRUE(world_.image().quotas().quotas.empty());
  EXPECT_EQ(world_.image().StateHash(), 0u);
}

TEST_F(QuotasTest, EntitiesAreAnyOfUserAndClientIdOrAnIpAlone) {
  for (const Parts& parts :
       {Parts{{kUser, "alice"}}, Parts{{kClientId, "app"}},
        Parts{{kUser, "alice"}, {kClientId, "app"}},
        Parts{{kUser, std::nullopt}, {kClientId, std::nullopt}}, Parts{{kUser, std::nullopt}}}) {
    EXPECT_THAT(Run(parts, "consumer_byte_rate", 1), ItemIsOk());
  }
  EXPECT_THAT(Run({{kIp, "10.0.0.1"}}, "connection_creation_rate", 1), ItemIsOk());
  EXPECT_THAT(Run({{kIp, "fe80::1"}}, "connection_creation_rate", 1), ItemIsOk());
  EXPECT_THAT(Run({{kIp, std::nullopt}}, "connection_creation_rate", 1), ItemIsOk());
  EXPECT_EQ(world_.image().quotas().quotas.size(), 8u);
  for (const Parts& parts :
       {Parts{}, Parts{{kUser, "a"}, {kUser, "b"}}, Parts{{kUser, ""}},
        Parts{{kIp, "10.0.0.1"}, {kUser, "a"}}, Parts{{kUser, "a\nb"}},
        Parts{{kUser, std::string(256, 'u')}}, Parts{{v1::QUOTA_ENTITY_TYPE_UNSPECIFIED, "a"}},
        Parts{{static_cast<v1::QuotaEntityType>(9), "a"}}}) {
    EXPECT_THAT(Run(parts, "consumer_byte_rate", 1), ItemHasReason(ErrorReason::kInvalidRequest));
  }
  EXPECT_THAT(Run({{kIp, "localhost"}}, "connection_creation_rate", 1),
              ItemHasReason(ErrorReason::kInvalidRequest));
}

TEST_F(QuotasTest, PartsInAnyOrderAreTheSameEntity) {
  EXPECT_THAT(Run({{kUser, "a"}, {kClientId, "b"}}, "consumer_byte_rate", 1), ItemIsOk());
  EXPECT_THAT(Run({{kClientId, "b"}, {kUser, "a"}}, "consumer_byte_rate", 2), ItemIsOk());
  EXPECT_EQ(world_.image().quotas().quotas.size(), 1u);
  // Names cannot run into each other.
  EXPECT_NE(QuotaEntityKey(Alter({{kUser, "a2nb"}}, "", 1).entities(0).entity()),
            QuotaEntityKey(Alter({{kUser, "a"}, {kClientId, "b"}}, "", 1).entities(0).entity()));
}

TEST_F(QuotasTest, KeysFitTheEntityAndValuesArePositive) {
  const Parts user = {{kUser, "alice"}};
  for (const std::string key : {"producer_byte_rate", "consumer_byte_rate", "request_percentage",
                                "controller_mutation_rate"}) {
    EXPECT_THAT(Run(user, key, 1), ItemIsOk()) << key;
    EXPECT_THAT(Run({{kIp, std::nullopt}}, key, 1), ItemHasReason(ErrorReason::kInvalidRequest))
        << key;
    for (const double bad : {0.0, -1.0, std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()}) {
      EXPECT_THAT(Run(user, key, bad), ItemHasReason(ErrorReason::kInvalidRequest)) << bad;
    }
  }
  EXPECT_THAT(Run(user, "connection_creation_rate", 1),
              ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(Run(user, "nonsense", 1), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(Run(user, "producer_byte_rate", 1.5), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(Run(user, "producer_byte_rate", 1e300), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(Run(user, "controller_mutation_rate", 1.5), ItemIsOk());
}

TEST_F(QuotasTest, ResultsArePerEntityAndUnchangedValuesEmitNothing) {
  v1::AlterClientQuotasRequest request = Alter({{kUser, "a"}}, "request_percentage", 5);
  AddItem(request, {{kUser, "b"}}, "request_percentage", -5);
  AddItem(request, {{kUser, "c"}}, "request_percentage", 1);
  AddItem(request, {{kUser, "c"}}, "producer_byte_rate", 1);
  AddItem(request, {{kUser, "d"}}, "request_percentage", 5).add_operations()->set_key("nonsense");
  const auto response = world_.Run(request);
  EXPECT_THAT(response->results(0).status(), ItemIsOk());
  for (int i = 1; i < 5; ++i) {
    EXPECT_THAT(response->results(i).status(), ItemHasReason(ErrorReason::kInvalidRequest)) << i;
  }
  EXPECT_EQ(world_.image().quotas().quotas.size(), 1u);
  EXPECT_TRUE(world_.Plan(Alter({{kUser, "a"}}, "request_percentage", 5))->records.empty());
  EXPECT_TRUE(
      world_.Plan(Alter({{kUser, "z"}}, "request_percentage", std::nullopt))->records.empty());
  request.set_all_or_nothing(true);
  EXPECT_TRUE(world_.Plan(request)->records.empty());
}

TEST_F(QuotasTest, LimitsEntitiesOfARequestAndOfTheCluster) {
  EXPECT_THAT(world_.Run(v1::AlterClientQuotasRequest()), HasReason(ErrorReason::kInvalidRequest));
  v1::AlterClientQuotasRequest many;
  for (int i = 0; i <= kMaxQuotaEntitiesPerRequest; ++i) {
    AddItem(many, {{kUser, std::to_string(i)}}, "request_percentage", 1);
  }
  EXPECT_THAT(world_.Run(many), HasReason(ErrorReason::kPolicyViolation));
  world_.limits().max_quota_entities = 1;
  EXPECT_THAT(Run({{kUser, "a"}}, "request_percentage", 1), ItemIsOk());
  EXPECT_THAT(Run({{kUser, "b"}}, "request_percentage", 1),
              ItemHasReason(ErrorReason::kLimitExceeded));
  EXPECT_THAT(Run({{kUser, "a"}}, "producer_byte_rate", 1), ItemIsOk());
}

TEST_F(QuotasTest, DescribeFiltersByPartsStrictlyOrNot) {
  ASSERT_THAT(Run({{kUser, "a"}}, "request_percentage", 1), ItemIsOk());
  ASSERT_THAT(Run({{kUser, "a"}, {kClientId, "app"}}, "request_percentage", 1), ItemIsOk());
  ASSERT_THAT(Run({{kUser, std::nullopt}}, "request_percentage", 1), ItemIsOk());
  ASSERT_THAT(Run({{kIp, "10.0.0.1"}}, "connection_creation_rate", 1), ItemIsOk());
  v1::DescribeClientQuotasRequest request;
  EXPECT_EQ(Count(request), 4);
  v1::QuotaFilter& filter = *request.add_filters();
  filter.set_type(kUser);
  EXPECT_EQ(Count(request), -1) << "says nothing";
  filter.set_name("a");
  EXPECT_EQ(Count(request), 2);
  request.set_strict(true);
  EXPECT_EQ(Count(request), 1);
  filter.set_any(true);
  EXPECT_EQ(Count(request), 2);
  filter.set_is_default(true);
  EXPECT_EQ(Count(request), 1);
  request.set_strict(false);
  filter.set_any(true);
  EXPECT_EQ(Count(request), 3);
  request.add_filters()->set_type(kUser);
  request.mutable_filters(1)->set_any(true);
  EXPECT_THAT(world_.Read(request), HasReason(ErrorReason::kInvalidRequest)) << "twice";
  request.mutable_filters(1)->set_type(v1::QUOTA_ENTITY_TYPE_UNSPECIFIED);
  EXPECT_THAT(world_.Read(request), HasReason(ErrorReason::kInvalidRequest));
}

TEST_F(QuotasTest, PagesJoinToTheWholeList) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(Run({{kUser, "u" + std::to_string(i)}}, "request_percentage", 1), ItemIsOk());
  }
  v1::DescribeClientQuotasRequest request;
  request.mutable_page()->set_page_size(2);
  int count = 0;
  do {
    const auto page = world_.Read(request);
    ASSERT_TRUE(page.ok()) << page.status();
    count += page->quotas_size();
    request.mutable_page()->set_page_token(page->page().next_page_token());
  } while (!request.page().page_token().empty());
  EXPECT_EQ(count, 5);
}

TEST(QuotasDeltaDeathTest, RefusesRecordsThatCannotApply) {
  World world;
  v1::MetadataRecord removal;
  removal.mutable_remove_client_quota()->add_entity()->set_type(kUser);
  removal.mutable_remove_client_quota()->set_key("request_percentage");
  EXPECT_EXIT(world.Apply({removal}), testing::ExitedWithCode(70), "offset 1: no such entity");
  v1::MetadataRecord quota;
  quota.mutable_client_quota()->add_entity()->set_type(kIp);
  quota.mutable_client_quota()->add_entity()->set_type(kUser);
  EXPECT_EXIT(world.Apply({quota}), testing::ExitedWithCode(70), "offset 1");
}

}  // namespace
}  // namespace kvorum
