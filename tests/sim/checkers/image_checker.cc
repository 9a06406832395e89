#include "tests/sim/checkers/image_checker.h"

#include "server/base/check.h"
#include "server/raft/raft_state.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {

void ImageChecker::OnStart(const ProcessId& id) {
  images_.erase(id.node);
  has_planned_ahead_.erase(id.node);
}

void ImageChecker::OnActiveController(const SimProcess& process, Epoch epoch, bool active) {
  if (!active) {
    return;
  }
  const raft::RaftCore& core = process.node().core();
  const auto* leader = std::get_if<raft::Leader>(&core.state().role);
  if (leader == nullptr && core.epoch() == epoch &&
      std::holds_alternative<raft::Resigned>(core.state().role)) {
    return;  // what the activation itself appended may have shown raft that it is over
  }
  KVORUM_CHECK(leader != nullptr && core.epoch() == epoch,
               "invariant 22 SpeculationReverted: {} is active in epoch {} without leading it",
               process.id(), epoch);
  const Offset applied = process.node().committed_image()->provenance().end_offset;
  KVORUM_CHECK(
      applied > leader->epoch_start_offset,
      "invariant 22 SpeculationReverted: {} becomes active at {}, before its epoch's start "
      "{} is applied",
      process.id(), applied, leader->epoch_start_offset);
}

void ImageChecker::OnTurn(const SimProcess& process) {
  const Node& node = process.node();
  const bool is_active = node.active_controller().is_active();
  KVORUM_CHECK(!is_active || node.core().is_leader(),
               "invariant 22 SpeculationReverted: {} is active and does not lead", process.id());
  KVORUM_CHECK(is_active || node.active_controller().pending_replies() == 0,
               "invariant 40 Bounded: {} is not active and keeps {} replies", process.id(),
               node.active_controller().pending_replies());
  const std::shared_ptr<const MetadataImage>& image = node.committed_image();
  bool& has_planned_ahead = has_planned_ahead_[process.id().node];
  if (!is_active && has_planned_ahead) {
    world_.log.Hit(Mark::kSpeculationDropped);
  }
  has_planned_ahead = is_active && node.active_controller().latest()->provenance().end_offset >
                                       image->provenance().end_offset;
  std::shared_ptr<const MetadataImage>& last = images_[process.id().node];
  if (image == last) {
    return;
  }
  KVORUM_CHECK(last == nullptr || image->provenance().end_offset >= last->provenance().end_offset,
               "invariant 20 ApplyInOrderOnce: {} goes back from {} to {}", process.id(),
               last->provenance().end_offset, image->provenance().end_offset);
  CheckImage(process, *image);
  last = image;
}

void ImageChecker::CheckImage(const SimProcess& process, const MetadataImage& image) const {
  const Offset end = image.provenance().end_offset;
  const std::shared_ptr<const MetadataImage> truth = world_.ghost.ImageAt(end);
  KVORUM_CHECK(truth != nullptr,
               "invariant 20 ApplyInOrderOnce: {} applied {}, where no committed batch ends",
               process.id(), end);
  KVORUM_CHECK(image.provenance() == truth->provenance(),
               "invariant 20 ApplyInOrderOnce: {} has another provenance at {}", process.id(), end);
  KVORUM_CHECK(image.StateHash() == truth->StateHash(),
               "invariant 21 StateHashAgree: {} differs from the committed state at {}",
               process.id(), end);
}

}  // namespace kvorum::sim
