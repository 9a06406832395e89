#include "tests/sim/checkers/client_checker.h"

#include <algorithm>
#include <string>
#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/metadata/commands.h"
#include "tests/sim/checkers/checks.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

// What an OK answer to each command claims, looked up in the committed log.
class AckChecker {
 public:
  AckChecker(const RecordIndex& index, const controller::CommandReply& reply,
             Offset committed_before)
      : index_(index), reply_(reply), committed_before_(committed_before) {}

  void operator()(const v1::PutEntryRequest& request) const {
    const auto& reply = std::get<v1::PutEntryResponse>(reply_);
    const std::optional<Offset> offset = index_.OffsetOfValue(request.value());
    Require(offset.has_value() && offset->value() == reply.version(), "put of", request.key());
    if (request.has_expected_version()) {
      const RecordIndex::KeyVersion* before = index_.KeyBelow(request.key(), *offset);
      const bool existed = before != nullptr && before->value.has_value();
      const int64_t version = existed ? before->offset.value() : 0;
      Require(version == request.expected_version(), "compare-and-set of", request.key());
    }
  }
  void operator()(const v1::DeleteEntryRequest& request) const {
    Require(index_.RemovedSince(request.key(), committed_before_), "delete of", request.key());
  }
  void operator()(const v1::RegisterBrokerRequest& request) const {
    const auto& reply = std::get<v1::RegisterBrokerResponse>(reply_);
    const v1::RegisterBrokerRecord* record = index_.Registration(reply.broker_epoch());
    Require(record != nullptr && record->broker_id() == request.broker_id() &&
                record->incarnation_id() == request.incarnation_id(),
            "registration of broker", std::to_string(request.broker_id()));
  }
  void operator()(const v1::UnregisterBrokerRequest& request) const {
    Require(index_.UnregisteredSince(request.broker_id(), committed_before_), "removal of broker",
            std::to_string(request.broker_id()));
  }
  void operator()(const v1::CreateTopicsRequest&) const {
    for (const auto& result : std::get<v1::CreateTopicsResponse>(reply_).results()) {
      if (result.status().code() == 0) {
        const std::optional<std::string> name = NameOf(result.topic_id());
        Require(name == result.name(), "creation of topic", result.name());
      }
    }
  }
  void operator()(const v1::DeleteTopicsRequest&) const {
    for (const auto& result : std::get<v1::DeleteTopicsResponse>(reply_).results()) {
      if (result.status().code() == 0) {
        const std::optional<Uuid> id = Uuid::Parse(result.topic_id());
        Require(id.has_value() && index_.WasRemoved(id->ToBytes()), "removal of topic",
                result.name());
      }
    }
  }
  void operator()(const v1::CreatePartitionsRequest& request) const {
    const auto& results = std::get<v1::CreatePartitionsResponse>(reply_).results();
    for (int i = 0; i < results.size(); ++i) {
      if (results[i].status().code() == 0) {
        Require(index_.HasPartition(request.topics(i).name(),
                                    request.topics(i).new_partition_count() - 1),
                "growth of topic", request.topics(i).name());
      }
    }
  }
  void operator()(const v1::AlterPartitionRequest&) const {
    for (const auto& result : std::get<v1::AlterPartitionResponse>(reply_).results()) {
      RequirePartition(result);
    }
  }
  void operator()(const v1::ElectLeadersRequest&) const {
    for (const auto& result : std::get<v1::ElectLeadersResponse>(reply_).results()) {
      RequirePartition(result);
    }
  }
  void operator()(const v1::AlterPartitionReassignmentsRequest&) const {
    for (const auto& result : std::get<v1::AlterPartitionReassignmentsResponse>(reply_).results()) {
      RequirePartition(result);
    }
  }
  void operator()(const v1::DrainBrokerRequest& request) const {
    Require(index_.WasDrained(request.broker_id(), true), "draining of broker",
            std::to_string(request.broker_id()));
  }
  void operator()(const v1::UndrainBrokerRequest& request) const {
    Require(index_.WasDrained(request.broker_id(), false), "undraining of broker",
            std::to_string(request.broker_id()));
  }
  // What the simulated clients do not ask for.
  template <typename Request>
  void operator()(const Request&) const {}

 private:
  // The partition as the result of an item shows it.
  template <typename Result>
  void RequirePartition(const Result& result) const {
    if (result.status().code() != 0) {
      return;
    }
    const v1::PartitionInfo& partition = result.partition();
    const std::optional<Uuid> id = Uuid::Parse(result.topic_id());
    const v1::PartitionRecord* record =
        !id.has_value() ? nullptr
                        : index_.PartitionAt(id->ToBytes(), partition.partition_index(),
                                             partition.partition_epoch());
    const auto are_equal = [](const auto& a, const auto& b) {
      return std::equal(a.begin(), a.end(), b.begin(), b.end());
    };
    Require(record != nullptr && are_equal(record->isr(), partition.isr()) &&
                are_equal(record->replicas(), partition.replicas()) &&
                are_equal(record->adding_replicas(), partition.adding_replicas()) &&
                record->leader() == partition.leader(),
            "change of a partition of", result.topic_id());
  }

  static void Require(bool holds, const char* what, const std::string& which) {
    KVORUM_CHECK(holds, "invariant 23 AckDurable: the acknowledged {} {} is not in the log", what,
                 which);
  }
  std::optional<std::string> NameOf(const std::string& topic_id) const {
    const std::optional<Uuid> id = Uuid::Parse(topic_id);
    const std::string* name = id.has_value() ? index_.TopicName(id->ToBytes()) : nullptr;
    return name == nullptr ? std::nullopt : std::optional(*name);
  }

  const RecordIndex& index_;
  const controller::CommandReply& reply_;
  Offset committed_before_;
};

// What the answer to a command was to wait for.
controller::AppliedWait WaitOf(const controller::Command& command) {
  return std::visit(
      [](const auto& request) {
        if constexpr (requires { controller::ParseAppliedWait(request.options()); }) {
          return controller::ParseAppliedWait(request.options())
              .value_or(controller::AppliedWait());
        } else {
          return controller::AppliedWait();
        }
      },
      command);
}

// The leader's soft state is in no image.
void ClearSoftState(v1::BrokerInfo& broker) {
  broker.clear_applied_offset();
  broker.clear_last_heartbeat_age_ms();
  broker.clear_last_rejection();
}
void ClearSoftState(v1::ListBrokersResponse& response) {
  for (v1::BrokerInfo& broker : *response.mutable_brokers()) {
    ClearSoftState(broker);
  }
}
void ClearSoftState(v1::GetBrokerResponse& response) { ClearSoftState(*response.mutable_broker()); }
template <typename Response>
void ClearSoftState(Response&) {}

}  // namespace

void ClientChecker::CheckHeader(const SimProcess& process, const v1::ResponseHeader& header) const {
  for (const v1::Position* position : {&header.committed(), &header.applied()}) {
    const std::shared_ptr<const MetadataImage> truth =
        world_.ghost.ImageAt(Offset(position->offset()));
    KVORUM_CHECK(truth != nullptr && truth->provenance().last_epoch.value() == position->epoch(),
                 "invariant 14 NoUncommittedExposure: {} says {}/{}, which is no committed place",
                 process.id(), position->offset(), position->epoch());
  }
  KVORUM_CHECK(header.applied().offset() <= header.committed().offset(),
               "invariant 20 ApplyInOrderOnce: {} says applied {}, committed {}", process.id(),
               header.applied().offset(), header.committed().offset());
}

void ClientChecker::OnWriteAnswered(const SimProcess& process, const controller::Command& command,
                                    Offset committed_before,
                                    const absl::StatusOr<controller::CommandReply>& answer) {
  world_.checks->SyncCommits(process);
  if (answer.ok()) {
    std::visit(
        [&](const auto& reply) {
          CheckHeader(process, reply.header());
          CheckPropagation(process, WaitOf(command), reply.header().propagation());
        },
        *answer);
    std::visit(AckChecker(world_.ghost.index(), *answer, committed_before), command);
    const Offset applied = process.node().committed_image()->provenance().end_offset;
    acknowledged_end_ = std::max(acknowledged_end_, applied);
    return;
  }
  const ErrorInfo& info = GetErrorInfo(GetErrorReason(answer.status()));
  KVORUM_CHECK(info.reason != ErrorReason::kUnknown, "error without a reason: {}",
               answer.status().ToString());
  if (info.outcome == Outcome::kNotExecuted) {
    OnWriteRefused(command);
  }
}

void ClientChecker::OnWriteRefused(const controller::Command& command) {
  if (const auto* put = std::get_if<v1::PutEntryRequest>(&command)) {
    world_.ghost.mutable_index().ForbidValue(put->value());
  }
}

void ClientChecker::CheckMissingKey(const SimProcess& process, const v1::GetEntryRequest& request,
                                    Offset floor) const {
  const RecordIndex& index = world_.ghost.index();
  const RecordIndex::KeyVersion* version = index.KeyBelow(request.key(), floor);
  const bool was_absent = version == nullptr || !version->value.has_value();
  KVORUM_CHECK(was_absent || index.RemovedSince(request.key(), floor),
               "invariant 26 LinearizableRead: {} does not find {}, written at {}", process.id(),
               request.key(), version->offset);
}

template <typename Request, typename Response>
void ClientChecker::CheckReadAgainstTruth(const SimProcess& process, const Request& request,
                                          const Response& response, Offset floor) {
  CheckHeader(process, response.header());
  const Offset applied(response.header().applied().offset());
  const bool is_local = request.options().consistency() == v1::CONSISTENCY_LOCAL;
  KVORUM_CHECK(is_local || applied >= floor,
               "invariant 26 LinearizableRead: {} answers from {}, {} was acknowledged before",
               process.id(), applied, floor);
  if (is_local) {
    world_.log.Hit(applied < floor ? Mark::kLocalReadBehind : Mark::kLocalRead);
  } else {
    world_.log.Hit(Mark::kLinearizableRead);
    acknowledged_end_ = std::max(acknowledged_end_, applied);
  }
  const std::shared_ptr<const MetadataImage> truth = world_.ghost.ImageAt(applied);
  absl::StatusOr<Response> expected =
      Query(QueryContext{.image = *truth, .liveness = nullptr}, request);
  KVORUM_CHECK(expected.ok(), "invariant 26 LinearizableRead: {} answers from {}: {}", process.id(),
               applied, expected.status().ToString());
  Response actual = response;
  actual.clear_header();
  ClearSoftState(actual);
  ClearSoftState(*expected);
  KVORUM_CHECK(actual.SerializeAsString() == expected->SerializeAsString(),
               "invariant 26 LinearizableRead: {} at {} answers\n{}instead of\n{}", process.id(),
               applied, actual.DebugString(), expected->DebugString());
}

void ClientChecker::OnReadAnswered(const SimProcess& process, const controller::Query& query,
                                   Offset floor,
                                   const absl::StatusOr<controller::QueryReply>& answer) {
  world_.checks->SyncCommits(process);
  if (answer.ok()) {
    std::visit(
        [&](const auto& r) {
          using Response =
              typename decltype(kvorum::Query(std::declval<const QueryContext&>(), r))::value_type;
          CheckReadAgainstTruth(process, r, std::get<Response>(*answer), floor);
        },
        query);
    return;
  }
  world_.log.Hit(Mark::kLinearizableReadFailed);
  const auto* get = std::get_if<v1::GetEntryRequest>(&query);
  if (get != nullptr && GetErrorReason(answer.status()) == ErrorReason::kUnknownKey &&
      get->options().consistency() != v1::CONSISTENCY_LOCAL) {
    CheckMissingKey(process, *get, floor);
  }
}

void ClientChecker::OnAwaitAnswered(const SimProcess& process, const controller::AppliedWait& wait,
                                    const absl::StatusOr<v1::AwaitAppliedResponse>& answer) {
  world_.checks->SyncCommits(process);
  if (answer.ok()) {
    CheckHeader(process, answer->header());
    CheckPropagation(process, wait, answer->header().propagation());
  }
}

void ClientChecker::OnReportAnswered(const SimProcess& process,
                                     const absl::StatusOr<controller::BrokerReportReply>& answer) {
  world_.checks->SyncCommits(process);
  if (answer.ok()) {
    std::visit([&](const auto& reply) { CheckHeader(process, reply.header()); }, *answer);
  }
}

}  // namespace kvorum::sim
