// Namespaces of entries, their limits, and entries that live with a broker's session.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metadata/record_codec.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

v1::PutEntryRequest Put(const std::string& name_space, const std::string& key,
                        const std::string& value = "") {
  v1::PutEntryRequest request;
  request.set_namespace_(name_space);
  request.set_key(key);
  request.set_value(value);
  return request;
}

v1::DeleteEntryRequest Delete(const std::string& name_space, const std::string& key) {
  v1::DeleteEntryRequest request;
  request.set_namespace_(name_space);
  request.set_key(key);
  return request;
}

v1::PutEntryRequest PutOwned(const World& world, int32_t broker, const std::string& key) {
  v1::PutEntryRequest request = Put("", key);
  request.mutable_owner()->set_broker_id(broker);
  if (const Broker* found = world.image().brokers().Find(BrokerId{broker})) {
    request.mutable_owner()->set_broker_epoch(found->epoch.value());
  }
  return request;
}

TEST(EntryNamespacesTest, KeysAreUniqueWithinTheirNamespace) {
  World world;
  ASSERT_TRUE(world.Run(Put("", "k", "default")).ok());
  ASSERT_TRUE(world.Run(Put("a", "k", "of a")).ok());
  v1::PutEntryRequest fresh = Put("b", "k", "of b");
  fresh.set_expected_version(0);
  ASSERT_TRUE(world.Run(fresh).ok());
  v1::GetEntryRequest get;
  get.set_key("k");
  EXPECT_EQ(world.Read(get)->entry().value(), "default");
  get.set_namespace_("a");
  EXPECT_EQ(world.Read(get)->entry().value(), "of a");
  EXPECT_EQ(world.Read(get)->entry().namespace_(), "a");
  ASSERT_TRUE(world.Run(Delete("a", "k")).ok());
  EXPECT_THAT(world.Read(get), HasReason(ErrorReason::kUnknownKey));
  get.set_namespace_("b");
  EXPECT_TRUE(world.Read(get).ok());
}

TEST(EntryNamespacesTest, ListStaysWithinTheNamespaceAcrossPages) {
  World world;
  for (const std::string name_space : {"", "a", "b"}) {
    for (const std::string key : {"1", "2", "3"}) {
      ASSERT_TRUE(world.Run(Put(name_space, key)).ok());
    }
  }
  v1::ListEntriesRequest request;
  request.set_namespace_("a");
  request.mutable_page()->set_page_size(2);
  const auto first = world.Read(request);
  EXPECT_EQ(first->entries_size(), 2);
  request.mutable_page()->set_page_token(first->page().next_page_token());
  const auto second = world.Read(request);
  ASSERT_EQ(second->entries_size(), 1);
  EXPECT_EQ(second->entries(0).namespace_(), "a");
  EXPECT_EQ(second->page().next_page_token(), "");
  request.set_namespace_("b");
  EXPECT_THAT(world.Read(request), HasReason(ErrorReason::kInvalidRequest)) << "another list's";
}

TEST(EntryNamespacesTest, RefusesBadNames) {
  World world;
  for (const std::string& name : {std::string("a/b"), std::string("a b"), std::string(65, 'n'),
                                  std::string("\xc3\xa9"), std::string("a\0", 2)}) {
    EXPECT_THAT(world.Run(Put(name, "k")), HasReason(ErrorReason::kInvalidKey)) << name;
    EXPECT_THAT(world.Run(Delete(name, "k")), HasReason(ErrorReason::kInvalidKey)) << name;
    v1::ListEntriesRequest list;
    list.set_namespace_(name);
    EXPECT_THAT(world.Read(list), HasReason(ErrorReason::kInvalidKey)) << name;
  }
  EXPECT_TRUE(world.Run(Put(std::string(64, 'n'), "k")).ok());
}

TEST(EntryNamespacesTest, UsageFollowsWrites) {
  World world;
  ASSERT_TRUE(world.Run(Put("a", "k1", "12345")).ok());
  ASSERT_TRUE(world.Run(Put("a", "k1", "1")).ok());
  ASSERT_TRUE(world.Run(Put("a", "k2", "12")).ok());
  ASSERT_TRUE(world.Run(Put("", "x")).ok());
  v1::ListEntryNamespacesRequest request;
  request.mutable_page()->set_page_size(1);
  const auto first = world.Read(request);
  ASSERT_EQ(first->namespaces_size(), 1);
  EXPECT_EQ(first->namespaces(0).name(), "");
  EXPECT_EQ(first->namespaces(0).entry_count(), 1);
  request.mutable_page()->set_page_token(first->page().next_page_token());
  const auto second = world.Read(request);
  ASSERT_EQ(second->namespaces_size(), 1);
  EXPECT_EQ(second->namespaces(0).name(), "a");
  EXPECT_EQ(second->namespaces(0).entry_count(), 2);
  EXPECT_EQ(second->namespaces(0).size_bytes(), 2 + 1 + 2 + 2);
  EXPECT_EQ(second->page().next_page_token(), "");
  for (const auto& [name_space, key] :
       std::vector<std::pair<std::string, std::string>>{{"a", "k1"}, {"a", "k2"}, {"", "x"}}) {
    ASSERT_TRUE(world.Run(Delete(name_space, key)).ok());
  }
  EXPECT_TRUE(world.image().entries().usage.empty());
  EXPECT_EQ(world.image().entries().total.count, 0);
  EXPECT_EQ(world.image().entries().total.bytes, 0);
}

TEST(EntryNamespacesTest, LimitsCountsAndBytesOfANamespaceAndOfAll) {
  World world;
  const auto is_over = HasReason(ErrorReason::kLimitExceeded);
  ASSERT_TRUE(world.Run(Put("a", "k", "12345")).ok());
  world.limits().max_entry_namespaces = 1;
  EXPECT_THAT(world.Run(Put("b", "k")), is_over);
  world.limits().max_entry_namespaces = 9;
  world.limits().max_entries_per_namespace = 1;
  EXPECT_THAT(world.Run(Put("a", "l")), is_over);
  EXPECT_TRUE(world.Run(Put("a", "k", "54321")).ok()) << "no growth";
  world.limits().max_entries_per_namespace = 9;
  world.limits().max_entry_bytes_per_namespace = 6;
  EXPECT_THAT(world.Run(Put("a", "k", "123456")), is_over);
  EXPECT_TRUE(world.Run(Put("b", "k", "12345")).ok());
  world.limits().max_entries = 2;
  EXPECT_THAT(world.Run(Put("c", "k")), is_over);
  world.limits().max_entries = 9;
  world.limits().max_entry_bytes = 12;
  EXPECT_THAT(world.Run(Put("c", "k")), is_over);
  world.limits().max_entry_bytes = 3;  // lowered below what is there: it may still shrink
  world.limits().max_entry_bytes_per_namespace = 3;
  EXPECT_TRUE(world.Run(Put("a", "k", "1234")).ok());
  EXPECT_TRUE(world.Run(Delete("a", "k")).ok());
}

class OwnedEntriesTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.AddBrokers({1, 2});
    world_.AddTopic("t", {{1, 2}});
    ASSERT_TRUE(world_.Run(PutOwned(world_, 1, "mine")).ok());
    ASSERT_TRUE(world_.Run(PutOwned(world_, 1, "mine too")).ok());
    ASSERT_TRUE(world_.Run(PutOwned(world_, 2, "other")).ok());
    ASSERT_TRUE(world_.Run(Put("", "nobody's")).ok());
  }
  bool Has(const std::string& key) const { return world_.image().entries().Find(key) != nullptr; }
  void ExpectOnlyMineGone() const {
    EXPECT_FALSE(Has("mine"));
    EXPECT_FALSE(Has("mine too"));
    EXPECT_TRUE(Has("other"));
    EXPECT_TRUE(Has("nobody's"));
  }

  World world_;
};

TEST_F(OwnedEntriesTest, GoInTheCommitThatFencesTheOwner) {
  const std::vector<v1::MetadataRecord> records = FenceBroker(world_.image(), BrokerId{1});
  ASSERT_TRUE(CheckFitsOneBatch(records).ok());
  EXPECT_TRUE(records.back().has_broker_registration_change());
  world_.Apply(records);
  ExpectOnlyMineGone();
}

TEST_F(OwnedEntriesTest, GoInTheCommitThatUnregistersTheOwner) {
  v1::UnregisterBrokerRequest request;
  request.set_broker_id(1);
  ASSERT_TRUE(world_.Run(request).ok());
  ExpectOnlyMineGone();
}

TEST_F(OwnedEntriesTest, GoWhenTheOwnerRegistersAnew) {
  ASSERT_TRUE(world_.Run(world_.Registration(1)).ok());
  ExpectOnlyMineGone();
}

TEST_F(OwnedEntriesTest, StayWhenTheSameIncarnationRegistersAgain) {
  v1::RegisterBrokerRequest request = world_.Registration(1);
  request.set_incarnation_id(world_.image().brokers().Find(BrokerId{1})->incarnation.ToBytes());
  request.set_rack("other");
  ASSERT_TRUE(world_.Run(request).ok());
  EXPECT_TRUE(Has("mine"));
}

TEST_F(OwnedEntriesTest, BecomeNobodysWhenWrittenWithoutAnOwner) {
  ASSERT_TRUE(world_.Run(Put("", "mine")).ok());
  world_.Fence(1);
  EXPECT_TRUE(Has("mine"));
  EXPECT_FALSE(Has("mine too"));
}

TEST_F(OwnedEntriesTest, ChangeHands) {
  ASSERT_TRUE(world_.Run(PutOwned(world_, 2, "mine")).ok());
  world_.Fence(1);
  EXPECT_TRUE(Has("mine"));
  world_.Fence(2);
  EXPECT_FALSE(Has("mine"));
}

TEST_F(OwnedEntriesTest, TheOwnerIsARegistrationWithASession) {
  EXPECT_THAT(world_.Run(PutOwned(world_, 9, "k")), HasReason(ErrorReason::kBrokerIdNotRegistered));
  EXPECT_THAT(world_.Run(PutOwned(world_, -1, "k")), HasReason(ErrorReason::kInvalidRequest));
  v1::PutEntryRequest stale = PutOwned(world_, 1, "k");
  stale.mutable_owner()->set_broker_epoch(stale.owner().broker_epoch() - 1);
  EXPECT_THAT(world_.Run(stale), HasReason(ErrorReason::kStaleBrokerEpoch));
  world_.Fence(1);
  EXPECT_THAT(world_.Run(PutOwned(world_, 1, "k")), HasReason(ErrorReason::kBrokerNotAvailable));
}

TEST_F(OwnedEntriesTest, ABrokerOwnsOnlySoMany) {
  world_.limits().max_owned_entries_per_broker = 2;
  EXPECT_THAT(world_.Run(PutOwned(world_, 1, "third")), HasReason(ErrorReason::kLimitExceeded));
  EXPECT_TRUE(world_.Run(PutOwned(world_, 1, "mine")).ok()) << "it has that one already";
  EXPECT_TRUE(world_.Run(PutOwned(world_, 2, "third")).ok());
}

// A fencing that needs several batches: what lives with the session ends with it, in the last one.
TEST(SplitIntoBatchesTest, KeepsTheEndTogether) {
  v1::MetadataRecord record;
  record.mutable_entry()->set_key("k");
  std::vector<v1::MetadataRecord> records(kMaxRecordsPerBatch + 500, record);
  const auto batches = SplitIntoBatches(records);
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[0].size(), 500u);
  EXPECT_EQ(batches[1].size(), kMaxRecordsPerBatch);
}

TEST(OwnedEntriesDeathTest, ASessionDoesNotEndBeforeWhatLivesWithIt) {
  World world;
  world.AddBrokers({1});
  ASSERT_TRUE(world.Run(PutOwned(world, 1, "mine")).ok());
  std::vector<v1::MetadataRecord> records = FenceBroker(world.image(), BrokerId{1});
  records.erase(records.begin());  // the removal
  EXPECT_EXIT(world.Apply(records), testing::ExitedWithCode(70),
              "the session of broker 1 ends before 1 entries that live with it");
  v1::MetadataRecord stranger;
  stranger.mutable_entry()->set_key("k");
  stranger.mutable_entry()->set_version(1);
  stranger.mutable_entry()->mutable_owner()->set_broker_id(9);
  EXPECT_EXIT(world.Apply({stranger}), testing::ExitedWithCode(70), "no such owner");
}

}  // namespace
}  // namespace kvorum
