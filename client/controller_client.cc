#include "client/controller_client.h"

#include <utility>

#include "kvorum/v1/broker.grpc.pb.h"
#include "kvorum/v1/entry.grpc.pb.h"
#include "kvorum/v1/maintenance.grpc.pb.h"
#include "kvorum/v1/quorum.grpc.pb.h"
#include "kvorum/v1/topic.grpc.pb.h"

namespace kvorum::client {

ControllerClient::ControllerClient(std::shared_ptr<Endpoints> endpoints,
                                   ControllerClientOptions options)
    : endpoints_(std::move(endpoints)), options_(std::move(options)) {}

template <typename Stub, typename Request, typename Response>
Result<Response> ControllerClient::Call(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                     const Request&, Response*),
                                        CallKind kind, Request request, const CallOptions& call) {
  if (request.cluster_id().empty()) {
    request.set_cluster_id(options_.cluster_id);
  }
  CallPlan plan;
  plan.kind = kind;
  plan.deadline = std::chrono::system_clock::now() + call.timeout.value_or(options_.timeout);
  plan.pinned_endpoint = call.endpoint;
  Response response;
  const Attempt attempt = [&](const std::shared_ptr<grpc::Channel>& channel,
                              grpc::ClientContext& context) {
    Stub stub(channel);
    response.Clear();
    return (stub.*method)(&context, request, &response);
  };
  const Result<std::string> answered_by = RunCall(*endpoints_, plan, attempt);
  if (!answered_by.ok()) {
    return answered_by.error();
  }
  const v1::ResponseHeader& header = response.header();
  if (header.leader_id() >= 0 && header.leader_id() == header.node_id()) {
    endpoints_->ConfirmLeader(*answered_by);
  }
  return response;
}

Result<v1::PutEntryResponse> ControllerClient::PutEntry(v1::PutEntryRequest request,
                                                        const CallOptions& call) {
  return Call(&v1::EntryService::Stub::Put, CallKind::kWrite, std::move(request), call);
}

Result<v1::GetEntryResponse> ControllerClient::GetEntry(v1::GetEntryRequest request,
                                                        const CallOptions& call) {
  return Call(&v1::EntryService::Stub::Get, CallKind::kRead, std::move(request), call);
}

Result<v1::DeleteEntryResponse> ControllerClient::DeleteEntry(v1::DeleteEntryRequest request,
                                                              const CallOptions& call) {
  return Call(&v1::EntryService::Stub::Delete, CallKind::kWrite, std::move(request), call);
}

Result<v1::ListEntriesResponse> ControllerClient::ListEntries(v1::ListEntriesRequest request,
                                                              const CallOptions& call) {
  return Call(&v1::EntryService::Stub::List, CallKind::kRead, std::move(request), call);
}

Result<v1::CreateTopicsResponse> ControllerClient::CreateTopics(v1::CreateTopicsRequest request,
                                                                const CallOptions& call) {
  return Call(&v1::TopicService::Stub::CreateTopics, CallKind::kWrite, std::move(request), call);
}

Result<v1::DeleteTopicsResponse> ControllerClient::DeleteTopics(v1::DeleteTopicsRequest request,
                                                                const CallOptions& call) {
  return Call(&v1::TopicService::Stub::DeleteTopics, CallKind::kWrite, std::move(request), call);
}

Result<v1::CreatePartitionsResponse> ControllerClient::CreatePartitions(
    v1::CreatePartitionsRequest request, const CallOptions& call) {
  return Call(&v1::TopicService::Stub::CreatePartitions, CallKind::kWrite, std::move(request),
              call);
}

Result<v1::AlterPartitionResponse> ControllerClient::AlterPartition(
    v1::AlterPartitionRequest request, const CallOptions& call) {
  return Call(&v1::TopicService::Stub::AlterPartition, CallKind::kWrite, std::move(request), call);
}

Result<v1::ListTopicsResponse> ControllerClient::ListTopics(v1::ListTopicsRequest request,
                                                            const CallOptions& call) {
  return Call(&v1::TopicService::Stub::ListTopics, CallKind::kRead, std::move(request), call);
}

Result<v1::GetTopicResponse> ControllerClient::GetTopic(v1::GetTopicRequest request,
                                                        const CallOptions& call) {
  return Call(&v1::TopicService::Stub::GetTopic, CallKind::kRead, std::move(request), call);
}

Result<v1::RegisterBrokerResponse> ControllerClient::RegisterBroker(
    v1::RegisterBrokerRequest request, const CallOptions& call) {
  return Call(&v1::BrokerService::Stub::RegisterBroker, CallKind::kIdempotent, std::move(request),
              call);
}

Result<v1::HeartbeatResponse> ControllerClient::Heartbeat(v1::HeartbeatRequest request,
                                                          const CallOptions& call) {
  return Call(&v1::BrokerService::Stub::Heartbeat, CallKind::kIdempotent, std::move(request), call);
}

Result<v1::AcknowledgeMetadataResponse> ControllerClient::AcknowledgeMetadata(
    v1::AcknowledgeMetadataRequest request, const CallOptions& call) {
  return Call(&v1::BrokerService::Stub::AcknowledgeMetadata, CallKind::kIdempotent,
              std::move(request), call);
}

Result<v1::UnregisterBrokerResponse> ControllerClient::UnregisterBroker(
    v1::UnregisterBrokerRequest request, const CallOptions& call) {
  return Call(&v1::BrokerService::Stub::UnregisterBroker, CallKind::kWrite, std::move(request),
              call);
}

Result<v1::ListBrokersResponse> ControllerClient::ListBrokers(v1::ListBrokersRequest request,
                                                              const CallOptions& call) {
  return Call(&v1::BrokerService::Stub::ListBrokers, CallKind::kRead, std::move(request), call);
}

Result<v1::DescribeQuorumResponse> ControllerClient::DescribeQuorum(
    v1::DescribeQuorumRequest request, const CallOptions& call) {
  return Call(&v1::QuorumService::Stub::DescribeQuorum, CallKind::kRead, std::move(request), call);
}

Result<v1::TriggerSnapshotResponse> ControllerClient::TriggerSnapshot(
    v1::TriggerSnapshotRequest request, const CallOptions& call) {
  return Call(&v1::MaintenanceService::Stub::TriggerSnapshot, CallKind::kIdempotent,
              std::move(request), call);
}

}  // namespace kvorum::client
