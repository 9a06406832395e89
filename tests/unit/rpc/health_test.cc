#include "server/rpc/health.h"

#include <gtest/gtest.h>

#include <map>

namespace kvorum::rpc {
namespace {

class FakeService : public grpc::HealthCheckServiceInterface {
 public:
  void SetServingStatus(const std::string& name, bool is_serving) override {
    serving[name] = is_serving;
  }
  void SetServingStatus(bool) override {}

  std::map<std::string, bool> serving;
};

TEST(HealthTest, AttachedServiceLearnsEverythingKnown) {
  Health health;
  health.OnReadiness(true);
  FakeService service;
  health.Attach(&service);
  EXPECT_EQ(service.serving,
            (std::map<std::string, bool>{
                {"", true}, {"liveness", true}, {"readiness", true}, {"leader", false}}));
}

TEST(HealthTest, ReadinessAndLeaderFollowTheNode) {
  Health health;
  FakeService service;
  health.Attach(&service);
  EXPECT_FALSE(service.serving["readiness"]);
  health.OnReadiness(true);
  EXPECT_TRUE(service.serving["readiness"]);
  EXPECT_FALSE(service.serving["leader"]);
  health.OnActiveController(Epoch(1), true);
  EXPECT_TRUE(service.serving["leader"]);
  health.OnActiveController(Epoch(1), false);
  health.OnReadiness(false);
  EXPECT_FALSE(service.serving["leader"]);
  EXPECT_FALSE(health.is_ready());
}

TEST(HealthTest, ShutdownEndsEverythingButLiveness) {
  Health health;
  FakeService service;
  health.Attach(&service);
  health.BeginShutdown();
  health.OnReadiness(true);
  EXPECT_FALSE(service.serving[""]);
  EXPECT_FALSE(service.serving["readiness"]);
  EXPECT_TRUE(service.serving["liveness"]);
}

TEST(HealthTest, DetachedServiceIsLeftAlone) {
  Health health;
  FakeService service;
  health.Attach(&service);
  health.DetachAll();
  health.OnReadiness(true);
  EXPECT_FALSE(service.serving["readiness"]);
}

}  // namespace
}  // namespace kvorum::rpc
