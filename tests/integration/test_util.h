#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "client/controller_client.h"
#include "tests/support/cluster.h"

namespace kvorum::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How long anything that must happen may take before a test gives up on it.
inline constexpr milliseconds kPatience{20'000};

// Asks `predicate` again and again until it holds (true) or the time is over (false). For states
// of other processes, which announce nothing that could be awaited.
bool Eventually(const std::function<bool()>& predicate, milliseconds timeout = kPatience);

// Three controllers that lead within the second and write nothing by themselves but what is asked:
// idle no-op records would move the log under tests that compare it.
ClusterOptions QuietOptions();

// What all nodes agree on.
struct CommonState {
  std::string state_hash;
  int64_t applied = -1;
  int32_t leader_epoch = -1;
};

// Waits until all nodes of `indexes` (empty: all of the cluster) have applied the same offset with
// the same hash and epoch.
std::optional<CommonState> AwaitConvergence(Cluster& cluster, std::vector<int> indexes = {});

using Entries = std::map<std::string, std::string>;

v1::PutEntryRequest MakePut(std::string_view key, std::string_view value);

// Puts until it is acknowledged: after a death of the leader the first try may be sent into a dead
// socket, and its fate is unknown then.
client::Result<v1::PutEntryResponse> PutUntilAcknowledged(client::ControllerClient& client,
                                                          std::string_view key,
                                                          std::string_view value);

// Every entry, by a linearizable list over all pages; records a failure and returns what came.
Entries ListAll(client::ControllerClient& client);

// Threads that each put keys of their own, one after the other, and remember what became of each.
// Owned by a test; Stop before reading the results.
class WriteLoad {
 public:
  WriteLoad(const Cluster& cluster, int threads, std::string prefix);
  ~WriteLoad();
  WriteLoad(const WriteLoad&) = delete;
  WriteLoad& operator=(const WriteLoad&) = delete;

  void Stop();
  int64_t acknowledged_count() const;
  // Waits until so many more writes are acknowledged than at the call.
  bool AwaitMore(int64_t count, milliseconds timeout = kPatience) const;

  // The longest time in which no write was acknowledged, since the last call (or the beginning).
  milliseconds TakeLongestGap();

  // Acknowledged keys with their values, and keys whose fate the client does not know.
  Entries acknowledged() const;
  std::set<std::string> unknown() const;

 private:
  void Run(int thread, std::unique_ptr<client::ControllerClient> client);
  void NoteProgress();  // with mutex_ held

  const std::string prefix_;
  mutable std::mutex mutex_;  // guards all below but the threads
  bool stopping_ = false;
  std::chrono::steady_clock::time_point last_acknowledged_ = std::chrono::steady_clock::now();
  milliseconds longest_gap_{0};
  Entries acknowledged_;
  std::set<std::string> unknown_;
  std::vector<std::thread> threads_;
};

// Every one of `acknowledged` is in `entries`, with its value.
void ExpectAllThere(const Entries& acknowledged, const Entries& entries);

// Every acknowledged write is there with its value, and nothing is there that was never written or
// was refused.
void ExpectHolds(const Entries& entries, const WriteLoad& load, std::string_view prefix);

// The contents of a file; empty if there is none.
std::string ReadFile(const std::string& path);
// True if `text` holds `part`, without regard to case.
bool Contains(std::string_view text, std::string_view part);

}  // namespace kvorum::testing
