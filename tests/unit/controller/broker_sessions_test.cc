#include "server/controller/broker_sessions.h"

#include <gtest/gtest.h>

#include <chrono>

namespace kvorum::controller {
namespace {

constexpr BrokerId kOne{1};
constexpr BrokerId kTwo{2};
constexpr BrokerEpoch kEpoch{10};

class BrokerSessionsTest : public testing::Test {
 protected:
  void At(int64_t ms) { sessions.Advance(TimePoint(std::chrono::milliseconds(ms))); }
  std::optional<BrokerId> Oldest() const {
    return sessions.OldestExpired([](BrokerId) { return true; });
  }

  BrokerSessions sessions{std::chrono::milliseconds(1000)};
};

TEST_F(BrokerSessionsTest, KnowsNothingOfStrangers) {
  EXPECT_FALSE(sessions.HasLiveSession(kOne));
  EXPECT_EQ(sessions.AppliedOffset(kOne), std::nullopt);
  EXPECT_EQ(sessions.HeartbeatAgeMs(kOne), std::nullopt);
  EXPECT_EQ(sessions.EpochOf(kOne), std::nullopt);
  EXPECT_EQ(sessions.LastRejection(kOne), "");
  EXPECT_EQ(Oldest(), std::nullopt);
}

TEST_F(BrokerSessionsTest, EndsASessionAfterItsTimeoutToTheMillisecond) {
  At(5000);
  sessions.Touch(kOne, kEpoch, Offset(3));
  At(5999);
  EXPECT_TRUE(sessions.HasLiveSession(kOne));
  EXPECT_EQ(Oldest(), std::nullopt);
  EXPECT_EQ(sessions.HeartbeatAgeMs(kOne), 999);
  At(6000);
  EXPECT_FALSE(sessions.HasLiveSession(kOne));
  EXPECT_EQ(Oldest(), kOne);
  sessions.Touch(kOne, kEpoch, Offset(3));
  EXPECT_TRUE(sessions.HasLiveSession(kOne));
  EXPECT_EQ(Oldest(), std::nullopt);
}

TEST_F(BrokerSessionsTest, NamesTheOneSilentLongestAmongThoseAskedFor) {
  At(0);
  sessions.Touch(kTwo, kEpoch, std::nullopt);
  At(100);
  sessions.Touch(kOne, kEpoch, std::nullopt);
  At(5000);
  EXPECT_EQ(Oldest(), kTwo);
  EXPECT_EQ(sessions.OldestExpired([](BrokerId id) { return id != kTwo; }), kOne);
  EXPECT_EQ(sessions.OldestExpired([](BrokerId) { return false; }), std::nullopt);
}

TEST_F(BrokerSessionsTest, NeverLetsAnAppliedOffsetGoBackWithinASession) {
  sessions.Touch(kOne, kEpoch, Offset(30));
  sessions.Touch(kOne, kEpoch, Offset(20));
  EXPECT_EQ(sessions.AppliedOffset(kOne), Offset(30));
  sessions.Touch(kOne, kEpoch, std::nullopt);
  EXPECT_EQ(sessions.AppliedOffset(kOne), Offset(30));
  sessions.Touch(kOne, BrokerEpoch(11), Offset(5));
  EXPECT_EQ(sessions.AppliedOffset(kOne), Offset(5)) << "another incarnation begins anew";
}

TEST_F(BrokerSessionsTest, FixesTheUnfenceTargetOncePerSession) {
  sessions.Touch(kOne, kEpoch, Offset(5));
  EXPECT_EQ(sessions.UnfenceTarget(kOne, Offset(40)), Offset(40));
  EXPECT_EQ(sessions.UnfenceTarget(kOne, Offset(50)), Offset(40));
  sessions.ClearUnfenceTarget(kOne);
  EXPECT_EQ(sessions.UnfenceTarget(kOne, Offset(60)), Offset(60));
  sessions.Touch(kOne, BrokerEpoch(11), Offset(5));
  EXPECT_EQ(sessions.UnfenceTarget(kOne, Offset(70)), Offset(70));
  sessions.ClearUnfenceTarget(kTwo);  // a stranger's
  EXPECT_EQ(sessions.EpochOf(kTwo), std::nullopt);
}

TEST_F(BrokerSessionsTest, FixesWhatALeavingBrokerWaitsForOnce) {
  sessions.Touch(kOne, kEpoch, Offset(5));
  EXPECT_EQ(sessions.ControlledShutdownOffset(kOne, Offset(40)), Offset(40));
  sessions.Touch(kOne, kEpoch, Offset(6));
  EXPECT_EQ(sessions.ControlledShutdownOffset(kOne, Offset(50)), Offset(40));
  sessions.ClearControlledShutdownOffset(kOne);
  EXPECT_EQ(sessions.ControlledShutdownOffset(kOne, Offset(60)), Offset(60));
  sessions.Touch(kOne, BrokerEpoch(11), Offset(5));
  EXPECT_EQ(sessions.ControlledShutdownOffset(kOne, Offset(70)), Offset(70))
      << "another incarnation's";
  sessions.ClearControlledShutdownOffset(kTwo);  // a stranger's
  EXPECT_EQ(sessions.EpochOf(kTwo), std::nullopt);
}

TEST_F(BrokerSessionsTest, ForgetsWhatIsRemoved) {
  sessions.Touch(kOne, kEpoch, Offset(5));
  sessions.SetRejection(kOne, Offset(3), "offset 3: no");
  EXPECT_EQ(sessions.LastRejection(kOne), "offset 3: no");
  EXPECT_EQ(sessions.EpochOf(kOne), kEpoch);
  sessions.Remove(kOne);
  sessions.Remove(kOne);
  EXPECT_EQ(sessions.LastRejection(kOne), "");
  EXPECT_FALSE(sessions.HasLiveSession(kOne));
  sessions.Touch(kTwo, kEpoch, Offset(5));
  sessions.Clear();
  EXPECT_FALSE(sessions.HasLiveSession(kTwo));
}

}  // namespace
}  // namespace kvorum::controller
