#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metadata/acls/acl_filter.h"
#include "tests/support/requests.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

v1::AclBinding Binding(const std::string& name = "orders") {
  v1::AclBinding binding;
  binding.set_resource_type(v1::ACL_RESOURCE_TYPE_TOPIC);
  binding.set_resource_name(name);
  binding.set_pattern_type(v1::ACL_PATTERN_TYPE_LITERAL);
  binding.set_principal("User:alice");
  binding.set_host("*");
  binding.set_operation(v1::ACL_OPERATION_READ);
  binding.set_permission(v1::ACL_PERMISSION_ALLOW);
  return binding;
}

v1::CreateAclsRequest Create(const std::vector<v1::AclBinding>& bindings) {
  v1::CreateAclsRequest request;
  request.mutable_acls()->Assign(bindings.begin(), bindings.end());
  return request;
}

v1::DeleteAclsRequest Delete(const std::vector<v1::AclFilter>& filters) {
  v1::DeleteAclsRequest request;
  request.mutable_filters()->Assign(filters.begin(), filters.end());
  return request;
}

class AclsTest : public testing::Test {
 protected:
  v1::ItemStatus Run(const v1::AclBinding& binding) {
    return world_.Run(Create({binding}))->results(0).status();
  }
  World world_;
};

TEST_F(AclsTest, CreatesWithRandomIdsAndDescribesThem) {
  const auto created = world_.Run(Create({Binding("a"), Binding("b")}));
  EXPECT_THAT(created->results(0).status(), ItemIsOk());
  EXPECT_NE(created->results(0).id(), created->results(1).id());
  const auto described = world_.Read(v1::DescribeAclsRequest());
  ASSERT_EQ(described->acls_size(), 2);
  EXPECT_LT(described->acls(0).id(), described->acls(1).id());
  EXPECT_TRUE(Uuid::Parse(described->acls(0).id()).has_value());
}

TEST_F(AclsTest, CreatingAnIdenticalBindingChangesNothing) {
  const std::string id = world_.Run(Create({Binding()}))->results(0).id();
  const auto again = world_.Plan(Create({Binding(), Binding()}));
  EXPECT_TRUE(again->records.empty());
  EXPECT_EQ(again->response.results(0).id(), id);
  EXPECT_EQ(again->response.results(1).id(), id);
  const auto twice = world_.Plan(Create({Binding("new"), Binding("new")}));
  EXPECT_EQ(twice->records.size(), 1u);
  EXPECT_EQ(twice->response.results(0).id(), twice->response.results(1).id());
  v1::AclBinding prefixed = Binding();
  prefixed.set_pattern_type(v1::ACL_PATTERN_TYPE_PREFIXED);
  EXPECT_EQ(world_.Plan(Create({prefixed}))->records.size(), 1u) << "another binding";
}

TEST_F(AclsTest, NothingUnknownUnsaidOrAnyIsCreated) {
  std::vector<v1::AclBinding> bad(19, Binding());
  bad[0].set_resource_type(v1::ACL_RESOURCE_TYPE_UNSPECIFIED);
  bad[1].set_resource_type(v1::ACL_RESOURCE_TYPE_ANY);
  bad[2].set_resource_type(static_cast<v1::AclResourceType>(99));
  bad[3].set_pattern_type(v1::ACL_PATTERN_TYPE_UNSPECIFIED);
  bad[4].set_pattern_type(v1::ACL_PATTERN_TYPE_ANY);
  bad[5].set_pattern_type(v1::ACL_PATTERN_TYPE_MATCH);
  bad[6].set_operation(v1::ACL_OPERATION_UNSPECIFIED);
  bad[7].set_operation(v1::ACL_OPERATION_ANY);
  bad[8].set_operation(static_cast<v1::AclOperation>(-1));
  bad[9].set_permission(v1::ACL_PERMISSION_UNSPECIFIED);
  bad[10].set_permission(v1::ACL_PERMISSION_ANY);
  bad[11].set_resource_name("");
  bad[12].set_resource_name(std::string(250, 'n'));
  bad[13].set_principal("alice");
  bad[14].set_principal(":alice");
  bad[15].set_principal("User:");
  bad[16].set_host("");
  bad[17].set_resource_type(v1::ACL_RESOURCE_TYPE_CLUSTER);
  bad[18] = bad[17];
  bad[18].set_resource_name(kAclClusterName);
  bad[18].set_pattern_type(v1::ACL_PATTERN_TYPE_PREFIXED);
  const auto response = world_.Run(Create(bad));
  for (int i = 0; i < response->results_size(); ++i) {
    EXPECT_THAT(response->results(i).status(), ItemHasReason(ErrorReason::kInvalidRequest)) << i;
    EXPECT_EQ(response->results(i).id(), "") << i;
  }
  EXPECT_TRUE(world_.image().acls().by_id.empty());
  bad[18].set_pattern_type(v1::ACL_PATTERN_TYPE_LITERAL);
  EXPECT_THAT(Run(bad[18]), ItemIsOk());
}

TEST_F(AclsTest, AllOrNothingRefusesSoundBindingsToo) {
  v1::AclBinding bad = Binding();
  bad.set_principal("alice");
  v1::CreateAclsRequest request = Create({Binding(), bad});
  EXPECT_EQ(world_.Plan(request)->records.size(), 1u);
  request.set_all_or_nothing(true);
  const auto result = world_.Plan(request);
  EXPECT_TRUE(result->records.empty());
  EXPECT_THAT(result->response.results(0).status(), ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_EQ(result->response.results(0).id(), "");
}

TEST_F(AclsTest, DeletesWhatFiltersMatchOnce) {
  ASSERT_TRUE(world_.Run(Create({Binding("a"), Binding("b"), Binding("c")})).ok());
  v1::AclFilter only_a = AnyAclFilter();
  only_a.set_resource_name("a");
  const auto response = world_.Run(Delete({only_a, AnyAclFilter()}));
  EXPECT_EQ(response->results(0).ids_size(), 1);
  EXPECT_EQ(response->results(1).ids_size(), 2) << "not again what went already";
  EXPECT_TRUE(world_.image().acls().by_id.empty());
  EXPECT_TRUE(world_.image().acls().by_binding.empty());
  EXPECT_EQ(world_.image().StateHash(), 0u);
  EXPECT_TRUE(world_.Plan(Delete({AnyAclFilter()}))->records.empty());
}

TEST_F(AclsTest, AForgottenFieldOfAFilterIsRefused) {
  ASSERT_TRUE(world_.Run(Create({Binding()})).ok());
  EXPECT_THAT(world_.Run(Delete({v1::AclFilter()}))->results(0).status(),
              ItemHasReason(ErrorReason::kInvalidRequest));
  v1::AclFilter filter = AnyAclFilter();
  filter.set_host("");
  EXPECT_THAT(world_.Run(Delete({filter}))->results(0).status(),
              ItemHasReason(ErrorReason::kInvalidRequest));
  EXPECT_EQ(world_.image().acls().by_id.size(), 1u);
  v1::DescribeAclsRequest describe;
  describe.mutable_filter();
  EXPECT_THAT(world_.Read(describe), HasReason(ErrorReason::kInvalidRequest));
}

TEST(AclFilterTest, MatchFindsWhatAppliesToAName) {
  v1::AclBinding prefixed = Binding("ord");
  prefixed.set_pattern_type(v1::ACL_PATTERN_TYPE_PREFIXED);
  v1::AclFilter filter = AnyAclFilter();
  filter.set_resource_name("orders");
  EXPECT_TRUE(Matches(filter, Binding("orders")));
  EXPECT_FALSE(Matches(filter, Binding("*")));
  EXPECT_FALSE(Matches(filter, prefixed));
  filter.set_pattern_type(v1::ACL_PATTERN_TYPE_MATCH);
  EXPECT_TRUE(Matches(filter, Binding("orders")));
  EXPECT_TRUE(Matches(filter, Binding("*")));
  EXPECT_TRUE(Matches(filter, prefixed));
  EXPECT_FALSE(Matches(filter, Binding("ord")));
  filter.set_pattern_type(v1::ACL_PATTERN_TYPE_PREFIXED);
  filter.set_resource_name("ord");
  EXPECT_TRUE(Matches(filter, prefixed));
  EXPECT_FALSE(Matches(filter, Binding("ord")));
}

TEST(AclFilterTest, EveryFieldNarrows) {
  const v1::AclBinding binding = Binding();
  EXPECT_TRUE(Matches(AnyAclFilter(), binding));
  std::vector<v1::AclFilter> others(6, AnyAclFilter());
  others[0].set_resource_type(v1::ACL_RESOURCE_TYPE_GROUP);
  others[1].set_principal("User:bob");
  others[2].set_host("10.0.0.1");
  others[3].set_operation(v1::ACL_OPERATION_WRITE);
  others[4].set_permission(v1::ACL_PERMISSION_DENY);
  others[5].set_pattern_type(v1::ACL_PATTERN_TYPE_PREFIXED);
  for (size_t i = 0; i < others.size(); ++i) {
    EXPECT_FALSE(Matches(others[i], binding)) << i;
  }
}

TEST_F(AclsTest, LimitsOfARequestAndOfTheCluster) {
  EXPECT_THAT(world_.Run(v1::CreateAclsRequest()), HasReason(ErrorReason::kInvalidRequest));
  EXPECT_THAT(world_.Run(Create(std::vector(kMaxAclsPerRequest + 1, Binding()))),
              HasReason(ErrorReason::kPolicyViolation));
  EXPECT_THAT(world_.Run(Delete(std::vector(kMaxAclFiltersPerRequest + 1, AnyAclFilter()))),
              HasReason(ErrorReason::kPolicyViolation));
  world_.limits().max_acls = 1;
  EXPECT_THAT(Run(Binding("a")), ItemIsOk());
  EXPECT_THAT(Run(Binding("b")), ItemHasReason(ErrorReason::kLimitExceeded));
  EXPECT_THAT(Run(Binding("a")), ItemIsOk()) << "is there already";
}

TEST_F(AclsTest, DeletesAtMostTenThousandAtOnce) {
  std::vector<v1::AclBinding> bindings;
  for (size_t i = 0; i <= kMaxAclsDeletedPerRequest; ++i) {
    bindings.push_back(Binding("t" + std::to_string(i)));
    if (bindings.size() == 1'000 || i == kMaxAclsDeletedPerRequest) {
      ASSERT_TRUE(world_.Run(Create(bindings)).ok());
      bindings.clear();
    }
  }
  EXPECT_THAT(world_.Run(Delete({AnyAclFilter()})), HasReason(ErrorReason::kPolicyViolation));
  v1::AclFilter one = AnyAclFilter();
  one.set_resource_name("t7");
  ASSERT_TRUE(world_.Run(Delete({one})).ok());
  const auto all = world_.Run(Delete({AnyAclFilter()}));
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->results(0).ids_size(), 10'000);
}

TEST_F(AclsTest, PagesJoinToTheWholeList) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(Run(Binding("t" + std::to_string(i))), ItemIsOk());
  }
  v1::DescribeAclsRequest request;
  request.mutable_page()->set_page_size(2);
  int count = 0;
  do {
    const auto page = world_.Read(request);
    ASSERT_TRUE(page.ok()) << page.status();
    count += page->acls_size();
    request.mutable_page()->set_page_token(page->page().next_page_token());
  } while (!request.page().page_token().empty());
  EXPECT_EQ(count, 5);
}

TEST(AclsDeltaDeathTest, RefusesRecordsThatCannotApply) {
  World world;
  v1::MetadataRecord removal;
  removal.mutable_remove_access_control_entry()->set_id(std::string(16, 'i'));
  EXPECT_EXIT(world.Apply({removal}), testing::ExitedWithCode(70), "offset 1: no such id");
  v1::MetadataRecord acl;
  acl.mutable_access_control_entry()->set_id(std::string(16, 'i'));
  *acl.mutable_access_control_entry()->mutable_binding() = Binding();
  v1::MetadataRecord same = acl;
  same.mutable_access_control_entry()->set_id(std::string(16, 'j'));
  EXPECT_EXIT(world.Apply({acl, same}), testing::ExitedWithCode(70), "offset 2: binding exists");
}

}  // namespace
}  // namespace kvorum
