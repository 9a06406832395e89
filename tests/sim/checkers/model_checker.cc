#include "tests/sim/checkers/model_checker.h"

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "server/base/check.h"
#include "server/metadata/commands.h"
#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

// As the controllers store it.
std::string BytesWithoutHeader(controller::CommandReply reply) {
  return std::visit(
      [](auto& response) {
        response.clear_header();
        return response.SerializeAsString();
      },
      reply);
}

}  // namespace

void ModelChecker::OnSent(const Uuid& id, const controller::Command& command) {
  operations_[id].command = command;
}

void ModelChecker::OnAcknowledged(const SimProcess& process, const Uuid& id,
                                  const controller::CommandReply& reply) {
  world_.checks->SyncCommits(process);
  Sweep();
  const Operation& operation = operations_.at(id);
  // One that changed nothing is not in the log; and a later attempt may have been carried out where
  // this one was not known, which changed nothing.
  const Offset applied = process.node().committed_image()->provenance().end_offset;
  KVORUM_CHECK(
      operation.completed_at.empty() || applied <= *operation.completed_at.rbegin() ||
          BytesWithoutHeader(reply) == operation.reply,
      "invariant 24 ExactlyOnce: request {} was carried out at {} and is answered otherwise", id,
      *operation.completed_at.rbegin());
}

void ModelChecker::OnRefused(const Uuid& id) {
  Sweep();
  Operation& operation = operations_.at(id);
  KVORUM_CHECK(operation.completed_at.empty(),
               "invariant 25 DefiniteMeansAbsent: request {} is refused and was carried out at {}",
               id, *operation.completed_at.begin());
  operation.is_refused = true;
}

void ModelChecker::Sweep() {
  for (; next_batch_ < world_.ghost.batches().size(); ++next_batch_) {
    Take(world_.ghost.batches()[next_batch_]);
  }
}

void ModelChecker::CheckEnd() {
  Sweep();
  const std::string difference = model_.Compare(*world_.ghost.image());
  KVORUM_CHECK(difference.empty(), "invariant 43 ModelAgrees: in the end: {}", difference);
}

void ModelChecker::Take(const GhostBatch& batch) {
  const v1::CompletedRequestRecord* completed = nullptr;
  for (const v1::MetadataRecord& record : batch.records) {
    if (record.has_completed_request()) {
      completed = &record.completed_request();
    }
  }
  for (const v1::MetadataRecord& record : batch.records) {
    if (record.has_expire_requests()) {
      world_.log.Hit(Mark::kRequestsForgotten);
      std::erase_if(remembered_, [&](const Uuid& id) {
        return operations_.at(id).completed_at.rbegin()->value() <
               record.expire_requests().below_offset();
      });
    }
  }
  if (completed != nullptr) {
    TakeOperation(batch, *completed);
  } else {
    model_.ApplyForeign(batch.records, batch.batch.base_offset);
  }
}

void ModelChecker::TakeOperation(const GhostBatch& batch,
                                 const v1::CompletedRequestRecord& completed) {
  const Uuid id = Uuid::FromBytes(completed.request_id()).value_or(Uuid());
  const auto found = operations_.find(id);
  KVORUM_CHECK(found != operations_.end(),
               "invariant 24 ExactlyOnce: request {}, carried out at {}, was never sent", id,
               completed.offset());
  Operation& operation = found->second;
  KVORUM_CHECK(!operation.is_refused,
               "invariant 25 DefiniteMeansAbsent: request {} was refused and is carried out at {}",
               id, completed.offset());
  KVORUM_CHECK(remembered_.insert(id).second,
               "invariant 24 ExactlyOnce: request {} is carried out at {} and at {}", id,
               *operation.completed_at.rbegin(), completed.offset());
  operation.completed_at.insert(Offset(completed.offset()));
  operation.reply = completed.reply();
  const std::optional<controller::CommandReply> reply =
      ParseReply(operation.command, completed.reply());
  KVORUM_CHECK(reply.has_value(), "the reply stored for request {} is malformed", id);
  model_.Apply(operation.command, *reply, batch.records, batch.batch.base_offset);
  ++carried_out_;
  const std::string difference = model_.Compare(*batch.image);
  KVORUM_CHECK(difference.empty(), "invariant 43 ModelAgrees: after request {} at {}: {}", id,
               completed.offset(), difference);
}

std::optional<controller::CommandReply> ModelChecker::ParseReply(const controller::Command& command,
                                                                 const std::string& bytes) {
  return std::visit(
      [&](const auto& request) -> std::optional<controller::CommandReply> {
        using Response = std::decay_t<
            decltype(Execute(std::declval<const CommandContext&>(), request)->response)>;
        Response response;
        if (!response.ParseFromString(bytes)) {
          return std::nullopt;
        }
        return controller::CommandReply(std::move(response));
      },
      command);
}

}  // namespace kvorum::sim
