#pragma once

#include <string>

#include "server/cmd/daemon.h"
#include "server/config/config_loader.h"

namespace kvorum {

// `kvorumd run`: serves until SIGTERM or SIGINT; a second one ends the process at once. Returns the
// exit code.
int Run(const LoadedConfig& loaded);

// `kvorumd dev`: one controller on loopback that needs no preparation. Without `data-dir` in
// `loaded` it lives in a temporary directory that is removed at the end. Returns the exit code.
int RunDev(const LoadedConfig& loaded);

}  // namespace kvorum
