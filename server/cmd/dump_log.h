#pragma once

#include <string>

namespace kvorum {

struct DumpLogOptions {
  std::string data_dir;
  bool json = false;          // one JSON object per batch instead of text
  bool batches_only = false;  // leave the records out
};

// `kvorumd dump-log`: prints quorum state and all batches of a stopped node's log (cf.
// kafka-dump-log), after the same checks as a start. Returns the exit code.
int DumpLog(const DumpLogOptions& options);

}  // namespace kvorum
