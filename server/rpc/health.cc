#include "server/rpc/health.h"

namespace kvorum::rpc {

Health::Health()
    : serving_({{"", true}, {"liveness", true}, {"readiness", false}, {"leader", false}}) {}

bool Health::is_ready() const {
  MutexLock lock(mutex_);
  return serving_.at("readiness");
}

void Health::Set(const std::string& name, bool serving) {
  MutexLock lock(mutex_);
  if (shutting_down_ || serving_[name] == serving) {
    return;
  }
  serving_[name] = serving;
  for (grpc::HealthCheckServiceInterface* service : services_) {
    service->SetServingStatus(name, serving);
  }
}

void Health::BeginShutdown() {
  for (const char* name : {"", "readiness", "leader"}) {
    Set(name, false);
  }
  MutexLock lock(mutex_);
  shutting_down_ = true;
}

void Health::Attach(grpc::HealthCheckServiceInterface* service) {
  if (service == nullptr) {
    return;
  }
  MutexLock lock(mutex_);
  for (const auto& [name, serving] : serving_) {
    service->SetServingStatus(name, serving);
  }
  services_.push_back(service);
}

void Health::DetachAll() {
  MutexLock lock(mutex_);
  services_.clear();
}

}  // namespace kvorum::rpc
