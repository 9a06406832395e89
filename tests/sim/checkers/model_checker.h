#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "server/base/uuid.h"
#include "server/controller/commands.h"
#include "tests/sim/checkers/reference_model.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// What becomes of the operations of DomainClient: invariants 24 ExactlyOnce (an operation that was
// sent however often is in the log once, and every answer to it is the first one) and 43
// ModelAgrees (the committed operations, replayed in their order on a model of maps, give what the
// image says, after each of them). Owned by the simulation.
class ModelChecker {
 public:
  explicit ModelChecker(World& world) : world_(world), model_(world.log) {}

  // Before the first attempt.
  void OnSent(const Uuid& id, const controller::Command& command);
  // An OK answer leaves `process`.
  void OnAcknowledged(const SimProcess& process, const Uuid& id,
                      const controller::CommandReply& reply);
  // The only attempt there will ever be was refused.
  void OnRefused(const Uuid& id);
  // Takes in what was committed since the last call.
  void Sweep();
  // The same, and compares the whole with what all of it made.
  void CheckEnd();

  const ReferenceModel& model() const { return model_; }
  size_t carried_out() const { return carried_out_; }

 private:
  struct Operation {
    controller::Command command;
    std::set<Offset> completed_at;  // more than one only if it was forgotten between
    std::string reply;              // the last one's, its header left out
    bool is_refused = false;
  };

  void Take(const GhostBatch& batch);
  void TakeOperation(const GhostBatch& batch, const v1::CompletedRequestRecord& completed);
  static std::optional<controller::CommandReply> ParseReply(const controller::Command& command,
                                                            const std::string& bytes);

  World& world_;
  ReferenceModel model_;
  size_t next_batch_ = 0;
  std::map<Uuid, Operation> operations_;
  std::set<Uuid> remembered_;  // by the controllers
  size_t carried_out_ = 0;
};

}  // namespace kvorum::sim
