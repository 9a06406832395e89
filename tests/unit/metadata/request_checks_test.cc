#include "server/metadata/request_checks.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kvorum/v1/error.pb.h"
#include "tests/unit/metadata/metadata_world.h"

namespace kvorum {
namespace {

TEST(WriteOptionsTest, WhatIsKeptIsAccepted) {
  v1::WriteOptions options;
  EXPECT_TRUE(CheckWriteOptions(options).ok());
  options.set_wait(v1::WAIT_COMMITTED);
  options.set_validate_only(true);
  EXPECT_TRUE(CheckWriteOptions(options).ok());
}

TEST(WriteOptionsTest, PositionsAndReasonsAreChecked) {
  const auto refused = HasReason(ErrorReason::kInvalidRequest);
  v1::WriteOptions options;
  options.mutable_if_unchanged_since()->set_offset(7);
  options.set_reason(std::string(kMaxWriteReasonBytes, 'x'));
  EXPECT_TRUE(CheckWriteOptions(options).ok());
  options.set_reason(std::string(kMaxWriteReasonBytes + 1, 'x'));
  EXPECT_THAT(CheckWriteOptions(options), refused);
  options.set_reason(std::string("\xff", 1));
  EXPECT_THAT(CheckWriteOptions(options), refused);
  options.clear_reason();
  options.mutable_if_unchanged_since()->set_offset(-1);
  EXPECT_THAT(CheckWriteOptions(options), refused);
  options.mutable_if_unchanged_since()->set_offset(7);
  options.mutable_if_unchanged_since()->set_epoch(-1);
  EXPECT_THAT(CheckWriteOptions(options), refused);
}

TEST(ReadOptionsTest, KnowsBothConsistenciesAndNoOther) {
  v1::ReadOptions options;
  EXPECT_TRUE(CheckReadOptions(options).ok());
  options.set_consistency(v1::CONSISTENCY_LOCAL);
  EXPECT_TRUE(CheckReadOptions(options).ok());
  options.set_consistency(static_cast<v1::Consistency>(3));
  EXPECT_THAT(CheckReadOptions(options), HasReason(ErrorReason::kInvalidRequest));
}

// The table of server/base/errors.cc and error.proto are one list in two places.
TEST(ErrorReasonTest, TableAndProtoAgree) {
  const auto* reasons = v1::ErrorReason_descriptor();
  for (int i = 0; i < reasons->value_count(); ++i) {
    const auto* value = reasons->value(i);
    const auto reason = ParseErrorReason(value->name());
    ASSERT_TRUE(reason.has_value()) << value->name();
    EXPECT_EQ(static_cast<int>(*reason), value->number()) << value->name();
    const ErrorInfo& info = GetErrorInfo(static_cast<ErrorReason>(value->number()));
    EXPECT_EQ(info.name, value->name());
    EXPECT_NE(info.code, absl::StatusCode::kOk);
    // Stock retry policies replay UNAVAILABLE, so it may only say that nothing was executed.
    if (info.code == absl::StatusCode::kUnavailable) {
      EXPECT_EQ(info.outcome, Outcome::kNotExecuted) << value->name();
    }
  }
}

}  // namespace
}  // namespace kvorum
