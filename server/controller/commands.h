#pragma once

#include <string>
#include <variant>

#include "kvorum/v1/acl.pb.h"
#include "kvorum/v1/broker.pb.h"
#include "kvorum/v1/config.pb.h"
#include "kvorum/v1/credential.pb.h"
#include "kvorum/v1/entry.pb.h"
#include "kvorum/v1/feature.pb.h"
#include "kvorum/v1/metadata.pb.h"
#include "kvorum/v1/producer_id.pb.h"
#include "kvorum/v1/quota.pb.h"
#include "kvorum/v1/topic.pb.h"

namespace kvorum::controller {

// Every mutation a client can ask for, as it came off the wire. A new RPC that writes is added here
// and as an Execute overload of its domain.
using Command =
    std::variant<v1::PutEntryRequest, v1::DeleteEntryRequest, v1::RegisterBrokerRequest,
                 v1::UnregisterBrokerRequest, v1::CreateTopicsRequest, v1::DeleteTopicsRequest,
                 v1::CreatePartitionsRequest, v1::AlterPartitionRequest, v1::AlterConfigsRequest,
                 v1::AlterClientQuotasRequest, v1::CreateAclsRequest, v1::DeleteAclsRequest,
                 v1::AlterUserScramCredentialsRequest, v1::UpdateFeaturesRequest,
                 v1::AllocateProducerIdsRequest, v1::DrainBrokerRequest, v1::UndrainBrokerRequest,
                 v1::ElectLeadersRequest, v1::AlterPartitionReassignmentsRequest,
                 v1::CommitRequest>;
using CommandReply =
    std::variant<v1::PutEntryResponse, v1::DeleteEntryResponse, v1::RegisterBrokerResponse,
                 v1::UnregisterBrokerResponse, v1::CreateTopicsResponse, v1::DeleteTopicsResponse,
                 v1::CreatePartitionsResponse, v1::AlterPartitionResponse, v1::AlterConfigsResponse,
                 v1::AlterClientQuotasResponse, v1::CreateAclsResponse, v1::DeleteAclsResponse,
                 v1::AlterUserScramCredentialsResponse, v1::UpdateFeaturesResponse,
                 v1::AllocateProducerIdsResponse, v1::DrainBrokerResponse,
                 v1::UndrainBrokerResponse, v1::ElectLeadersResponse,
                 v1::AlterPartitionReassignmentsResponse, v1::CommitResponse>;

// Every read of the metadata.
using Query = std::variant<v1::GetEntryRequest, v1::ListEntriesRequest, v1::ListBrokersRequest,
                           v1::ListTopicsRequest, v1::GetTopicRequest, v1::DescribeConfigsRequest,
                           v1::DescribeClientQuotasRequest, v1::DescribeAclsRequest,
                           v1::DescribeUserScramCredentialsRequest, v1::DescribeFeaturesRequest,
                           v1::ListEntryNamespacesRequest, v1::GetBrokerRequest,
                           v1::DescribePartitionsRequest, v1::ListPartitionReassignmentsRequest>;
using QueryReply =
    std::variant<v1::GetEntryResponse, v1::ListEntriesResponse, v1::ListBrokersResponse,
                 v1::ListTopicsResponse, v1::GetTopicResponse, v1::DescribeConfigsResponse,
                 v1::DescribeClientQuotasResponse, v1::DescribeAclsResponse,
                 v1::DescribeUserScramCredentialsResponse, v1::DescribeFeaturesResponse,
                 v1::ListEntryNamespacesResponse, v1::GetBrokerResponse,
                 v1::DescribePartitionsResponse, v1::ListPartitionReassignmentsResponse>;

// What brokers say all the time: soft state first, records only when something changes.
using BrokerReport = std::variant<v1::HeartbeatRequest, v1::AcknowledgeMetadataRequest>;
using BrokerReportReply = std::variant<v1::HeartbeatResponse, v1::AcknowledgeMetadataResponse>;

// The cluster that one of several kinds of requests is meant for; empty: not checked.
template <typename... Requests>
const std::string& ClusterIdOf(const std::variant<Requests...>& request) {
  return std::visit([](const auto& inner) -> const std::string& { return inner.cluster_id(); },
                    request);
}

}  // namespace kvorum::controller
