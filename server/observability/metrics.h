#pragma once

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "server/base/mutex.h"
#include "server/base/time.h"
#include "server/raft/raft_trace.h"
#include "server/runtime/node_runner.h"
#include "server/runtime/request_observer.h"

namespace kvorum {

// Counters of this process, and on demand the node's own numbers, in Prometheus' text form. Names
// follow Kafka's MBeans in snake case. Owned by the composition root; any thread.
class Metrics : public RequestObserver {
 public:
  Metrics();

  void OnReply(std::string_view method, absl::StatusCode code) override EXCLUDES_LOCK(mutex_);

  // Node's loop only.
  void CountRaftEvent(raft::RaftTraceKind kind, std::string_view name);

  // Node's loop only.
  void ObservePropagation(Duration elapsed);

  // What was counted, as text.
  std::string Counters() const;

  // The same, and what `runner`'s loops say of themselves now; those are left out if a loop does
  // not answer within a second.
  std::string Scrape(NodeRunner& runner) const;

 private:
  static constexpr size_t kRaftTraceKinds = 32;  // more than there are

  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Counter>& raft_events_;
  prometheus::Histogram& propagation_;
  std::array<prometheus::Counter*, kRaftTraceKinds> raft_event_counters_{};  // by kind

  Mutex mutex_;
  // A method's name lives for ever, so its address names it.
  std::map<std::pair<const char*, absl::StatusCode>, prometheus::Counter*> request_counters_
      GUARDED_BY(mutex_);
};

}  // namespace kvorum
