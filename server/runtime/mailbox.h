#pragma once

#include <cstddef>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "server/base/mutex.h"
#include "server/base/time.h"

namespace kvorum {

// One thing to do on a loop; `now` is that of the loop's turn. Runs exactly once, or is destroyed.
using Task = absl::AnyInvocable<void(Now)>;

// Peers, storage completions and heartbeats come before clients, so that no flood of requests can
// fence a healthy broker or cost a leader its leadership (KAFKA-15019).
enum class Lane { kUrgent, kClient };

enum class PostResult { kAccepted, kFull, kClosed };

// The way into a loop: two bounded lanes under one mutex. Many producers, one consumer that takes
// everything in one swap per turn; a producer pays for a wake-up only if the consumer sleeps. Owned
// by an EventLoop; Post functions may be called by any thread, Take by the loop only.
class Mailbox {
 public:
  struct Limits {
    size_t urgent_max = 100'000;
    size_t client_max = 20'000;
  };

  explicit Mailbox(Limits limits) : limits_(limits) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // Adds a task that somebody outside asked for; a refused one is destroyed.
  PostResult TryPost(Lane lane, Task task) EXCLUDES_LOCK(mutex_);

  // Adds an urgent task above the limit too: for completions of what the loop itself began, which
  // is bounded where it begins. False if closed.
  bool Post(Task task) EXCLUDES_LOCK(mutex_);

  static constexpr TimePoint kDoNotWait = TimePoint::min();

  struct Wanted {
    bool client_lane = true;  // false: client tasks stay where they are
    size_t client_left = 0;   // taken earlier and not yet run; they count against the limit
    TimePoint deadline = kNever;
  };

  // The right to run a turn in the loop's place, for a caller that finds the loop asleep and
  // wanting work of both lanes: it saves the wake-up of another thread, which costs more than most
  // turns. True: run one turn, then call Return; until then the loop stays out.
  bool TryBorrow() EXCLUDES_LOCK(mutex_);
  // What the driver says after the turn: its deadline, and whether it still takes client tasks.
  void Return(TimePoint deadline, bool takes_client_tasks) EXCLUDES_LOCK(mutex_);

  // Swaps the wanted lanes into the empty vectors `urgent` and `client`, after waiting until there
  // is something in them, the deadline passed, or the mailbox was closed. False once it is closed.
  bool Take(const Wanted& wanted, std::vector<Task>& urgent, std::vector<Task>& client)
      EXCLUDES_LOCK(mutex_);

  // Nothing is accepted any more; what was can still be taken.
  void Close() EXCLUDES_LOCK(mutex_);

 private:
  const Limits limits_;
  Mutex mutex_;
  CondVar wake_;
  std::vector<Task> urgent_ GUARDED_BY(mutex_);
  std::vector<Task> client_ GUARDED_BY(mutex_);
  size_t client_taken_ GUARDED_BY(mutex_) = 0;
  bool sleeping_ GUARDED_BY(mutex_) = false;
  bool sleeper_wants_client_ GUARDED_BY(mutex_) = false;
  TimePoint sleeps_until_ GUARDED_BY(mutex_) = kNever;
  bool overslept_ GUARDED_BY(mutex_) = false;  // the deadline passed, maybe during a borrowed turn
  bool borrowed_ GUARDED_BY(mutex_) = false;
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace kvorum
