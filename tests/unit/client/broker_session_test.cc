#include "client/broker_session.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/client/fake_controller.h"

namespace kvorum::client {
namespace {

using std::chrono::milliseconds;
using testing::Eventually;
using testing::FakeController;

constexpr int64_t kEpoch = 100;

// Registers brokers, and unfences one that has applied its registration, as a controller does.
class BrokerSessionTest : public ::testing::Test {
 protected:
  BrokerSessionTest() {
    server_.on_register = [this](const v1::RegisterBrokerRequest& request,
                                 v1::RegisterBrokerResponse& response) {
      const std::lock_guard<std::mutex> lock(mutex_);
      incarnations_.insert(request.incarnation_id());
      response.set_broker_epoch(kEpoch + static_cast<int64_t>(incarnations_.size()));
      return grpc::Status::OK;
    };
    server_.on_heartbeat = [this](const v1::HeartbeatRequest& request,
                                  v1::HeartbeatResponse& response) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (request.broker_epoch() < valid_epoch_) {
        return testing::MakeStatus({grpc::StatusCode::FAILED_PRECONDITION, "STALE_BROKER_EPOCH"});
      }
      const bool caught_up = request.applied_offset() > request.broker_epoch();
      response.set_is_caught_up(caught_up);
      response.set_is_fenced(!caught_up || request.want_shutdown());
      response.set_should_shutdown(request.want_shutdown());
      said_goodbye_ = request.want_shutdown();
      response.mutable_header()->set_leader_epoch(leader_epoch_);
      return grpc::Status::OK;
    };
    server_.on_acknowledge = [this](const v1::AcknowledgeMetadataRequest& request,
                                    v1::AcknowledgeMetadataResponse& response) {
      const std::lock_guard<std::mutex> lock(mutex_);
      response.mutable_header()->set_leader_epoch(leader_epoch_);
      if (request.has_rejected()) {
        rejection_ = request.rejected().message();
        rejected_in_.push_back(leader_epoch_);
      }
      return grpc::Status::OK;
    };
    options_.broker_id = 7;
    options_.heartbeat_interval = std::chrono::hours(1);
    options_.fenced_interval = milliseconds(10);
    options_.acknowledge_interval = milliseconds(10);
  }

  // What the controller has seen. Under the lock also where nothing can be running any more: the
  // order that the network gives is not one that ThreadSanitizer sees.
  size_t incarnation_count() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return incarnations_.size();
  }
  bool said_goodbye() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return said_goodbye_;
  }
  std::string rejection() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return rejection_;
  }
  // The leader epochs in which a rejection was told.
  std::vector<int32_t> rejected_in() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return rejected_in_;
  }
  // Another controller takes over, which knows nothing of what the one before was told.
  void SetLeaderEpoch(int32_t epoch) {
    const std::lock_guard<std::mutex> lock(mutex_);
    leader_epoch_ = epoch;
  }
  static bool BeatsOnAndOn(const BrokerSession& session) {
    const int64_t before = session.status().heartbeat_count;
    return Eventually([&] { return session.status().heartbeat_count >= before + 5; });
  }
  void TearDown() override {
    server_.Stop();
    const std::lock_guard<std::mutex> lock(mutex_);
  }

  FakeController server_;
  ControllerClient client_{
      std::make_shared<Endpoints>(std::vector<std::string>{server_.endpoint()})};
  BrokerSessionOptions options_;

  std::mutex mutex_;  // guards all below
  std::set<std::string> incarnations_;
  int64_t valid_epoch_ = 0;
  bool said_goodbye_ = false;
  std::string rejection_;
  int32_t leader_epoch_ = 7;
  std::vector<int32_t> rejected_in_;
};

TEST_F(BrokerSessionTest, IsUnfencedAsSoonAsItHasAppliedItsRegistration) {
  BrokerSession session(client_, options_);
  session.Start();
  ASSERT_TRUE(Eventually([&] { return session.status().heartbeat_count > 0; }));
  EXPECT_EQ(session.epoch(), kEpoch + 1);
  EXPECT_TRUE(session.is_fenced());
  session.SetApplied(kEpoch + 2);
  EXPECT_TRUE(Eventually([&] { return !session.is_fenced(); }));
  session.Stop();
}

TEST_F(BrokerSessionTest, AcknowledgesWhatWasAppliedBetweenHeartbeats) {
  BrokerSession session(client_, options_);
  session.SetApplied(kEpoch + 2);
  session.Start();
  ASSERT_TRUE(Eventually([&] { return !session.is_fenced(); }));
  for (int64_t offset = kEpoch + 3; offset <= kEpoch + 500; ++offset) {
    session.SetApplied(offset);
  }
  EXPECT_TRUE(Eventually([&] { return session.status().acknowledged_offset == kEpoch + 500; }));
  session.Stop();
  // Coalesced: not one call for each.
  EXPECT_LT(session.status().acknowledge_count, 400);
  EXPECT_GE(session.status().acknowledge_count, 1);
}

TEST_F(BrokerSessionTest, RegistersANewIncarnationWhenItsEpochIsStale) {
  std::atomic<int64_t> told_epoch{0};
  BrokerSession session(client_, options_, [&](int64_t epoch) { told_epoch.store(epoch); });
  session.Start();
  ASSERT_TRUE(Eventually([&] { return session.epoch() == kEpoch + 1; }));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    valid_epoch_ = kEpoch + 2;
  }
  EXPECT_TRUE(Eventually([&] { return session.epoch() == kEpoch + 2; }));
  EXPECT_EQ(told_epoch.load(), kEpoch + 2);
  session.Stop();
  EXPECT_EQ(incarnation_count(), 2u);
  EXPECT_EQ(session.status().registration_count, 2);
}

TEST_F(BrokerSessionTest, KeepsItsIncarnationWhileRegistrationsGetLost) {
  std::atomic<int> attempts{0};
  const auto accept = server_.on_register;
  server_.on_register = [&](const v1::RegisterBrokerRequest& request,
                            v1::RegisterBrokerResponse& response) {
    accept(request, response);
    return ++attempts < 4 ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "reply lost")
                          : grpc::Status::OK;
  };
  BrokerSession session(client_, options_);
  session.Start();
  EXPECT_TRUE(Eventually([&] { return session.epoch() > 0; }));
  session.Stop();
  EXPECT_EQ(incarnation_count(), 1u);
}

TEST_F(BrokerSessionTest, SaysGoodbyeWhenStopped) {
  BrokerSession session(client_, options_);
  session.Start();
  ASSERT_TRUE(Eventually([&] { return session.epoch() > 0; }));
  session.Stop();
  EXPECT_TRUE(said_goodbye());
  EXPECT_TRUE(session.status().should_shutdown);
}

TEST_F(BrokerSessionTest, TellsWhatItCouldNotApplyBeforeItLeaves) {
  BrokerSession session(client_, options_);
  session.Start();
  ASSERT_TRUE(Eventually([&] { return session.epoch() > 0; }));
  session.SetRejected(3, "unknown record");
  session.Stop();
  EXPECT_EQ(rejection(), "unknown record");
}

TEST_F(BrokerSessionTest, ARejectionIsToldAgainWhenAnotherControllerTakesOver) {
  options_.heartbeat_interval = milliseconds(10);
  BrokerSession session(client_, options_);
  session.SetApplied(kEpoch + 2);
  session.Start();
  ASSERT_TRUE(Eventually([&] { return !session.is_fenced(); }));
  session.SetRejected(kEpoch + 2, "unknown record");
  ASSERT_TRUE(Eventually([&] { return !rejected_in().empty(); }));
  ASSERT_TRUE(BeatsOnAndOn(session));
  EXPECT_EQ(rejected_in(), (std::vector<int32_t>{7})) << "once to each";

  SetLeaderEpoch(8);
  EXPECT_TRUE(Eventually([&] { return rejected_in().size() == 2; }));
  ASSERT_TRUE(BeatsOnAndOn(session));
  EXPECT_EQ(rejected_in(), (std::vector<int32_t>{7, 8}));
  EXPECT_EQ(rejection(), "unknown record");

  session.SetApplied(kEpoch + 3);  // after all
  SetLeaderEpoch(9);
  ASSERT_TRUE(BeatsOnAndOn(session));
  session.Stop();
  EXPECT_EQ(rejected_in(), (std::vector<int32_t>{7, 8})) << "it stands no more";
}

TEST_F(BrokerSessionTest, ARejectionIsToldAgainByTheNextIncarnation) {
  options_.heartbeat_interval = milliseconds(10);
  BrokerSession session(client_, options_);
  session.SetApplied(kEpoch + 20);
  session.Start();
  ASSERT_TRUE(Eventually([&] { return !session.is_fenced(); }));
  session.SetRejected(kEpoch + 20, "unknown record");
  ASSERT_TRUE(Eventually([&] { return rejected_in().size() == 1; }));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    valid_epoch_ = kEpoch + 2;
  }
  EXPECT_TRUE(Eventually([&] { return rejected_in().size() == 2; }));
  EXPECT_EQ(session.epoch(), kEpoch + 2);
  session.Stop();
}

TEST_F(BrokerSessionTest, GivesUpWhenTheRegistrationIsRefusedForGood) {
  server_.on_register = [](const auto&, auto&) {
    return testing::MakeStatus({grpc::StatusCode::INVALID_ARGUMENT, "INVALID_REGISTRATION"});
  };
  BrokerSession session(client_, options_);
  session.Start();
  EXPECT_TRUE(Eventually([&] { return !session.status().fatal_error.empty(); }));
  session.Stop();
  EXPECT_FALSE(said_goodbye());
}

}  // namespace
}  // namespace kvorum::client
