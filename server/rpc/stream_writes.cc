#include "server/rpc/stream_writes.h"

#include <utility>

#include "server/base/check.h"

namespace kvorum::rpc {

void StreamWrites::OnBegin() {
  ++begun_;
  if (begun_ == 1) {
    // Runs in the turn after this one. If the loop is being stopped, nobody is left to be told.
    publisher_.Post([this](Now, publish::UpdatePublisher&) { OnTurnOver(); });
  } else if (begun_ == 2) {
    MutexLock lock(mutex_);
    is_burst_ = true;
  }
}

void StreamWrites::OnTurnOver() {
  if (std::exchange(begun_, 0) < 2) {
    return;
  }
  MutexLock lock(mutex_);
  is_burst_ = false;
  rest_over_.NotifyAll();
}

void StreamWrites::OnEnd(Writer& writer, bool ok) {
  MutexLock lock(mutex_);
  ended_.push_back({&writer, ok});
  if (ended_.size() == 1) {
    // Under the lock: who adds to what gathers may rely on the task being posted.
    const bool posted = publisher_.Post(
        [this](Now now, publish::UpdatePublisher& publisher) { TellPublisher(now, publisher); });
    KVORUM_CHECK(posted, "the publish loop was stopped before the stream service was idle");
  }
  if (is_burst_) {
    Rest();
  }
}

void StreamWrites::TellPublisher(Now now, publish::UpdatePublisher& publisher) {
  std::vector<Report> ended;
  {
    MutexLock lock(mutex_);
    ended.swap(ended_);
    ended_.reserve(ended.size());
  }
  for (const Report& report : ended) {
    report.writer->OnWriteEnded(now, publisher, report.ok);
  }
}

void StreamWrites::Rest() {
  const auto now = std::chrono::steady_clock::now();
  if (now < awake_until_) {
    return;
  }
  const auto end = now + kRest;
  while (is_burst_ && rest_over_.WaitUntil(mutex_, end)) {
  }
  awake_until_ = std::chrono::steady_clock::now() + kBetweenRests;
}

}  // namespace kvorum::rpc
