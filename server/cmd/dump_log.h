#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kvorum {

struct DumpOptions {
  std::string data_dir;
  bool json = false;  // one v1::DumpLine per line instead of text
  bool without_records = false;
  std::optional<int64_t> snapshot_end;  // dump-snapshot: which; absent: the newest
};

// `kvorumd dump-log`: prints quorum state and all batches of a stopped node's log (cf.
// kafka-dump-log), after the same checks as a start; writes nothing. Returns the exit code.
int DumpLog(const DumpOptions& options);

// `kvorumd dump-snapshot`: the records of a snapshot.
int DumpSnapshot(const DumpOptions& options);

}  // namespace kvorum
