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
  thread_ = std::thread([this, &driver] {
    pthread_setname_np(pthread_self(), name_.c_str());
    Run(driver);
  });
}

void EventLoop::Stop() {
  mailbox_.Close();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void EventLoop::Run(LoopDriver& driver) {
  bool open = true;
  for (bool took = true; open || took;) {
    const size_t client_left = client_.size() - next_client_;
    const bool takes_client = driver.TakesClientTasks();
    const bool busy = takes_client && client_left > 0;
    open = mailbox_.Take({.client_lane = takes_client && client_left == 0,
                          .client_left = client_left,
                          .deadline = busy ? Mailbox::kDoNotWait : driver.NextDeadline()},
                         urgent_, client_);
    took = !urgent_.empty() || !client_.empty();
    const Now now = ReadClock();
    RunUrgent(now);
    RunClient(now, driver);
    if (driver.NextDeadline() <= now.now) {
      driver.OnTimer(now);
    }
    driver.OnTurnEnd(now);
  }
}

void EventLoop::RunUrgent(Now now) {
  for (Task& task : urgent_) {
    task(now);
  }
  urgent_.clear();
}

void EventLoop::RunClient(Now now, const LoopDriver& driver) {
  const size_t end = std::min(client_.size(), next_client_ + kMaxClientTasksPerTurn);
  for (; next_client_ < end && driver.TakesClientTasks(); ++next_client_) {
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
