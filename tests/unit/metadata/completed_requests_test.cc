#include "server/metadata/requests/completed_requests.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metadata/image_writer.h"
#include "server/metadata/record_codec.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

constexpr char kId[] = "6f6f3a1c-2f0d-4a53-9a55-0f0a4d1f2b01";

class CompletedRequestsTest : public testing::Test {
 protected:
  Uuid Complete(uint64_t body_hash = 7, std::string reply = "reply", int64_t wall_ms = 1'000) {
    const Uuid id = Uuid::FromRandom(world_.random());
    const auto record = CompleteRequest({id, body_hash}, std::move(reply),
                                        {world_.next_offset(), Epoch(1)}, wall_ms);
    EXPECT_TRUE(record.ok()) << record.status();
    world_.Apply({*record});
    return id;
  }
  const RequestsImage& requests() const { return world_.image().requests(); }

  World world_;
};

TEST_F(CompletedRequestsTest, AnIdIsAUuidOrNothing) {
  v1::WriteOptions options;
  EXPECT_EQ(*ParseRequestId(options), std::nullopt);
  options.set_request_id(kId);
  EXPECT_EQ(*ParseRequestId(options), Uuid::Parse(kId));
  for (const char* bad :
       {"1", "6f6f3a1c2f0d4a539a550f0a4d1f2b01", "00000000-0000-0000-0000-000000000000"}) {
    options.set_request_id(bad);
    EXPECT_THAT(ParseRequestId(options), HasReason(ErrorReason::kInvalidRequest)) << bad;
  }
}

TEST_F(CompletedRequestsTest, TheBodyIsAllButTheIdAndWhatIsWaitedFor) {
  v1::PutEntryRequest request;
  request.set_key("a");
  const uint64_t hash = BodyHash(request);
  request.mutable_options()->set_request_id(kId);
  request.mutable_options()->set_wait(v1::WAIT_COMMITTED);
  request.mutable_options()->mutable_wait_timeout()->set_seconds(1);
  EXPECT_EQ(BodyHash(request), hash);
  request.set_value("b");
  EXPECT_NE(BodyHash(request), hash);

  // Another kind of request with equal bytes.
  v1::DeleteEntryRequest other;
  other.set_key("a");
  EXPECT_NE(BodyHash(other), hash);
}

TEST_F(CompletedRequestsTest, ARetryFindsTheFirstReplyAndAnotherBodyIsRefused) {
  const Uuid id = Complete(/*body_hash=*/7, "first");
  const auto found = FindCompleted(requests(), id, 7);
  ASSERT_TRUE(found.ok() && *found != nullptr);
  EXPECT_EQ((*found)->reply(), "first");
  EXPECT_EQ((*found)->offset(), world_.next_offset().value() - 1);
  EXPECT_THAT(FindCompleted(requests(), id, 8), HasReason(ErrorReason::kRequestIdReused));
  EXPECT_EQ(*FindCompleted(requests(), *Uuid::Parse(kId), 7), nullptr);
}

TEST_F(CompletedRequestsTest, AReplyTooLargeToKeepIsRefusedBeforeAnythingIsAppended) {
  EXPECT_THAT(CompleteRequest({*Uuid::Parse(kId), 7}, std::string(kMaxPrivateBytes, 'x'),
                              {Offset(5), Epoch(1)}, 0),
              HasReason(ErrorReason::kPolicyViolation));
}

TEST_F(CompletedRequestsTest, TheOldestBeyondTheCountAreForgotten) {
  const Uuid first = Complete();
  const Uuid second = Complete();
  const Uuid third = Complete();
  EXPECT_EQ(ExpireRequests(requests(), {.max_count = 3}, 0, Offset(0)), std::nullopt);
  const auto expired = ExpireRequests(requests(), {.max_count = 3}, 1, Offset(0));
  ASSERT_TRUE(expired.has_value());
  world_.Apply({*expired});
  EXPECT_EQ(requests().Find(first), nullptr);
  EXPECT_NE(requests().Find(second), nullptr);
  EXPECT_NE(requests().Find(third), nullptr);
  EXPECT_EQ(requests().by_offset.size(), 2u);
}

TEST_F(CompletedRequestsTest, ThoseBeyondTheAgeAreForgotten) {
  const Offset first = world_.next_offset();
  const Uuid old = Complete();
  const Uuid young = Complete();
  EXPECT_EQ(ExpireRequests(requests(), {}, 0, first), std::nullopt);
  const auto expired = ExpireRequests(requests(), {}, 0, first + 1);
  ASSERT_TRUE(expired.has_value());
  world_.Apply({*expired});
  EXPECT_EQ(requests().Find(old), nullptr);
  EXPECT_NE(requests().Find(young), nullptr);
}

TEST_F(CompletedRequestsTest, OneRecordForgetsABoundedNumber) {
  for (size_t i = 0; i < kMaxExpiredPerRecord + 2; ++i) {
    Complete();
  }
  world_.Apply({*ExpireRequests(requests(), {.max_count = 1}, 0, Offset(0))});
  EXPECT_EQ(requests().by_id.size(), 2u);
  world_.Apply({*ExpireRequests(requests(), {.max_count = 1}, 0, Offset(0))});
  EXPECT_EQ(requests().by_id.size(), 1u);
}

TEST_F(CompletedRequestsTest, NothingOfThemIsForSubscribers) {
  Complete();
  EXPECT_EQ(ImageChunker(world_.shared_image(), Audience::kSubscribers, 1'000).Next(),
            std::nullopt);
  const auto chunk = ImageChunker(world_.shared_image(), Audience::kControllers, 1'000).Next();
  ASSERT_TRUE(chunk.has_value());
  EXPECT_EQ(PublicBytes(*chunk), 0u);
}

}  // namespace
}  // namespace kvorum
