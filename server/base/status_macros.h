#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define KVORUM_CONCAT_INNER(a, b) a##b
#define KVORUM_CONCAT(a, b) KVORUM_CONCAT_INNER(a, b)

// Returns the status from the calling function unless it is OK.
#define KVORUM_RETURN_IF_ERROR(expression)                                             \
  do {                                                                                 \
    if (absl::Status kvorum_status = (expression); !kvorum_status.ok()) [[unlikely]] { \
      return kvorum_status;                                                            \
    }                                                                                  \
  } while (false)

// KVORUM_ASSIGN_OR_RETURN(auto value, F()): the value, or the status to the caller.
#define KVORUM_ASSIGN_OR_RETURN(declaration, expression) \
  KVORUM_ASSIGN_OR_RETURN_IMPL(KVORUM_CONCAT(kvorum_or_, __LINE__), declaration, expression)
#define KVORUM_ASSIGN_OR_RETURN_IMPL(or_value, declaration, expression) \
  auto or_value = (expression);                                         \
  if (!or_value.ok()) [[unlikely]] {                                    \
    return std::move(or_value).status();                                \
  }                                                                     \
  declaration = *std::move(or_value)
