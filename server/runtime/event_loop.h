#pragma once

#include <string>
#include <thread>
#include <vector>

#include "server/base/time.h"
#include "server/runtime/mailbox.h"

namespace kvorum {

// What lives on a loop and owns the state its tasks touch. All calls come from the loop's thread.
class LoopDriver {
 public:
  virtual ~LoopDriver() = default;

  // When OnTimer is due; kNever if nothing is pending.
  virtual TimePoint NextDeadline() const = 0;
  virtual void OnTimer(Now now) = 0;

  // After all tasks of a turn: carry out together what they made necessary.
  virtual void OnTurnEnd(Now now) = 0;

  // While false, client tasks wait in their lane. Asked before each of them. Must become true once
  // the loop is being stopped, or their callers would never be answered.
  virtual bool TakesClientTasks() const { return true; }
};

// One thread that runs tasks in turns: takes everything posted, runs it, fires the timer if it is
// due, calls OnTurnEnd once, and sleeps until the next task or deadline. While it sleeps, a caller
// of RunOrTryPost may run a turn in its place: turns never overlap, and "on the loop" means "in a
// turn". Owned by a runner; Post functions may be called by any thread, also before Start.
class EventLoop {
 public:
  // Client tasks of one turn; urgent ones that arrive meanwhile wait no longer than these take.
  static constexpr size_t kMaxClientTasksPerTurn = 512;
  // And the time after which no further one begins: peers and heartbeats wait no longer than this
  // and one task.
  static constexpr Duration kMaxClientTime = std::chrono::milliseconds(10);

  EventLoop(std::string name, Mailbox::Limits limits);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Starts the thread. `driver` must outlive it.
  void Start(LoopDriver& driver);

  PostResult TryPost(Lane lane, Task task) { return mailbox_.TryPost(lane, std::move(task)); }

  // As TryPost, but if the loop is asleep the task and the rest of its turn run on the calling
  // thread, before this returns. REQUIRES: the caller holds no lock that the driver or a task
  // takes.
  PostResult RunOrTryPost(Lane lane, Task task);
  bool RunOrPost(Task task);
  bool Post(Task task) { return mailbox_.Post(std::move(task)); }

  // Accepts nothing any more, runs what was accepted, and joins the thread. Idempotent; not from
  // the loop itself.
  void Stop();

 private:
  void Run();
  bool TryRun(Task& task);
  void EndTurn(Now now);
  void RunUrgent(Now now);
  void RunClient(Now now);

  const std::string name_;
  Mailbox mailbox_;
  std::thread thread_;
  LoopDriver* driver_ = nullptr;  // set before the thread starts

  // Loop thread only.
  std::vector<Task> urgent_;
  std::vector<Task> client_;
  size_t next_client_ = 0;  // of client_; those before it have run
};

}  // namespace kvorum
