#pragma once

#include <fmt/core.h>
#include <fmt/ostream.h>

#include <functional>
#include <string>

// KVORUM_CHECK(condition, "format", args…): an invariant of ours, on in release. A false one is a
// bug: the process says where and with which values, and exits with kExitCheckFailed.
// Never used for input from outside; that is an absl::Status.
#define KVORUM_CHECK(condition, ...)                                                     \
  do {                                                                                   \
    if (!(condition)) [[unlikely]] {                                                     \
      ::kvorum::CheckFailed(__FILE__, __LINE__, #condition, ::fmt::format(__VA_ARGS__)); \
    }                                                                                    \
  } while (false)

namespace kvorum {

// Exit codes of the daemon, documented in deploy/README.md.
inline constexpr int kExitCheckFailed = 70;  // an invariant broke: a bug
inline constexpr int kExitStorageFailed =
    71;  // a write or fsync failed, or the log can't be trusted
inline constexpr int kExitBadDirectory = 72;  // unformatted, foreign, or newer data directory
// The log holds what only a newer release knows: starting again does not help.
inline constexpr int kExitUnsupportedRecord = 74;

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const std::string& message);

// The log is sound, but this release can't read on: says so and exits with kExitUnsupportedRecord.
[[noreturn]] void StopAtUnsupportedRecord(const std::string& message);

// Called with the full message before the process exits; the simulator prints its seed there.
// Set once at start, before threads.
void SetCheckFailureHook(std::function<void(const std::string&)> hook);

}  // namespace kvorum
