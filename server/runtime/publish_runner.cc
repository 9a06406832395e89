#include "server/runtime/publish_runner.h"

#include <utility>

#include "server/base/overloaded.h"
#include "server/runtime/clock.h"

namespace kvorum {

PublishRunner::PublishRunner(publish::PublisherConfig config, publish::CommittedLog& log)
    : publisher_(std::move(config), log), loop_("kv-publish", {}) {}

PublishRunner::~PublishRunner() { Stop(); }

void PublishRunner::OnCommit(publish::CommittedUpdate update) {
  facts_.emplace_back(std::move(update));
}

void PublishRunner::OnImage(std::shared_ptr<const MetadataImage> image) {
  facts_.emplace_back(std::move(image));
}

void PublishRunner::OnLeader(publish::LeaderView leader) { facts_.emplace_back(std::move(leader)); }

void PublishRunner::Flush() {
  if (facts_.empty()) {
    return;
  }
  Task tell = [this, facts = std::exchange(facts_, {})](Now now) mutable {
    for (Fact& fact : facts) {
      std::visit(
          Overloaded{[&](publish::CommittedUpdate& update) { publisher_.OnCommit(update); },
                     [&](std::shared_ptr<const MetadataImage>& image) {
                       publisher_.OnImage(now.now, std::move(image));
                     },
                     [&](publish::LeaderView& leader) { publisher_.OnLeader(std::move(leader)); }},
          fact);
    }
  };
  // After Stop nobody is left to be told. With nobody to write to, it is less work than waking the
  // other thread, which would cost a tenth of a busy node's time.
  if (has_subscribers_.load(std::memory_order_relaxed)) {
    loop_.Post(std::move(tell));
  } else {
    loop_.RunOrPost(std::move(tell));
  }
}

bool PublishRunner::Post(PublisherTask task) {
  return loop_.Post([this, task = std::move(task)](Now now) { task(now, publisher_); });
}

void PublishRunner::BeginShutdown() {
  loop_.Post([this](Now now) {
    shutting_down_ = true;
    publisher_.BeginShutdown(now.now);
  });
}

bool PublishRunner::WaitUntilEmpty(TimePoint deadline) {
  MutexLock lock(mutex_);
  while (!is_empty_after_shutdown_) {
    if (!empty_changed_.WaitUntil(mutex_, ToSteadyTime(deadline))) {
      return is_empty_after_shutdown_;
    }
  }
  return true;
}

void PublishRunner::OnTurnEnd(Now) {
  has_subscribers_.store(publisher_.subscription_count() > 0, std::memory_order_relaxed);
  if (!shutting_down_ || publisher_.subscription_count() > 0) {
    return;
  }
  MutexLock lock(mutex_);
  is_empty_after_shutdown_ = true;
  empty_changed_.NotifyAll();
}

}  // namespace kvorum
