#include "server/rpc/status_codec.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/base/errors.h"

namespace kvorum::rpc {
namespace {

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

template <typename Detail>
bool FindDetail(const grpc::Status& status, Detail& detail) {
  const google::rpc::Status details = DetailsOf(status);
  for (const google::protobuf::Any& any : details.details()) {
    if (any.UnpackTo(&detail)) {
      return true;
    }
  }
  return false;
}

TEST(StatusCodecTest, OkHasNoDetails) {
  const grpc::Status status = ToGrpcStatus(absl::OkStatus());
  EXPECT_TRUE(status.ok());
  EXPECT_TRUE(status.error_details().empty());
}

TEST(StatusCodecTest, ErrorInfoCarriesReasonOutcomeRetryAndFacts) {
  absl::Status error = MakeError(ErrorReason::kNotController, "the leader is node 2");
  SetErrorFact(error, "leader_id", "2");
  SetErrorFact(error, "leader_endpoint", "c2:7400");
  const grpc::Status status = ToGrpcStatus(error);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "the leader is node 2");
  EXPECT_EQ(DetailsOf(status).code(), static_cast<int>(grpc::StatusCode::UNAVAILABLE));
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(FindDetail(status, info));
  EXPECT_EQ(info.domain(), "kvorum");
  EXPECT_EQ(info.reason(), "NOT_CONTROLLER");
  EXPECT_EQ(info.metadata().at("outcome"), "not_executed");
  EXPECT_EQ(info.metadata().at("retry"), "other_node");
  EXPECT_EQ(info.metadata().at("leader_id"), "2");
  EXPECT_EQ(info.metadata().at("leader_endpoint"), "c2:7400");
}

TEST(StatusCodecTest, OnlyRetryableErrorsCarryRetryInfo) {
  google::rpc::RetryInfo retry;
  EXPECT_TRUE(FindDetail(ToGrpcStatus(MakeError(ErrorReason::kClassShed, "busy")), retry));
  EXPECT_GT(retry.retry_delay().nanos(), 0);
  EXPECT_TRUE(
      FindDetail(ToGrpcStatus(MakeError(ErrorReason::kDuplicateBrokerRegistration, "b")), retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_FALSE(FindDetail(ToGrpcStatus(MakeError(ErrorReason::kUnknownKey, "k")), retry));
  EXPECT_FALSE(FindDetail(ToGrpcStatus(MakeError(ErrorReason::kOutcomeUnknown, "o")), retry));
}

TEST(StatusCodecTest, BadRequestNamesTheField) {
  absl::Status error = MakeError(ErrorReason::kInvalidRequest, "key: is empty");
  google::rpc::BadRequest bad_request;
  EXPECT_FALSE(FindDetail(ToGrpcStatus(error), bad_request));
  SetErrorFact(error, "field", "key");
  ASSERT_TRUE(FindDetail(ToGrpcStatus(error), bad_request));
  ASSERT_EQ(bad_request.field_violations_size(), 1);
  EXPECT_EQ(bad_request.field_violations(0).field(), "key");
  EXPECT_EQ(bad_request.field_violations(0).description(), "key: is empty");
}

TEST(StatusCodecTest, StatusWithoutReasonIsUnknown) {
  google::rpc::ErrorInfo info;
  const grpc::Status status = ToGrpcStatus(absl::InternalError("no table row"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  ASSERT_TRUE(FindDetail(status, info));
  EXPECT_EQ(info.reason(), "UNKNOWN");
  EXPECT_EQ(info.metadata().at("outcome"), "unknown");
}

TEST(StatusCodecTest, LongTextIsCutBetweenCharacters) {
  std::string text;
  while (text.size() <= 2 * kMaxErrorMessageBytes) {
    text += "\u20ac";  // three bytes
  }
  absl::Status error = MakeError(ErrorReason::kInvalidRequest, text);
  SetErrorFact(error, "fact", text);
  const grpc::Status status = ToGrpcStatus(error);
  EXPECT_LE(status.error_message().size(), kMaxErrorMessageBytes);
  EXPECT_EQ(status.error_message().size() % 3, 0u);
  EXPECT_LT(status.error_details().size(), 4096u);
}

TEST(StatusCodecTest, LargestErrorFitsATrailer) {
  absl::Status error =
      MakeError(ErrorReason::kInvalidRequest, std::string(10 * kMaxErrorMessageBytes, 'x'));
  for (int i = 0; i < 100; ++i) {
    SetErrorFact(error, "fact" + std::to_string(i), std::string(10 * kMaxErrorFactBytes, 'y'));
  }
  SetErrorFact(error, "field", std::string(10 * kMaxErrorFactBytes, 'z'));
  const grpc::Status status = ToGrpcStatus(error);
  EXPECT_LT(status.error_details().size() + status.error_message().size(), 8192u);
}

}  // namespace
}  // namespace kvorum::rpc
