#pragma once

#include <chrono>
#include <vector>

#include "server/base/mutex.h"
#include "server/runtime/publish_runner.h"

namespace kvorum::rpc {

// The way back of the streams' writes, from gRPC's threads to the publish loop. A commit begins a
// thousand writes one after the other, each of which ends at once: unguarded, each would wake
// gRPC's polling thread, and that the loop, for as much time as the write itself takes.
//  - What has ended gathers, and the loop is told once of all of it.
//  - While the loop goes on writing, a polling thread that brings a report rests for a moment, and
//    finds many more when it goes on (what network cards do with interrupts).
// Owned by StreamServiceImpl.
class StreamWrites {
 public:
  class Writer {
   public:
    virtual ~Writer() = default;
    // On the publish loop.
    virtual void OnWriteEnded(Now now, publish::UpdatePublisher& publisher, bool ok) = 0;
  };

  // How long a polling thread rests, at most: so much later it sees requests of others. And how
  // long it polls before it may rest again.
  static constexpr auto kRest = std::chrono::microseconds(150);
  static constexpr auto kBetweenRests = std::chrono::microseconds(50);

  explicit StreamWrites(PublishRunner& publisher) : publisher_(publisher) {}
  StreamWrites(const StreamWrites&) = delete;
  StreamWrites& operator=(const StreamWrites&) = delete;

  // On the publish loop, before a write begins.
  void OnBegin() EXCLUDES_LOCK(mutex_);

  // On gRPC's threads. What is posted to the publish loop after this comes after OnWriteEnded.
  void OnEnd(Writer& writer, bool ok) EXCLUDES_LOCK(mutex_);

 private:
  struct Report {
    Writer* writer;
    bool ok;
  };

  void TellPublisher(Now now, publish::UpdatePublisher& publisher) EXCLUDES_LOCK(mutex_);
  void OnTurnOver() EXCLUDES_LOCK(mutex_);
  void Rest() REQUIRES_LOCK(mutex_);

  PublishRunner& publisher_;
  size_t begun_ = 0;  // in this turn of the publish loop; there only

  Mutex mutex_;
  CondVar rest_over_;
  std::vector<Report> ended_ GUARDED_BY(mutex_);
  bool is_burst_ GUARDED_BY(mutex_) = false;  // the loop is at the second write of a turn, or later
  std::chrono::steady_clock::time_point awake_until_ GUARDED_BY(mutex_);
};

}  // namespace kvorum::rpc
