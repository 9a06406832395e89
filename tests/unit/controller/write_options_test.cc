// if_unchanged_since and reason (api.md §3) on the active controller, and transactions through it.
#include <string>

#include "server/metadata/record_codec.h"
#include "tests/support/requests.h"
#include "tests/unit/controller/controller_fixture.h"

namespace kvorum::controller {
namespace {

constexpr char kId[] = "6f6f3a1c-2f0d-4a53-9a55-0f0a4d1f2b01";

class WriteOptionsTest : public ControllerFixture {
 protected:
  WriteOptionsTest() { config.bootstrap_metadata_level = kMaxMetadataLevel; }

  void SetUp() override {
    Activate();
    CommitAll();
  }

  v1::Position Applied() const {
    v1::Position position;
    position.set_generation(kGeneration);
    position.set_epoch(committed->provenance().last_epoch.value());
    position.set_offset(committed->provenance().end_offset.value());
    return position;
  }
  template <typename Request>
  static Request Since(Request request, const v1::Position& position) {
    *request.mutable_options()->mutable_if_unchanged_since() = position;
    return request;
  }
  static v1::CreateTopicsRequest Create(const std::string& name) {
    v1::CreateTopicsRequest request;
    request.add_topics()->set_name(name);
    return request;
  }
  static v1::AlterConfigsRequest SetRetention(const std::string& topic, const std::string& value) {
    return SetTopicConfig(topic, "retention.ms", value);
  }
  // Submits and commits.
  CommandHeard Do(const Command& command) {
    const CommandHeard heard = Submit(command);
    CommitAll();
    return heard;
  }
};

TEST_F(WriteOptionsTest, WhatDidNotChangeSinceTheReadIsWritten) {
  Do(Put("k"));
  const v1::Position read = Applied();
  EXPECT_TRUE(Do(Since(Put("k", "new"), read))->is_ok());
}

TEST_F(WriteOptionsTest, WhatChangedSinceTheReadIsRefused) {
  Do(Put("k"));
  const v1::Position read = Applied();
  Do(Put("k", "another's"));
  const size_t batches = log.batches.size();
  EXPECT_EQ(Do(Since(Put("k", "mine"), read))->reason(), ErrorReason::kInvalidUpdateVersion);
  EXPECT_EQ(log.batches.size(), batches);
  EXPECT_TRUE(Do(Since(Put("k", "mine"), Applied()))->is_ok());
}

TEST_F(WriteOptionsTest, AChangeThatIsNotYetCommittedCounts) {
  const v1::Position read = Applied();
  Submit(Put("k", "another's"));
  const CommandHeard refused = Submit(Since(Put("k", "mine"), read));
  EXPECT_TRUE(refused->is_waiting()) << "it was decided on what may be lost";
  CommitAll();
  EXPECT_EQ(refused->reason(), ErrorReason::kInvalidUpdateVersion);
}

TEST_F(WriteOptionsTest, WhatOthersDoElsewhereDoesNotMatter) {
  const v1::Position read = Applied();
  Do(Put("other"));
  RegisterUnfenced(1);
  Do(Create("t"));
  EXPECT_TRUE(Do(Since(Put("k"), read))->is_ok());
}

TEST_F(WriteOptionsTest, ItHoldsForEveryDomain) {
  RegisterUnfenced(1);
  const v1::Position before = Applied();
  const auto expect_guarded = [&](const auto& request) {
    const v1::Position read = Applied();
    const CommandHeard first = Do(Since(request, read));
    EXPECT_TRUE(first->is_ok()) << first->status() << request.ShortDebugString();
    return read;
  };
  expect_guarded(Create("t"));
  // Its name: another may have had it meanwhile.
  v1::DeleteTopicsRequest remove;
  remove.add_topics()->set_name("t");
  EXPECT_EQ(Do(Since(remove, before))->reason(), ErrorReason::kInvalidUpdateVersion);
  expect_guarded(remove);
  EXPECT_EQ(Do(Since(Create("t"), before))->reason(), ErrorReason::kInvalidUpdateVersion);
  expect_guarded(Create("t"));

  expect_guarded(SetRetention("t", "1"));
  EXPECT_EQ(Do(Since(SetRetention("t", "2"), before))->reason(),
            ErrorReason::kInvalidUpdateVersion);

  v1::CreatePartitionsRequest grow;
  grow.add_topics()->set_name("t");
  grow.mutable_topics(0)->set_new_partition_count(2);
  expect_guarded(grow);
  grow.mutable_topics(0)->set_new_partition_count(3);
  EXPECT_EQ(Do(Since(grow, before))->reason(), ErrorReason::kInvalidUpdateVersion);

  v1::AlterClientQuotasRequest quota;
  auto& entity = *quota.add_entities();
  entity.add_entity()->set_type(v1::QUOTA_ENTITY_TYPE_USER);
  entity.add_operations()->set_key("producer_byte_rate");
  entity.mutable_operations(0)->set_value(1);
  expect_guarded(quota);
  quota.mutable_entities(0)->mutable_operations(0)->set_value(2);
  EXPECT_EQ(Do(Since(quota, before))->reason(), ErrorReason::kInvalidUpdateVersion);

  v1::CreateAclsRequest acl;
  v1::AclBinding& binding = *acl.add_acls();
  binding.set_resource_type(v1::ACL_RESOURCE_TYPE_TOPIC);
  binding.set_resource_name("t");
  binding.set_pattern_type(v1::ACL_PATTERN_TYPE_LITERAL);
  binding.set_principal("User:alice");
  binding.set_host("*");
  binding.set_operation(v1::ACL_OPERATION_READ);
  binding.set_permission(v1::ACL_PERMISSION_ALLOW);
  expect_guarded(acl);
  v1::DeleteAclsRequest remove_acl;
  *remove_acl.add_filters() = AnyAclFilter();
  EXPECT_EQ(Do(Since(remove_acl, before))->reason(), ErrorReason::kInvalidUpdateVersion);
  expect_guarded(remove_acl);

  v1::DrainBrokerRequest drain;
  drain.set_broker_id(1);
  expect_guarded(drain);
  v1::UndrainBrokerRequest undrain;
  undrain.set_broker_id(1);
  EXPECT_EQ(Do(Since(undrain, before))->reason(), ErrorReason::kInvalidUpdateVersion);
}

TEST_F(WriteOptionsTest, APositionFromBeforeTheLeaderTookOfficeIsTooOld) {
  Do(Put("k"));
  const v1::Position read = Applied();
  Do(Put("other"));
  controller().Deactivate();
  Activate();
  EXPECT_EQ(Do(Since(Put("k", "new"), read))->reason(), ErrorReason::kInvalidUpdateVersion)
      << "what was written before is not known to this one";
  EXPECT_TRUE(Do(Since(Put("k", "new"), Applied()))->is_ok());
}

TEST_F(WriteOptionsTest, ANoOpIsUnchangedWhateverHappened) {
  RegisterUnfenced(1);
  const v1::Position read = Applied();
  Do(Create("t"));
  Do(SetRetention("t", "1"));
  EXPECT_TRUE(Do(Since(SetRetention("t", "1"), read))->is_ok());
}

TEST_F(WriteOptionsTest, ARetryOfAGuardedWriteGetsItsReplyThoughItChangedWhatItGuards) {
  v1::PutEntryRequest request = Since(Put("k"), Applied());
  request.mutable_options()->set_request_id(kId);
  ASSERT_TRUE(Do(request)->is_ok());
  EXPECT_TRUE(Do(request)->is_ok());
}

TEST_F(WriteOptionsTest, NegativePositionsAreRefused) {
  v1::Position position;
  position.set_offset(-1);
  EXPECT_EQ(Submit(Since(Put("k"), position))->reason(), ErrorReason::kInvalidRequest);
  position.set_offset(1);
  position.set_epoch(-1);
  EXPECT_EQ(Submit(Since(Put("k"), position))->reason(), ErrorReason::kInvalidRequest);
}

TEST_F(WriteOptionsTest, AReasonStandsBehindTheRecordsOfItsBatch) {
  v1::PutEntryRequest request = Put("k");
  request.mutable_options()->set_reason("ticket 4711");
  request.mutable_options()->set_request_id(kId);
  ASSERT_TRUE(Do(request)->is_ok());
  const auto& records = log.batches.back().records;
  ASSERT_EQ(records.size(), 3u);
  EXPECT_TRUE(records[0].has_entry());
  EXPECT_EQ(records[1].write_reason().reason(), "ticket 4711");
  EXPECT_TRUE(records[2].has_completed_request());
  const std::string payload = EncodeRecords(records);
  EXPECT_EQ(PublicBytes(payload), EncodeRecords({records[0]}).size()) << "no part of the stream";
}

TEST_F(WriteOptionsTest, NothingWrittenNoReasonKept) {
  Do(Registration(1));
  const size_t batches = log.batches.size();
  v1::RegisterBrokerRequest again = Registration(1);
  again.mutable_options()->set_reason("why not");
  ASSERT_TRUE(Do(again)->is_ok());
  EXPECT_EQ(log.batches.size(), batches);
}

TEST_F(WriteOptionsTest, ReasonsAreBoundedAndPrintable) {
  v1::PutEntryRequest request = Put("k");
  request.mutable_options()->set_reason(std::string(1'024, 'r'));
  EXPECT_TRUE(Do(request)->is_ok());
  request.mutable_options()->set_reason(std::string(1'025, 'r'));
  EXPECT_EQ(Submit(request)->reason(), ErrorReason::kInvalidRequest);
  request.mutable_options()->set_reason("two\nlines");
  EXPECT_EQ(Submit(request)->reason(), ErrorReason::kInvalidRequest);
}

class OldLevelTest : public ControllerFixture {};

TEST_F(OldLevelTest, AReasonNeedsItsLevel) {
  Activate();
  v1::PutEntryRequest request = Put("k");
  request.mutable_options()->set_reason("because");
  EXPECT_EQ(Submit(request)->reason(), ErrorReason::kUnsupportedVersion);
  EXPECT_TRUE(log.batches.empty());
}

TEST_F(WriteOptionsTest, ATransactionIsOneBatchCarriedOutOnce) {
  RegisterUnfenced(1);
  const size_t batches = log.batches.size();
  v1::CommitRequest request;
  *request.add_operations()->mutable_create_topics() = Create("t");
  *request.add_operations()->mutable_alter_configs() = SetRetention("t", "1");
  *request.add_operations()->mutable_put_entry() = Put("k");
  request.mutable_options()->set_request_id(kId);
  request.mutable_options()->set_reason("all of it");
  const CommandHeard first = Do(request);
  ASSERT_TRUE(first->is_ok()) << first->status();
  EXPECT_EQ(log.batches.size(), batches + 1);
  const CommandHeard retry = Do(request);
  ASSERT_TRUE(retry->is_ok());
  EXPECT_EQ(log.batches.size(), batches + 1);
  EXPECT_EQ(std::get<v1::CommitResponse>(**retry->reply).results(2).put_entry().version(),
            std::get<v1::CommitResponse>(**first->reply).results(2).put_entry().version());
}

TEST_F(WriteOptionsTest, ATransactionValidatesOnlyAndWaitsForBrokersAsAnyWriteDoes) {
  const int64_t epoch = RegisterUnfenced(1);
  v1::CommitRequest request;
  *request.add_operations()->mutable_create_topics() = Create("t");
  request.mutable_options()->set_validate_only(true);
  const size_t batches = log.batches.size();
  ASSERT_TRUE(Do(request)->is_ok());
  EXPECT_EQ(log.batches.size(), batches);
  request.mutable_options()->set_validate_only(false);
  request.mutable_options()->set_wait(v1::WAIT_APPLIED_BY_ALL);
  const CommandHeard waiting = Do(request);
  EXPECT_TRUE(waiting->is_waiting());
  Beat(1, epoch, committed->provenance().end_offset);
  EXPECT_TRUE(waiting->is_ok()) << waiting->status();
}

TEST_F(WriteOptionsTest, ATransactionIsGuardedByAllThatItWritesTo) {
  const v1::Position read = Applied();
  Do(Put("b"));
  v1::CommitRequest request;
  *request.add_operations()->mutable_put_entry() = Put("a");
  *request.add_operations()->mutable_put_entry() = Put("b");
  EXPECT_EQ(Do(Since(request, read))->reason(), ErrorReason::kInvalidUpdateVersion);
  EXPECT_EQ(committed->entries().Find("a"), nullptr);
}

TEST_F(WriteOptionsTest, ABrokerUnregisteredInATransactionHasNoSessionLeft) {
  RegisterUnfenced(1);
  v1::CommitRequest request;
  *request.add_operations()->mutable_unregister_broker() = Unregistration(1);
  ASSERT_TRUE(Do(request)->is_ok());
  EXPECT_EQ(controller().liveness()->HeartbeatAgeMs(BrokerId(1)), std::nullopt);
}

TEST(RecentChangesTest, WhatIsForgottenIsRefusedAndTheRestIsStillKnown) {
  const auto record = [](const std::string& key) {
    v1::MetadataRecord entry;
    entry.mutable_entry()->set_key(key);
    return entry;
  };
  const MetadataImage image;
  RecentChanges changes(2);
  changes.Reset(Offset(10));
  changes.Note(record("a"), Offset(10), image);
  changes.Note(record("b"), Offset(11), image);
  EXPECT_TRUE(changes.CheckUnchanged({record("c")}, image, Offset(10)).ok());
  EXPECT_TRUE(changes.CheckUnchanged({record("a")}, image, Offset(11)).ok());
  EXPECT_FALSE(changes.CheckUnchanged({record("a")}, image, Offset(10)).ok());
  changes.Note(record("b"), Offset(12), image);  // nothing is forgotten: the same thing again
  EXPECT_TRUE(changes.CheckUnchanged({record("c")}, image, Offset(10)).ok());
  changes.Note(record("d"), Offset(13), image);
  EXPECT_EQ(GetErrorReason(changes.CheckUnchanged({record("c")}, image, Offset(10))),
            ErrorReason::kInvalidUpdateVersion);
  EXPECT_TRUE(changes.CheckUnchanged({record("c")}, image, Offset(11)).ok());
  EXPECT_FALSE(changes.CheckUnchanged({record("b")}, image, Offset(12)).ok());
  EXPECT_TRUE(changes.CheckUnchanged({record("b")}, image, Offset(13)).ok());
  EXPECT_FALSE(changes.CheckUnchanged({record("c")}, image, Offset(9)).ok());
}

}  // namespace
}  // namespace kvorum::controller
