#pragma once

#include "server/base/check.h"

namespace kvorum {

// Beside those of base/check.h; documented in deploy/README.md.
inline constexpr int kExitOk = 0;
inline constexpr int kExitUsage = 1;       // the command line or the configuration is wrong
inline constexpr int kExitPortTaken = 73;  // a listener's address cannot be listened on

}  // namespace kvorum
