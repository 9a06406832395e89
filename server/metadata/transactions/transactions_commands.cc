#include "server/metadata/transactions/transactions_commands.h"

#include <fmt/format.h>

#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/mutants.h"
#include "server/base/status_macros.h"
#include "server/metadata/acls/acls_commands.h"
#include "server/metadata/brokers/brokers_commands.h"
#include "server/metadata/configs/configs_commands.h"
#include "server/metadata/credentials/credentials_commands.h"
#include "server/metadata/entries/entries_commands.h"
#include "server/metadata/features/features_commands.h"
#include "server/metadata/metadata_delta.h"
#include "server/metadata/metadata_level.h"
#include "server/metadata/quotas/quotas_commands.h"
#include "server/metadata/record_codec.h"
#include "server/metadata/topics/topics_commands.h"
#include "server/metadata/transactions/preconditions.h"

namespace kvorum {
namespace {

// Calls `visitor` with the request in `operation` and where its answer belongs in `result`.
template <typename Visitor>
absl::Status VisitOperation(const v1::Operation& operation, v1::OperationResult& result,
                            Visitor visitor) {
  switch (operation.operation_case()) {
    case v1::Operation::kPutEntry:
      return visitor(operation.put_entry(), *result.mutable_put_entry());
    case v1::Operation::kDeleteEntry:
      return visitor(operation.delete_entry(), *result.mutable_delete_entry());
    case v1::Operation::kCreateTopics:
      return visitor(operation.create_topics(), *result.mutable_create_topics());
    case v1::Operation::kDeleteTopics:
      return visitor(operation.delete_topics(), *result.mutable_delete_topics());
    case v1::Operation::kCreatePartitions:
      return visitor(operation.create_partitions(), *result.mutable_create_partitions());
    case v1::Operation::kAlterConfigs:
      return visitor(operation.alter_configs(), *result.mutable_alter_configs());
    case v1::Operation::kAlterClientQuotas:
      return visitor(operation.alter_client_quotas(), *result.mutable_alter_client_quotas());
    case v1::Operation::kCreateAcls:
      return visitor(operation.create_acls(), *result.mutable_create_acls());
    case v1::Operation::kDeleteAcls:
      return visitor(operation.delete_acls(), *result.mutable_delete_acls());
    case v1::Operation::kAlterUserScramCredentials:
      return visitor(operation.alter_user_scram_credentials(),
                     *result.mutable_alter_user_scram_credentials());
    case v1::Operation::kUpdateFeatures:
      return visitor(operation.update_features(), *result.mutable_update_features());
    case v1::Operation::kElectLeaders:
      return visitor(operation.elect_leaders(), *result.mutable_elect_leaders());
    case v1::Operation::kAlterPartitionReassignments:
      return visitor(operation.alter_partition_reassignments(),
                     *result.mutable_alter_partition_reassignments());
    case v1::Operation::kDrainBroker:
      return visitor(operation.drain_broker(), *result.mutable_drain_broker());
    case v1::Operation::kUndrainBroker:
      return visitor(operation.undrain_broker(), *result.mutable_undrain_broker());
    case v1::Operation::kUnregisterBroker:
      return visitor(operation.unregister_broker(), *result.mutable_unregister_broker());
    case v1::Operation::OPERATION_NOT_SET:
      break;
  }
  return MakeError(ErrorReason::kInvalidRequest,
                   "it is empty, or of a kind that this version does not know; set one of the "
                   "mutations, not a transaction or what a broker reports");
}

bool WalksMuch(const v1::Operation& operation) {
  return operation.has_delete_acls() || operation.has_elect_leaders() ||
         operation.has_drain_broker() || operation.has_unregister_broker();
}

// "put_entry".
std::string_view KindOf(const v1::Operation& operation) {
  const auto* field = v1::Operation::descriptor()->FindFieldByNumber(operation.operation_case());
  return field == nullptr ? std::string_view("unknown") : std::string_view(field->name());
}

absl::Status CheckCount(std::string_view what, int count, int limit) {
  if (count <= limit) {
    return absl::OkStatus();
  }
  return MakeError(
      ErrorReason::kPolicyViolation,
      fmt::format("the transaction has {} {}; the limit is {}, split it", count, what, limit));
}

absl::Status ValidateRequest(const v1::CommitRequest& request) {
  if (request.operations().empty()) {
    return MakeError(
        ErrorReason::kInvalidRequest,
        fmt::format("operations are missing; give 1 to {}", kMaxOperationsPerTransaction));
  }
  KVORUM_RETURN_IF_ERROR(
      CheckCount("operations", request.operations_size(), kMaxOperationsPerTransaction));
  KVORUM_RETURN_IF_ERROR(
      CheckCount("preconditions", request.preconditions_size(), kMaxPreconditionsPerTransaction));
  int walking = 0;
  for (const v1::Operation& operation : request.operations()) {
    walking += WalksMuch(operation) ? 1 : 0;
  }
  return CheckCount("operations of delete_acls, elect_leaders, drain_broker and unregister_broker",
                    walking, kMaxWalkingOperationsPerTransaction);
}

// What belongs to the transaction, or to a request of its own.
template <typename Request>
absl::Status ValidateOperation(const Request& request) {
  if (!request.cluster_id().empty() || request.has_options()) {
    return MakeError(ErrorReason::kInvalidRequest,
                     "cluster_id and options are those of the transaction; leave them unset here");
  }
  if constexpr (requires { request.explain(); }) {
    if (request.explain()) {
      return MakeError(ErrorReason::kInvalidRequest,
                       "explain is for a request of its own; leave it unset here");
    }
  }
  return absl::OkStatus();
}

// The fault of the first item that has one.
template <typename Response>
absl::Status FirstFault(const Response& response) {
  if constexpr (requires { response.results(); }) {
    for (int i = 0; i < response.results_size(); ++i) {
      const v1::ItemStatus& status = response.results(i).status();
      if (status.code() != 0) {
        return MakeError(ParseErrorReason(status.reason()).value_or(ErrorReason::kUnknown),
                         fmt::format("item {}: {}", i, status.message()));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Refuse(std::string_view part, int index, std::string_view kind,
                    const absl::Status& fault) {
  absl::Status status = MakeError(
      GetErrorReason(fault),
      fmt::format("{} {}{}: {}; nothing of the transaction was carried out", part, index, kind,
                  std::string_view(fault.message().data(), fault.message().size())));
  SetErrorFact(status, fmt::format("{}_index", part), fmt::format("{}", index));
  return status;
}

// A transaction under way: what its operations have decided so far.
class TransactionPlan {
 public:
  explicit TransactionPlan(const CommandContext& context)
      : context_(context), delta_(context.image) {}

  // Plans `operation` on what those before it left.
  absl::Status Add(const v1::Operation& operation) {
    v1::OperationResult& result = *plan_.response.add_results();
    return VisitOperation(
        operation, result, [this](const auto& request, auto& answer) -> absl::Status {
          KVORUM_RETURN_IF_ERROR(ValidateOperation(request));
          const CommandContext context = MakeContext();
          KVORUM_ASSIGN_OR_RETURN(auto step, Execute(context, request));
          KVORUM_RETURN_IF_ERROR(FirstFault(step.response));
          KVORUM_RETURN_IF_ERROR(
              CheckLevelAllows(step.records, context.image.features().metadata_level()));
          answer = std::move(step.response);
          return Take(std::move(step.records));
        });
  }

  CommandResult<v1::CommitResponse> Finish() && {
    if (KVORUM_MUTANT(TransactionTorn) && plan_.records.size() > 1) {
      plan_.records.pop_back();
    }
    return std::move(plan_);
  }

 private:
  CommandContext MakeContext() {
    return CommandContext{image_ == nullptr ? context_.image : *image_,
                          next_offset(),
                          context_.wall_ms,
                          context_.random,
                          context_.liveness,
                          context_.voters,
                          context_.limits};
  }

  Offset next_offset() const {
    return context_.next_offset + static_cast<int64_t>(plan_.records.size());
  }

  absl::Status Take(std::vector<v1::MetadataRecord> records) {
    if (records.empty()) {
      return absl::OkStatus();
    }
    Offset offset = next_offset();
    const size_t count = plan_.records.size();
    std::move(records.begin(), records.end(), std::back_inserter(plan_.records));
    // Before anything is replayed: there may be more than a commit could hold.
    KVORUM_RETURN_IF_ERROR(CheckRecordCount(plan_.records.size()));
    for (size_t i = count; i < plan_.records.size(); ++i) {
      delta_.Replay(plan_.records[i], offset);
      ++offset;
    }
    image_ = delta_.Apply({offset, context_.image.provenance().last_epoch, context_.wall_ms});
    return absl::OkStatus();
  }

  static absl::Status CheckRecordCount(size_t count) {
    if (count <= kMaxRecordsPerBatch) {
      return absl::OkStatus();
    }
    return MakeError(ErrorReason::kPolicyViolation,
                     fmt::format("the transaction needs {} records up to here, but one commit "
                                 "holds at most {}; split it",
                                 count, kMaxRecordsPerBatch));
  }

  const CommandContext& context_;
  MetadataDelta delta_;
  std::shared_ptr<const MetadataImage> image_;  // null: as the context's
  CommandResult<v1::CommitResponse> plan_;
};

}  // namespace

absl::StatusOr<CommandResult<v1::CommitResponse>> Execute(const CommandContext& context,
                                                          const v1::CommitRequest& request) {
  KVORUM_RETURN_IF_ERROR(ValidateRequest(request));
  for (int i = 0; i < request.preconditions_size(); ++i) {
    const absl::Status status = CheckPrecondition(context.image, request.preconditions(i));
    if (!status.ok()) {
      return Refuse("precondition", i, "", status);
    }
  }
  TransactionPlan plan(context);
  for (int i = 0; i < request.operations_size(); ++i) {
    const v1::Operation& operation = request.operations(i);
    if (const absl::Status status = plan.Add(operation); !status.ok()) {
      return Refuse("operation", i, fmt::format(" ({})", KindOf(operation)), status);
    }
  }
  CommandResult<v1::CommitResponse> result = std::move(plan).Finish();
  KVORUM_RETURN_IF_ERROR(CheckFitsOneBatch(result.records));
  return result;
}

}  // namespace kvorum
