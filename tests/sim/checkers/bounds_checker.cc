#include "tests/sim/checkers/bounds_checker.h"

#include "server/base/check.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

// Brokers' reports find room where commands are shed: see ControllerConfig::max_pending_replies.
constexpr size_t kReportRoomFactor = 2;
// The tail keeps its newest entry however large it is.
constexpr size_t kLargestEntryBytes = 256 << 10;

}  // namespace

void BoundsChecker::OnTurn(const SimProcess& process) const {
  const size_t pending = process.node().active_controller().pending_replies();
  const size_t limit = kReportRoomFactor * world_.options.max_pending_replies;
  KVORUM_CHECK(pending <= limit, "invariant 40 Bounded: {} has {} pending replies, the limit is {}",
               process.id(), pending, limit);
}

void BoundsChecker::OnPublisherTurn(const publish::UpdatePublisher& publisher) const {
  KVORUM_CHECK(publisher.tail_bytes() <= world_.options.tail_max_bytes + kLargestEntryBytes,
               "invariant 40 Bounded: the tail holds {} bytes, the limit is {}",
               publisher.tail_bytes(), world_.options.tail_max_bytes);
}

}  // namespace kvorum::sim
