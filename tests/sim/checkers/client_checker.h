#pragma once

#include "absl/status/statusor.h"
#include "kvorum/v1/common.pb.h"
#include "server/base/ids.h"
#include "server/controller/applied_wait.h"
#include "server/controller/commands.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// What clients are told, at the moment the answer leaves the node: invariants 14
// NoUncommittedExposure, 23 AckDurable, 24 ExactlyOnce and 25 DefiniteMeansAbsent (with
// RecordIndex), 26 LinearizableRead. The order of the committed log is the order in which writes
// took effect, so an answer that names its place there can be checked exactly. Owned by the
// simulation.
class ClientChecker {
 public:
  explicit ClientChecker(World& world) : world_(world) {}

  // Everything that was acknowledged to anybody lies below it.
  Offset acknowledged_end() const { return acknowledged_end_; }

  // `committed_before`: the committed end when the call was made.
  void OnWriteAnswered(const SimProcess& process, const controller::Command& command,
                       Offset committed_before,
                       const absl::StatusOr<controller::CommandReply>& answer);
  // The call never reached a node.
  void OnWriteRefused(const controller::Command& command);
  // `floor`: acknowledged_end() when the call was made.
  void OnReadAnswered(const SimProcess& process, const controller::Query& query, Offset floor,
                      const absl::StatusOr<controller::QueryReply>& answer);
  // `wait`: what the call asked for.
  void OnAwaitAnswered(const SimProcess& process, const controller::AppliedWait& wait,
                       const absl::StatusOr<v1::AwaitAppliedResponse>& answer);
  void OnReportAnswered(const SimProcess& process,
                        const absl::StatusOr<controller::BrokerReportReply>& answer);

 private:
  void CheckHeader(const SimProcess& process, const v1::ResponseHeader& header) const;
  // Invariant 41 PropagationTrue: who is said to have applied a write has, and who serves has been
  // waited for.
  void CheckPropagation(const SimProcess& process, const controller::AppliedWait& wait,
                        const v1::Propagation& propagation) const;
  void CheckStatus(const SimProcess& process, Offset end,
                   const v1::Propagation::BrokerStatus& status) const;
  bool HasApplied(int32_t broker, Offset end) const;
  void CheckMissingKey(const SimProcess& process, const v1::GetEntryRequest& request,
                       Offset floor) const;
  template <typename Request, typename Response>
  void CheckReadAgainstTruth(const SimProcess& process, const Request& request,
                             const Response& response, Offset floor);

  World& world_;
  Offset acknowledged_end_;
};

}  // namespace kvorum::sim
