#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/ids.h"

namespace kvorum {

// Who a controller will be that belongs to no cluster yet: drawn and written before it is told to
// anybody, so that a half-done initialization finds the same replica after a restart, and another
// one after its disk was lost. The file waiting.properties of an otherwise empty data directory,
// held locked by its process; gone once the directory is formatted.
class WaitingIdentity {
 public:
  // Takes `data_dir`, which is created if it does not exist. `fresh`: the id to write if there is
  // none. FailedPrecondition if the directory holds anything else (it is no empty disk, and was
  // not formatted either), if another node waits on it, or if another process does.
  static absl::StatusOr<std::unique_ptr<WaitingIdentity>> Take(const std::string& data_dir,
                                                               NodeId node_id, const Uuid& fresh);
  ~WaitingIdentity();
  WaitingIdentity(const WaitingIdentity&) = delete;
  WaitingIdentity& operator=(const WaitingIdentity&) = delete;

  const ReplicaKey& replica() const { return replica_; }

  // The directory is formatted.
  void Remove();

 private:
  WaitingIdentity(std::string path, int fd, const ReplicaKey& replica)
      : path_(std::move(path)), fd_(fd), replica_(replica) {}

  const std::string path_;
  const int fd_;
  const ReplicaKey replica_;
};

std::string WaitingIdentityPath(const std::string& data_dir);

}  // namespace kvorum
