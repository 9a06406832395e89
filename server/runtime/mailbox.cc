#include "server/runtime/mailbox.h"

#include <utility>

#include "server/base/check.h"
#include "server/runtime/clock.h"

namespace kvorum {

PostResult Mailbox::TryPost(Lane lane, Task task) {
  bool wake = false;
  {
    MutexLock lock(mutex_);
    if (closed_) {
      return PostResult::kClosed;
    }
    if (lane == Lane::kUrgent) {
      if (urgent_.size() >= limits_.urgent_max) {
        return PostResult::kFull;
      }
      urgent_.push_back(std::move(task));
      wake = std::exchange(sleeping_, false);
    } else {
      if (client_.size() + client_taken_ >= limits_.client_max) {
        return PostResult::kFull;
      }
      client_.push_back(std::move(task));
      wake = sleeper_wants_client_ && std::exchange(sleeping_, false);
    }
  }
  if (wake) {
    wake_.NotifyOne();
  }
  return PostResult::kAccepted;
}

bool Mailbox::Post(Task task) {
  bool wake = false;
  {
    MutexLock lock(mutex_);
    if (closed_) {
      return false;
    }
    urgent_.push_back(std::move(task));
    wake = std::exchange(sleeping_, false);
  }
  if (wake) {
    wake_.NotifyOne();
  }
  return true;
}

bool Mailbox::TryBorrow() {
  MutexLock lock(mutex_);
  // Asleep with nothing to do: whatever is posted from here on comes after the borrower's turn.
  if (closed_ || borrowed_ || !sleeping_ || !sleeper_wants_client_) {
    return false;
  }
  borrowed_ = true;
  sleeping_ = false;
  return true;
}

void Mailbox::Return(TimePoint deadline, bool takes_client_tasks) {
  bool wake = false;
  {
    MutexLock lock(mutex_);
    borrowed_ = false;
    // The loop's thread fell asleep wanting client tasks; it must look again before it takes more.
    wake = closed_ || overslept_ || !takes_client_tasks || !urgent_.empty() || !client_.empty() ||
           deadline < sleeps_until_;
    sleeping_ = !wake;
  }
  if (wake) {
    wake_.NotifyOne();
  }
}

bool Mailbox::Take(const Wanted& wanted, std::vector<Task>& urgent, std::vector<Task>& client) {
  KVORUM_CHECK(urgent.empty(), "{} urgent tasks were left", urgent.size());
  KVORUM_CHECK(!wanted.client_lane || client.empty(), "{} client tasks were left", client.size());
  MutexLock lock(mutex_);
  const auto has_work = [&]() REQUIRES_LOCK(mutex_) {
    return closed_ || !urgent_.empty() || (wanted.client_lane && !client_.empty());
  };
  if (!has_work() && wanted.deadline != kDoNotWait) {
    sleeping_ = true;
    sleeper_wants_client_ = wanted.client_lane;
    sleeps_until_ = wanted.deadline;
    overslept_ = false;
    while (borrowed_ || (sleeping_ && !overslept_)) {
      if (wanted.deadline == kNever || overslept_) {
        wake_.Wait(mutex_);
      } else {
        overslept_ = !wake_.WaitUntil(mutex_, ToSteadyTime(wanted.deadline));
      }
    }
  }
  sleeping_ = false;
  urgent.swap(urgent_);
  client_taken_ = wanted.client_left;
  if (wanted.client_lane) {
    client.swap(client_);
    client_taken_ += client.size();
  }
  return !closed_;
}

void Mailbox::Close() {
  {
    MutexLock lock(mutex_);
    closed_ = true;
    sleeping_ = false;
  }
  wake_.NotifyOne();
}

}  // namespace kvorum
