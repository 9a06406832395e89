#pragma once

namespace kvorum {

// The whole of `kvorumd`: parses the command line, runs the command, returns the exit code.
int RunCommandLine(int argc, char** argv);

}  // namespace kvorum
