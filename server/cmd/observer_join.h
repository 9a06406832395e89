#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvorum/v1/cluster.pb.h"
#include "server/config/server_config.h"
#include "storage/waiting_identity.h"

namespace kvorum {

// True for `run --observer` on a directory that was never formatted.
bool MustJoinAsObserver(const ServerConfig& config);

// An observer on an empty directory. It prepares the directory by itself, for the cluster that the
// controllers of quorum-bootstrap-servers belong to: unlike a voter, it has no votes that an empty
// disk could have forgotten. Owned by `run`; main thread.
class ObserverJoin {
 public:
  // Takes the directory; FailedPrecondition if it is not empty, or another process's.
  static absl::StatusOr<std::unique_ptr<ObserverJoin>> Start(const ServerConfig& config);

  // Asks the controllers one after the other and formats the directory with what the first one
  // says. Unavailable: none could tell; try again. Blocks for a second a controller at most.
  absl::Status Try();

  // "node=4 directory=8925… controllers=c1:7401,c2:7401"
  std::string Text() const;

 private:
  ObserverJoin(const ServerConfig& config, std::unique_ptr<WaitingIdentity> identity)
      : config_(config), identity_(std::move(identity)) {}

  absl::Status Join(const v1::DescribeNodeResponse& member);

  const ServerConfig config_;
  const std::unique_ptr<WaitingIdentity> identity_;
};

}  // namespace kvorum
