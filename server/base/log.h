#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

namespace kvorum {

enum class LogLevel { kTrace, kDebug, kInfo, kWarning, kError };

// One line on stderr: `2026-11-22T15:28:50.319Z INFO raft node=1 epoch=5 became leader`.
// `component` is the folder's word (raft, storage, rpc …); keys are written `key=value`. Any
// thread.
void LogLine(LogLevel level, std::string_view component, std::string_view message);
void SetLogLevel(LogLevel level);
bool IsLogEnabled(LogLevel level);

template <typename... Args>
void Log(LogLevel level, std::string_view component, fmt::format_string<Args...> format,
         Args&&... args) {
  if (IsLogEnabled(level)) {
    LogLine(level, component, fmt::format(format, std::forward<Args>(args)...));
  }
}

template <typename... Args>
void LogInfo(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  Log(LogLevel::kInfo, component, format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogWarning(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  Log(LogLevel::kWarning, component, format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogError(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  Log(LogLevel::kError, component, format, std::forward<Args>(args)...);
}

}  // namespace kvorum
