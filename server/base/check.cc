#include "server/base/check.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace kvorum {
namespace {

std::function<void(const std::string&)>& Hook() {
  static std::function<void(const std::string&)> hook;
  return hook;
}

[[noreturn]] void Exit(const std::string& text, int exit_code) {
  std::fputs(text.c_str(), stderr);
  if (Hook()) {
    Hook()(text);
  }
  std::fflush(nullptr);
  // No destructors: state that broke an invariant must not be written anywhere on the way out.
  std::_Exit(exit_code);
}

}  // namespace

void CheckFailed(const char* file, int line, const char* condition, const std::string& message) {
  Exit(fmt::format("{}:{}: check failed: {}: {}\n", file, line, condition, message),
       kExitCheckFailed);
}

void StopAtUnsupportedRecord(const std::string& message) {
  Exit(fmt::format("cannot read on: {}\n", message), kExitUnsupportedRecord);
}

void SetCheckFailureHook(std::function<void(const std::string&)> hook) { Hook() = std::move(hook); }

}  // namespace kvorum
