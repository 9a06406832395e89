#include "server/runtime/event_loop.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "server/runtime/clock.h"

namespace kvorum {
namespace {

constexpr size_t kMaxThreadNameLength = 15;  // pthread_setname_np's limit

}  // namespace

EventLoop::EventLoop(std::string name, Mailbox::Limits limits)
    : name_(name.substr(0, kMaxThreadNameLength)), mailbox_(limits) {}

EventLoop::~EventLoop() { Stop(); }

void EventLoop::Start(LoopDriver& driver) {
  driver_ = &driver;
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), name_.c_str());
    Run();
  });
}

void EventLoop::Stop() {
  mailbox_.Close();
  if (thread_.joinable()) {
    thread_.join();
  }
}

PostResult EventLoop::RunOrTryPost(Lane lane, Task task) {
  return TryRun(task) ? PostResult::kAccepted : mailbox_.TryPost(lane, std::move(task));
}

bool EventLoop::RunOrPost(Task task) { return TryRun(task) || mailbox_.Post(std::move(task)); }

bool EventLoop::TryRun(Task& task) {
  if (!mailbox_.TryBorrow()) {
    return false;
  }
  const Now now = ReadClock();
  task(now);
  task = nullptr;  // what it holds is freed within the turn
  EndTurn(now);
  mailbox_.Return(driver_->NextDeadline(), driver_->TakesClientTasks());
  return true;
}

void EventLoop::EndTurn(Now now) {
  if (driver_->NextDeadline() <= now.now) {
    driver_->OnTimer(now);
  }
  driver_->OnTurnEnd(now);
}

void EventLoop::Run() {
  bool open = true;
  for (bool took = true; open || took;) {
    const size_t client_left = client_.size() - next_client_;
    const bool takes_client = driver_->TakesClientTasks();
    const bool busy = takes_client && client_left > 0;
    open = mailbox_.Take({.client_lane = takes_client && client_left == 0,
                          .client_left = client_left,
                          .deadline = busy ? Mailbox::kDoNotWait : driver_->NextDeadline()},
                         urgent_, client_);
    took = !urgent_.empty() || !client_.empty();
    const Now now = ReadClock();
    RunUrgent(now);
    RunClient(now);
    EndTurn(now);
  }
}

void EventLoop::RunUrgent(Now now) {
  for (Task& task : urgent_) {
    task(now);
  }
  urgent_.clear();
}

void EventLoop::RunClient(Now now) {
  const size_t end = std::min(client_.size(), next_client_ + kMaxClientTasksPerTurn);
  const TimePoint give_way_at = now.now + kMaxClientTime;
  for (; next_client_ < end && driver_->TakesClientTasks() && ReadClock().now < give_way_at;
       ++next_client_) {
    // Moved out, so that what the task holds is freed with it and not at the end of the lane.
    Task task = std::move(client_[next_client_]);
    task(now);
  }
  if (next_client_ == client_.size()) {
    client_.clear();
    next_client_ = 0;
  }
}

}  // namespace kvorum
