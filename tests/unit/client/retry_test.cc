#include "client/retry.h"

#include <gtest/gtest.h>

namespace kvorum::client {
namespace {

CallError FromServer(Outcome outcome, RetryAdvice retry) {
  CallError error;
  error.code = grpc::StatusCode::UNAVAILABLE;
  error.reason_name = "SOME_REASON";
  error.outcome = outcome;
  error.retry = retry;
  return error;
}

CallError FromTransport(grpc::StatusCode code) {
  CallError error;
  error.code = code;
  return error;
}

TEST(RetryTest, SendsAgainWhateverWasNotExecutedWhenToldTo) {
  for (const CallKind kind : {CallKind::kRead, CallKind::kIdempotent, CallKind::kWrite}) {
    EXPECT_EQ(DecideNextStep(FromServer(Outcome::kNotExecuted, RetryAdvice::kOtherNode), kind),
              NextStep::kMoveOn);
    EXPECT_EQ(DecideNextStep(FromServer(Outcome::kNotExecuted, RetryAdvice::kSameNode), kind),
              NextStep::kBackOff);
  }
}

TEST(RetryTest, GivesUpWhereTheSameRequestCanNotSucceed) {
  for (const RetryAdvice advice : {RetryAdvice::kNo, RetryAdvice::kReadAgainFirst}) {
    EXPECT_EQ(DecideNextStep(FromServer(Outcome::kNotExecuted, advice), CallKind::kRead),
              NextStep::kGiveUp);
  }
}

TEST(RetryTest, NeverRepeatsAWriteWhoseOutcomeIsUnknown) {
  EXPECT_EQ(DecideNextStep(FromServer(Outcome::kUnknown, RetryAdvice::kSameNode), CallKind::kWrite),
            NextStep::kGiveUp);
  EXPECT_EQ(DecideNextStep(FromTransport(grpc::StatusCode::UNAVAILABLE), CallKind::kWrite),
            NextStep::kGiveUp);
}

TEST(RetryTest, NeverRepeatsWhatIsCommitted) {
  EXPECT_EQ(
      DecideNextStep(FromServer(Outcome::kCommitted, RetryAdvice::kOtherNode), CallKind::kRead),
      NextStep::kGiveUp);
}

TEST(RetryTest, RepeatsReadsAndIdempotentCallsAfterABrokenConnection) {
  for (const CallKind kind : {CallKind::kRead, CallKind::kIdempotent}) {
    EXPECT_EQ(DecideNextStep(FromTransport(grpc::StatusCode::UNAVAILABLE), kind),
              NextStep::kMoveOn);
    EXPECT_EQ(DecideNextStep(FromTransport(grpc::StatusCode::DEADLINE_EXCEEDED), kind),
              NextStep::kMoveOn);
    EXPECT_EQ(DecideNextStep(FromTransport(grpc::StatusCode::INTERNAL), kind), NextStep::kGiveUp);
  }
}

TEST(RetryTest, BacksOffLongerEachTimeUpToTheMaximum) {
  using std::chrono::milliseconds;
  Backoff backoff(milliseconds(100), milliseconds(400), 7);
  for (const int step : {100, 200, 400, 400}) {
    const milliseconds pause = backoff.Next();
    EXPECT_GE(pause, milliseconds(step / 2));
    EXPECT_LE(pause, milliseconds(step));
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next(), milliseconds(100));
}

}  // namespace
}  // namespace kvorum::client
