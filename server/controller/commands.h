#pragma once

#include <variant>

#include "kvorum/v1/broker.pb.h"
#include "kvorum/v1/entry.pb.h"
#include "kvorum/v1/topic.pb.h"

namespace kvorum::controller {

// Every mutation a client can ask for, as it came off the wire. A new RPC that writes is added here
// and as an Execute overload of its domain.
using Command =
    std::variant<v1::PutEntryRequest, v1::DeleteEntryRequest, v1::RegisterBrokerRequest,
                 v1::UnregisterBrokerRequest, v1::CreateTopicsRequest, v1::DeleteTopicsRequest,
                 v1::CreatePartitionsRequest, v1::AlterPartitionRequest>;
using CommandReply =
    std::variant<v1::PutEntryResponse, v1::DeleteEntryResponse, v1::RegisterBrokerResponse,
                 v1::UnregisterBrokerResponse, v1::CreateTopicsResponse, v1::DeleteTopicsResponse,
                 v1::CreatePartitionsResponse, v1::AlterPartitionResponse>;

// Every read of the metadata.
using Query = std::variant<v1::GetEntryRequest, v1::ListEntriesRequest, v1::ListBrokersRequest,
                           v1::ListTopicsRequest, v1::GetTopicRequest>;
using QueryReply =
    std::variant<v1::GetEntryResponse, v1::ListEntriesResponse, v1::ListBrokersResponse,
                 v1::ListTopicsResponse, v1::GetTopicResponse>;

// What brokers say all the time: soft state first, records only when something changes.
using BrokerReport = std::variant<v1::HeartbeatRequest, v1::AcknowledgeMetadataRequest>;
using BrokerReportReply = std::variant<v1::HeartbeatResponse, v1::AcknowledgeMetadataResponse>;

}  // namespace kvorum::controller
