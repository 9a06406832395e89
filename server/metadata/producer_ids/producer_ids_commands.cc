#include "server/metadata/producer_ids/producer_ids_commands.h"

#include <fmt/format.h>

#include <limits>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/brokers/broker_fencing.h"
#include "server/metadata/request_checks.h"

namespace kvorum {

absl::StatusOr<CommandResult<v1::AllocateProducerIdsResponse>> Execute(
    const CommandContext& context, const v1::AllocateProducerIdsRequest& request) {
  KVORUM_RETURN_IF_ERROR(CheckBrokerId(request.broker_id()));
  KVORUM_RETURN_IF_ERROR(CheckBrokerEpoch(context.image.brokers(), BrokerId{request.broker_id()},
                                          BrokerEpoch{request.broker_epoch()}));
  const int64_t first = context.image.producer_ids().next_producer_id();
  if (first > std::numeric_limits<int64_t>::max() - kProducerIdBlockSize) {
    return MakeError(ErrorReason::kLimitExceeded,
                     fmt::format("producer ids are used up: the next would be {}", first));
  }
  CommandResult<v1::AllocateProducerIdsResponse> result;
  v1::ProducerIdsRecord& record = *result.records.emplace_back().mutable_producer_ids();
  record.set_broker_id(request.broker_id());
  record.set_broker_epoch(request.broker_epoch());
  record.set_next_producer_id(first + kProducerIdBlockSize);
  result.response.set_first_producer_id(first);
  result.response.set_count(kProducerIdBlockSize);
  return result;
}

}  // namespace kvorum
