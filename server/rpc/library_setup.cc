#include "server/rpc/library_setup.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include <atomic>
#include <chrono>
#include <string>

#include "absl/synchronization/mutex.h"
#include "server/base/log.h"

namespace kvorum::rpc {
namespace {

constexpr int kMaxLinesPerSecond = 5;

// True for the first few calls of each second. Any thread.
bool MayLog() {
  static std::atomic<int64_t> second{0};
  static std::atomic<int> lines{0};
  const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(
                          std::chrono::steady_clock::now().time_since_epoch())
                          .count();
  if (second.exchange(now, std::memory_order_relaxed) != now) {
    lines.store(0, std::memory_order_relaxed);
  }
  return lines.fetch_add(1, std::memory_order_relaxed) < kMaxLinesPerSecond;
}

void OnGrpcLine(gpr_log_func_args* line) {
  const LogLevel level =
      line->severity == GPR_LOG_SEVERITY_ERROR ? LogLevel::kWarning : LogLevel::kDebug;
  if (IsLogEnabled(level) && MayLog()) {
    LogLine(level, "grpc", line->message);
  }
}

void OnProtobufLine(google::protobuf::LogLevel, const char*, int, const std::string& message) {
  // Malformed messages of clients, answered by gRPC.
  if (IsLogEnabled(LogLevel::kDebug) && MayLog()) {
    LogLine(LogLevel::kDebug, "protobuf", message);
  }
}

}  // namespace

void SetUpLibraries() {
  // What they have to say goes to our log instead of stderr, at most a few lines a second: much of
  // it is provoked by what strangers send.
  gpr_set_log_function(&OnGrpcLine);
  google::protobuf::SetLogHandler(&OnProtobufLine);
  // Debian's Abseil is built with assertions on, and then every absl::Mutex, of which gRPC takes
  // dozens per call, keeps a graph of who holds what.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace kvorum::rpc
