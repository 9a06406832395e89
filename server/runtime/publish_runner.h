#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "server/base/mutex.h"
#include "server/node/ports.h"
#include "server/publish/committed_log.h"
#include "server/publish/update_publisher.h"
#include "server/runtime/event_loop.h"

namespace kvorum {

// The publish loop: an UpdatePublisher on a thread of its own, because a thousand stream writes
// hold the thread that makes them for more than 10 ms. Owned by NodeRunner.
class PublishRunner : public CommitFeed, private LoopDriver {
 public:
  using PublisherTask = std::function<void(Now, publish::UpdatePublisher&)>;

  // `log` is used on the publish loop.
  PublishRunner(publish::PublisherConfig config, publish::CommittedLog& log);
  ~PublishRunner() override;

  void Start() { loop_.Start(*this); }

  // --- node's loop only; collected until Flush, which costs one wake-up per turn ---
  void OnCommit(publish::CommittedUpdate update) override;
  void OnImage(std::shared_ptr<const MetadataImage> image) override;
  void OnLeader(publish::LeaderView leader) override;
  void Flush();

  // --- any thread ---
  // Runs `task` on the publish loop. False if it is stopped: then nothing touches the publisher or
  // a subscriber's sink any more.
  bool Post(PublisherTask task);

  // Says GoAway to all subscribers. Idempotent.
  void BeginShutdown();
  // False if subscribers are left at `deadline`.
  bool WaitUntilEmpty(TimePoint deadline) EXCLUDES_LOCK(mutex_);
  void Stop() { loop_.Stop(); }

 private:
  using Fact = std::variant<publish::CommittedUpdate, std::shared_ptr<const MetadataImage>,
                            publish::LeaderView>;

  TimePoint NextDeadline() const override { return publisher_.NextDeadline(); }
  void OnTimer(Now now) override { publisher_.HandleTimer(now.now); }
  void OnTurnEnd(Now now) override EXCLUDES_LOCK(mutex_);

  std::vector<Fact> facts_;                    // node's loop only
  std::atomic<bool> has_subscribers_ = false;  // a hint

  publish::UpdatePublisher publisher_;  // publish loop only
  bool shutting_down_ = false;          // publish loop only

  Mutex mutex_;
  CondVar empty_changed_;
  bool is_empty_after_shutdown_ GUARDED_BY(mutex_) = false;

  EventLoop loop_;  // last: its thread uses everything above
};

}  // namespace kvorum
