// A mutation with a request_id is carried out once, however often it is sent (api.md §3).

#include <string>

#include "tests/unit/controller/controller_fixture.h"

namespace kvorum::controller {
namespace {

constexpr char kId[] = "6f6f3a1c-2f0d-4a53-9a55-0f0a4d1f2b01";

class RequestIdTest : public ControllerFixture {
 protected:
  static v1::PutEntryRequest PutOnce(const std::string& key, const std::string& value = "v") {
    v1::PutEntryRequest request = Put(key, value);
    request.mutable_options()->set_request_id(kId);
    return request;
  }
  static int64_t VersionOf(const CommandHeard& heard) {
    return std::get<v1::PutEntryResponse>(**heard->reply).version();
  }
  // One request is carried out; it is known for ten seconds.
  void CarryOutOne() {
    config.requests.max_age_ms = 10'000;
    Activate();
    Submit(PutOnce("a"));
    CommitAll();
  }
  size_t known() { return controller().latest()->requests().by_id.size(); }
};

TEST_F(RequestIdTest, ARetryOfACommittedWriteGetsTheFirstReplyAndAppendsNothing) {
  Activate();
  const CommandHeard first = Submit(PutOnce("a"));
  CommitAll();
  ASSERT_TRUE(first->is_ok()) << first->status();
  ASSERT_EQ(log.batches.size(), 1u);
  EXPECT_EQ(log.batches[0].records.size(), 2u) << "the entry and its reply are one commit";

  const CommandHeard retry = Submit(PutOnce("a"));
  ASSERT_TRUE(retry->is_ok()) << retry->status();
  EXPECT_EQ(VersionOf(retry), VersionOf(first));
  EXPECT_EQ(log.batches.size(), 1u);
}

TEST_F(RequestIdTest, ADuplicateOfAPendingWriteIsAnsweredWithIt) {
  Activate();
  const CommandHeard first = Submit(PutOnce("a"));
  const CommandHeard duplicate = Submit(PutOnce("a"));
  EXPECT_EQ(first->times, 0);
  EXPECT_EQ(duplicate->times, 0) << "nothing is committed yet";
  CommitAll();
  ASSERT_TRUE(first->is_ok() && duplicate->is_ok());
  EXPECT_EQ(VersionOf(duplicate), VersionOf(first));
  EXPECT_EQ(log.batches.size(), 1u);
}

TEST_F(RequestIdTest, ARetryAfterAFailoverGetsTheFirstReply) {
  Activate();
  const CommandHeard first = Submit(PutOnce("a"));
  controller().Deactivate();
  EXPECT_EQ(first->reason(), ErrorReason::kOutcomeUnknown);
  CommitAll();  // it was committed all the same
  Activate();
  const CommandHeard retry = Submit(PutOnce("a"));
  ASSERT_TRUE(retry->is_ok()) << retry->status();
  EXPECT_EQ(VersionOf(retry), committed->entries().Find("a")->version());
  EXPECT_EQ(log.batches.size(), 1u);
}

TEST_F(RequestIdTest, AnotherRequestUnderTheSameIdIsRefused) {
  Activate();
  Submit(PutOnce("a"));
  CommitAll();
  EXPECT_EQ(Submit(PutOnce("a", "other"))->reason(), ErrorReason::kRequestIdReused);
  v1::DeleteEntryRequest remove;
  remove.set_key("a");
  remove.mutable_options()->set_request_id(kId);
  EXPECT_EQ(Submit(remove)->reason(), ErrorReason::kRequestIdReused);
  EXPECT_EQ(log.batches.size(), 1u);
}

TEST_F(RequestIdTest, ARefusedRequestIsNotRemembered) {
  Activate();
  v1::DeleteEntryRequest remove;
  remove.set_key("absent");
  remove.mutable_options()->set_request_id(kId);
  EXPECT_EQ(Submit(remove)->reason(), ErrorReason::kUnknownKey);
  Submit(Put("absent"));
  CommitAll();
  const CommandHeard again = Submit(remove);
  CommitAll();
  EXPECT_TRUE(again->is_ok()) << "it was never carried out, so it may be now: " << again->status();
}

TEST_F(RequestIdTest, AnIdThatIsNoUuidIsRefused) {
  Activate();
  v1::PutEntryRequest request = Put("a");
  request.mutable_options()->set_request_id("1");
  EXPECT_EQ(Submit(request)->reason(), ErrorReason::kInvalidRequest);
  EXPECT_TRUE(log.batches.empty());
}

TEST_F(RequestIdTest, ValidateOnlyNeitherAppendsNorRemembers) {
  Activate();
  v1::PutEntryRequest request = PutOnce("a");
  request.mutable_options()->set_validate_only(true);
  EXPECT_TRUE(Submit(request)->is_ok());
  EXPECT_TRUE(log.batches.empty());
  EXPECT_EQ(known(), 0u);
}

TEST_F(RequestIdTest, TheOldestIsForgottenWhenOneTooManyComes) {
  config.requests.max_count = 2;
  Activate();
  for (const char last : {'1', '2', '3'}) {
    v1::PutEntryRequest request = Put("a");
    request.mutable_options()->set_request_id(std::string(kId, 35) + last);
    Submit(request);
  }
  CommitAll();
  EXPECT_EQ(known(), 2u);
  const CommandHeard anew = Submit(PutOnce("a"));  // ends in 1: the oldest
  CommitAll();
  ASSERT_TRUE(anew->is_ok());
  EXPECT_EQ(log.batches.size(), 4u) << "carried out again: it was forgotten";
}

TEST_F(RequestIdTest, AnIdleControllerForgetsWhatIsTooOld) {
  CarryOutOne();
  RunTimersFor(std::chrono::seconds(9));
  CommitAll();
  EXPECT_EQ(known(), 1u);
  RunTimersFor(std::chrono::seconds(3));
  CommitAll();
  EXPECT_EQ(known(), 0u);
  EXPECT_EQ(committed->StateHash(), controller().latest()->StateHash());
}

TEST_F(RequestIdTest, AJumpOfTheWallClockForgetsNothing) {
  CarryOutOne();
  now.wall_ms += 3'600'000;
  RunTimersFor(2 * config.max_idle_interval);
  CommitAll();
  EXPECT_EQ(known(), 1u);
}

// How long they were in the log before, it has not seen.
TEST_F(RequestIdTest, EverythingIsYoungToANewController) {
  CarryOutOne();
  RunTimersFor(std::chrono::seconds(9));
  CommitAll();
  controller().Deactivate();
  Activate();
  RunTimersFor(std::chrono::seconds(9));
  CommitAll();
  EXPECT_EQ(known(), 1u);
  RunTimersFor(std::chrono::seconds(2));
  CommitAll();
  EXPECT_EQ(known(), 0u);
}

TEST_F(RequestIdTest, ARetryThatWaitsForBrokersWaitsForTheFirstAttempt) {
  Activate();
  const int64_t epoch = RegisterUnfenced(1);
  Submit(PutOnce("a"));
  CommitAll();
  const Offset end = committed->provenance().end_offset;
  v1::PutEntryRequest request = PutOnce("a");
  request.mutable_options()->set_wait(v1::WAIT_APPLIED_BY_ALL);
  const CommandHeard retry = Submit(request);
  EXPECT_EQ(retry->times, 0);
  Beat(1, epoch, end);
  ASSERT_TRUE(retry->is_ok()) << retry->status();
  const auto& response = std::get<v1::PutEntryResponse>(**retry->reply);
  EXPECT_EQ(response.header().propagation().position().offset(), end.value());
  EXPECT_EQ(response.header().propagation().position().epoch(), kEpoch.value());
}

}  // namespace
}  // namespace kvorum::controller
