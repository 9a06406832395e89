#include "server/base/errors.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/status_macros.h"

namespace kvorum {
namespace {

TEST(ErrorsTest, AStatusCarriesCodeReasonAndMessage) {
  const absl::Status status =
      MakeError(ErrorReason::kStaleBrokerEpoch, "broker 3 has epoch 9 but 7 was sent");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetErrorReason(status), ErrorReason::kStaleBrokerEpoch);
  EXPECT_EQ(status.message(), "broker 3 has epoch 9 but 7 was sent");
}

TEST(ErrorsTest, ForeignStatusesHaveNoReason) {
  EXPECT_EQ(GetErrorReason(absl::InternalError("")), ErrorReason::kUnknown);
  EXPECT_EQ(GetErrorReason(absl::OkStatus()), ErrorReason::kUnknown);
}

TEST(ErrorsTest, FactsTravelBesideTheReason) {
  absl::Status status = MakeError(ErrorReason::kNotController, "node 2 is");
  SetErrorFact(status, "leader_id", "2");
  SetErrorFact(status, "leader_epoch", "7");
  EXPECT_THAT(GetErrorFacts(status), testing::ElementsAre(testing::Pair("leader_epoch", "7"),
                                                          testing::Pair("leader_id", "2")));
  EXPECT_EQ(GetErrorReason(status), ErrorReason::kNotController);
}

TEST(ErrorsTest, NamesParseBack) {
  EXPECT_EQ(ParseErrorReason("UNKNOWN_TOPIC_ID"), ErrorReason::kUnknownTopicId);
  EXPECT_EQ(ParseErrorReason("unknown_topic_id"), std::nullopt);
}

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) {
    return MakeError(ErrorReason::kInvalidRequest, "odd");
  }
  return value / 2;
}

absl::StatusOr<int> Quarter(int value) {
  KVORUM_ASSIGN_OR_RETURN(const int half, Half(value));
  KVORUM_RETURN_IF_ERROR(Half(half).status());
  return half / 2;
}

TEST(StatusMacrosTest, ReturnTheFirstErrorAsItIs) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(GetErrorReason(Quarter(6).status()), ErrorReason::kInvalidRequest);
  EXPECT_EQ(GetErrorReason(Quarter(5).status()), ErrorReason::kInvalidRequest);
}

}  // namespace
}  // namespace kvorum
