#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "server/base/random.h"
#include "server/controller/commands.h"
#include "tests/sim/sim_process.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// What a caller learns of its call. Without an answer the call may have been carried out or not,
// except when the connection was refused.
template <typename T>
struct CallResult {
  enum class Kind { kAnswered, kRefused, kTimedOut };
  Kind kind = Kind::kTimedOut;
  absl::StatusOr<T> answer = absl::UnknownError("no answer");
};

// One call of a client or broker to a controller: how to hand it to the node, and who looks at the
// answer, first when it leaves the node (checkers) and then when it arrives (the caller).
template <typename T>
struct ClientCall {
  int actor = 0;
  NodeId to;
  Duration timeout{};
  bool is_command = false;  // waits while the node does not accept commands
  std::function<void(SimProcess&, Now, TimePoint deadline, std::function<void(absl::StatusOr<T>)>)>
      invoke;
  std::function<void(SimProcess&, const absl::StatusOr<T>&)> on_leave;
  std::function<void(CallResult<T>)> on_result;
};

// A command to the controller `to`. Who looks at the answer is the caller's to say.
inline ClientCall<controller::CommandReply> MakeCommandCall(const World& world, int actor,
                                                            NodeId to,
                                                            controller::Command command) {
  ClientCall<controller::CommandReply> call;
  call.actor = actor;
  call.to = to;
  call.timeout = world.options.workload.call_timeout;
  call.is_command = true;
  call.invoke = [command = std::move(command)](SimProcess& process, Now now, TimePoint deadline,
                                               auto done) {
    process.node().HandleCommand(now, command, deadline, std::move(done));
  };
  return call;
}

namespace internal {

template <typename T>
struct CallState {
  ClientCall<T> call;
  bool resolved = false;

  void Resolve(CallResult<T> result) {
    if (!std::exchange(resolved, true)) {
      call.on_result(std::move(result));
    }
  }
};

// A client's path loses whole connections, not single messages.
inline bool PathCarries(World& world, int actor, NodeId node) { return !world.IsCut(actor, node); }

template <typename T>
void HandToProcess(World& world, SimProcess& process, std::shared_ptr<CallState<T>> state,
                   Duration return_delay) {
  auto done = process.Once<T>([&world, &process, state, return_delay](absl::StatusOr<T> answer) {
    world.log.Mix(static_cast<uint64_t>(answer.status().raw_code()));
    state->call.on_leave(process, answer);
    if (PathCarries(world, state->call.actor, state->call.to)) {
      world.queue.After(return_delay, [state, answer = std::move(answer)] {
        state->Resolve({.kind = CallResult<T>::Kind::kAnswered, .answer = answer});
      });
    }
  });
  const TimePoint deadline = process.LocalNow().now + state->call.timeout;
  auto task = [&process, state, deadline, done = std::move(done)](Now now) {
    state->call.invoke(process, now, deadline, done);
  };
  if (state->call.is_command) {
    process.PostCommand(std::move(task));
  } else {
    process.Post(std::move(task));
  }
}

}  // namespace internal

// Makes the call. `on_result` comes exactly once, within the timeout.
template <typename T>
void StartCall(World& world, Random& random, ClientCall<T> call) {
  auto state = std::make_shared<internal::CallState<T>>();
  state->call = std::move(call);
  world.queue.After(state->call.timeout, [state] { state->Resolve({}); });
  const NetworkFaults& faults = world.network_faults;
  const Duration there = DrawBetween(random, faults.min_delay, faults.max_delay);
  const Duration back = DrawBetween(random, faults.min_delay, faults.max_delay);
  if (!internal::PathCarries(world, state->call.actor, state->call.to)) {
    return;
  }
  world.queue.After(there, [&world, state, back] {
    if (!internal::PathCarries(world, state->call.actor, state->call.to)) {
      return;
    }
    SimProcess* process = world.RunningOn(state->call.to);
    if (process == nullptr) {
      world.queue.After(back, [state] { state->Resolve({.kind = CallResult<T>::Kind::kRefused}); });
    } else {
      internal::HandToProcess(world, *process, state, back);
    }
  });
}

}  // namespace kvorum::sim
