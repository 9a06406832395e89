#include "client/controller_client.h"

#include <algorithm>
#include <utility>

#include "client/random_id.h"
#include "client/record_text.h"
#include "kvorum/v1/acl.grpc.pb.h"
#include "kvorum/v1/broker.grpc.pb.h"
#include "kvorum/v1/config.grpc.pb.h"
#include "kvorum/v1/credential.grpc.pb.h"
#include "kvorum/v1/entry.grpc.pb.h"
#include "kvorum/v1/feature.grpc.pb.h"
#include "kvorum/v1/maintenance.grpc.pb.h"
#include "kvorum/v1/metadata.grpc.pb.h"
#include "kvorum/v1/producer_id.grpc.pb.h"
#include "kvorum/v1/quorum.grpc.pb.h"
#include "kvorum/v1/quota.grpc.pb.h"
#include "kvorum/v1/topic.grpc.pb.h"

namespace kvorum::client {
namespace {

// A write that may wait for brokers.
template <typename Request>
concept WaitsForBrokers = requires(const Request& request) {
  request.options().wait_count();
};

template <typename Request>
concept HasRequestId = requires(Request& request) {
  request.mutable_options()->set_request_id("");
};

// A read that may be answered by any node.
template <typename Request>
concept IsRead = requires(Request& request) {
  request.mutable_options()->mutable_min_position();
};

bool IsCutShort(const v1::Propagation& propagation) {
  return propagation.outcome() == v1::Propagation::OUTCOME_LEADER_CHANGED;
}

v1::AwaitAppliedRequest MakeAwaitApplied(const std::string& cluster_id,
                                         const v1::WriteOptions& options) {
  v1::AwaitAppliedRequest ask;
  ask.set_cluster_id(cluster_id);
  ask.set_wait(options.wait());
  ask.set_wait_count(options.wait_count());
  *ask.mutable_wait_broker_ids() = options.wait_broker_ids();
  if (options.has_wait_timeout()) {
    *ask.mutable_wait_timeout() = options.wait_timeout();
  }
  return ask;
}

// The waits of one leader after the other may take as long as was given to the first.
TimePoint WaitEnd(const v1::AwaitAppliedRequest& ask) {
  constexpr int64_t kLongestSeconds = 3600;  // more is refused by every controller
  if (!ask.has_wait_timeout() || ask.wait_timeout().seconds() > kLongestSeconds) {
    return TimePoint::max();
  }
  return std::chrono::system_clock::now() + std::chrono::seconds(ask.wait_timeout().seconds()) +
         std::chrono::duration_cast<TimePoint::duration>(
             std::chrono::nanoseconds(ask.wait_timeout().nanos()));
}

void SetDuration(std::chrono::nanoseconds duration, google::protobuf::Duration& proto) {
  constexpr int64_t kNanosPerSecond = 1'000'000'000;
  proto.set_seconds(duration.count() / kNanosPerSecond);
  proto.set_nanos(static_cast<int32_t>(duration.count() % kNanosPerSecond));
}

}  // namespace

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
  if constexpr (HasRequestId<Request>) {
    if (kind == CallKind::kWrite && !request.options().validate_only()) {
      plan.kind = CallKind::kOnce;
      if (request.options().request_id().empty()) {
        request.mutable_options()->set_request_id(IdText(RandomUuidBytes()));
      }
    }
    if (request.options().wait() > v1::WAIT_COMMITTED) {
      plan.attempt_timeout = call.timeout.value_or(options_.timeout);  // brokers take their time
    }
  }
  if constexpr (IsRead<Request>) {
    if (options_.reads_own_writes && !request.options().has_min_position() &&
        request.options().consistency() == v1::CONSISTENCY_LOCAL) {
      if (std::optional<v1::Position> position = last_position()) {
        *request.mutable_options()->mutable_min_position() = *std::move(position);
      }
    }
  }
  if constexpr (WaitsForBrokers<Request>) {
    v1::AwaitAppliedRequest ask = MakeAwaitApplied(request.cluster_id(), request.options());
    const TimePoint wait_end = WaitEnd(ask);
    Result<Response> answer = CallOnce(method, plan, request);
    if (!answer.ok() || !IsCutShort(answer->header().propagation())) {
      return answer;
    }
    Response response = std::move(answer).value();
    FollowPropagation(std::move(ask), wait_end, plan.deadline,
                      *response.mutable_header()->mutable_propagation());
    return response;
  } else {
    return CallOnce(method, plan, request);
  }
}

template <typename Stub, typename Request, typename Response>
Result<Response> ControllerClient::CallOnce(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                         const Request&, Response*),
                                            const CallPlan& plan, const Request& request) {
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
  Remember(header);
  return response;
}

std::optional<v1::Position> ControllerClient::last_position() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return last_position_;
}

void ControllerClient::Remember(const v1::ResponseHeader& header) {
  // The answer to a write leaves when the leader has applied it; that to a read says what it is of.
  const v1::Position& applied = header.applied();
  if (applied.generation() == 0) {
    return;  // this call's answer has none
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  // Another generation is a recovered cluster: what was seen before may not exist in it.
  if (!last_position_.has_value() || last_position_->generation() != applied.generation() ||
      last_position_->offset() < applied.offset()) {
    last_position_ = applied;
  }
}

void ControllerClient::FollowPropagation(v1::AwaitAppliedRequest ask, TimePoint wait_end,
                                         TimePoint deadline, v1::Propagation& propagation) {
  *ask.mutable_position() = propagation.position();
  CallPlan plan;
  plan.kind = CallKind::kRead;
  plan.deadline = deadline;
  while (IsCutShort(propagation)) {
    const TimePoint now = std::chrono::system_clock::now();
    if (now >= deadline) {
      return;
    }
    if (wait_end != TimePoint::max()) {
      SetDuration(std::max(wait_end - now, TimePoint::duration::zero()),
                  *ask.mutable_wait_timeout());
    }
    // Nobody knows how long the brokers will take, so one attempt may take it all.
    plan.attempt_timeout = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now);
    const Result<v1::AwaitAppliedResponse> answer =
        CallOnce(&v1::MetadataService::Stub::AwaitApplied, plan, ask);
    if (!answer.ok()) {
      return;  // what is known: committed, and the wait was cut short
    }
    propagation = answer->header().propagation();
  }
}

Result<v1::CommitResponse> ControllerClient::Commit(v1::CommitRequest request,
                                                    const CallOptions& call) {
  return Call(&v1::MetadataService::Stub::Commit, CallKind::kWrite, std::move(request), call);
}

Result<v1::AwaitAppliedResponse> ControllerClient::AwaitApplied(v1::AwaitAppliedRequest request,
                                                                const CallOptions& call) {
  if (request.cluster_id().empty()) {
    request.set_cluster_id(options_.cluster_id);
  }
  const std::chrono::milliseconds timeout = call.timeout.value_or(options_.timeout);
  CallPlan plan;
  plan.kind = CallKind::kRead;
  plan.deadline = std::chrono::system_clock::now() + timeout;
  plan.attempt_timeout = timeout;
  plan.pinned_endpoint = call.endpoint;
  const TimePoint wait_end = WaitEnd(request);
  Result<v1::AwaitAppliedResponse> answer =
      CallOnce(&v1::MetadataService::Stub::AwaitApplied, plan, request);
  if (!answer.ok() || !call.endpoint.empty()) {
    return answer;
  }
  v1::AwaitAppliedResponse response = std::move(answer).value();
  FollowPropagation(std::move(request), wait_end, plan.deadline,
                    *response.mutable_header()->mutable_propagation());
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

Result<v1::AlterConfigsResponse> ControllerClient::AlterConfigs(v1::AlterConfigsRequest request,
                                                                const CallOptions& call) {
  return Call(&v1::ConfigService::Stub::AlterConfigs, CallKind::kWrite, std::move(request), call);
}

Result<v1::DescribeConfigsResponse> ControllerClient::DescribeConfigs(
    v1::DescribeConfigsRequest request, const CallOptions& call) {
  return Call(&v1::ConfigService::Stub::DescribeConfigs, CallKind::kRead, std::move(request), call);
}

Result<v1::AlterClientQuotasResponse> ControllerClient::AlterClientQuotas(
    v1::AlterClientQuotasRequest request, const CallOptions& call) {
  return Call(&v1::QuotaService::Stub::AlterClientQuotas, CallKind::kWrite, std::move(request),
              call);
}

Result<v1::DescribeClientQuotasResponse> ControllerClient::DescribeClientQuotas(
    v1::DescribeClientQuotasRequest request, const CallOptions& call) {
  return Call(&v1::QuotaService::Stub::DescribeClientQuotas, CallKind::kRead, std::move(request),
              call);
}

Result<v1::CreateAclsResponse> ControllerClient::CreateAcls(v1::CreateAclsRequest request,
                                                            const CallOptions& call) {
  return Call(&v1::AclService::Stub::CreateAcls, CallKind::kIdempotent, std::move(request), call);
}

Result<v1::DeleteAclsResponse> ControllerClient::DeleteAcls(v1::DeleteAclsRequest request,
                                                            const CallOptions& call) {
  return Call(&v1::AclService::Stub::DeleteAcls, CallKind::kWrite, std::move(request), call);
}

Result<v1::DescribeAclsResponse> ControllerClient::DescribeAcls(v1::DescribeAclsRequest request,
                                                                const CallOptions& call) {
  return Call(&v1::AclService::Stub::DescribeAcls, CallKind::kRead, std::move(request), call);
}

Result<v1::AlterUserScramCredentialsResponse> ControllerClient::AlterUserScramCredentials(
    v1::AlterUserScramCredentialsRequest request, const CallOptions& call) {
  return Call(&v1::CredentialService::Stub::AlterUserScramCredentials, CallKind::kWrite,
              std::move(request), call);
}

Result<v1::DescribeUserScramCredentialsResponse> ControllerClient::DescribeUserScramCredentials(
    v1::DescribeUserScramCredentialsRequest request, const CallOptions& call) {
  return Call(&v1::CredentialService::Stub::DescribeUserScramCredentials, CallKind::kRead,
              std::move(request), call);
}

Result<v1::UpdateFeaturesResponse> ControllerClient::UpdateFeatures(
    v1::UpdateFeaturesRequest request, const CallOptions& call) {
  return Call(&v1::FeatureService::Stub::UpdateFeatures, CallKind::kWrite, std::move(request),
              call);
}

Result<v1::DescribeFeaturesResponse> ControllerClient::DescribeFeatures(
    v1::DescribeFeaturesRequest request, const CallOptions& call) {
  return Call(&v1::FeatureService::Stub::DescribeFeatures, CallKind::kRead, std::move(request),
              call);
}

Result<v1::AllocateProducerIdsResponse> ControllerClient::AllocateProducerIds(
    v1::AllocateProducerIdsRequest request, const CallOptions& call) {
  return Call(&v1::ProducerIdService::Stub::AllocateProducerIds, CallKind::kIdempotent,
              std::move(request), call);
}

Result<v1::ListEntryNamespacesResponse> ControllerClient::ListEntryNamespaces(
    v1::ListEntryNamespacesRequest request, const CallOptions& call) {
  return Call(&v1::EntryService::Stub::ListNamespaces, CallKind::kRead, std::move(request), call);
}

Result<v1::ElectLeadersResponse> ControllerClient::ElectLeaders(v1::ElectLeadersRequest request,
                                                                const CallOptions& call) {
  return Call(&v1::TopicService::Stub::ElectLeaders, CallKind::kWrite, std::move(request), call);
}

Result<v1::AlterPartitionReassignmentsResponse> ControllerClient::AlterPartitionReassignments(
    v1::AlterPartitionReassignmentsRequest request, const CallOptions& call) {
  return Call(&v1::TopicService::Stub::AlterPartitionReassignments, CallKind::kWrite,
              std::move(request), call);
}

Result<v1::ListPartitionReassignmentsResponse> ControllerClient::ListPartitionReassignments(
    v1::ListPartitionReassignmentsRequest request, const CallOptions& call) {
  return Call(&v1::TopicService::Stub::ListPartitionReassignments, CallKind::kRead,
              std::move(request), call);
}

Result<v1::DescribePartitionsResponse> ControllerClient::DescribePartitions(
    v1::DescribePartitionsRequest request, const CallOptions& call) {
  return Call(&v1::TopicService::Stub::DescribePartitions, CallKind::kRead, std::move(request),
              call);
}

Result<v1::DrainBrokerResponse> ControllerClient::DrainBroker(v1::DrainBrokerRequest request,
                                                              const CallOptions& call) {
  return Call(&v1::BrokerService::Stub::DrainBroker, CallKind::kIdempotent, std::move(request),
              call);
}

Result<v1::UndrainBrokerResponse> ControllerClient::UndrainBroker(v1::UndrainBrokerRequest request,
                                                                  const CallOptions& call) {
  return Call(&v1::BrokerService::Stub::UndrainBroker, CallKind::kIdempotent, std::move(request),
              call);
}

Result<v1::GetBrokerResponse> ControllerClient::GetBroker(v1::GetBrokerRequest request,
                                                          const CallOptions& call) {
  return Call(&v1::BrokerService::Stub::GetBroker, CallKind::kRead, std::move(request), call);
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

Result<v1::DescribeClusterResponse> ControllerClient::DescribeCluster(
    v1::DescribeClusterRequest request, const CallOptions& call) {
  return Call(&v1::QuorumService::Stub::DescribeCluster, CallKind::kRead, std::move(request), call);
}

Result<v1::AddVoterResponse> ControllerClient::AddVoter(v1::AddVoterRequest request,
                                                        const CallOptions& call) {
  return Call(&v1::QuorumService::Stub::AddVoter, CallKind::kWrite, std::move(request), call);
}

Result<v1::RemoveVoterResponse> ControllerClient::RemoveVoter(v1::RemoveVoterRequest request,
                                                              const CallOptions& call) {
  return Call(&v1::QuorumService::Stub::RemoveVoter, CallKind::kWrite, std::move(request), call);
}

Result<v1::UpdateVoterResponse> ControllerClient::UpdateVoter(v1::UpdateVoterRequest request,
                                                              const CallOptions& call) {
  return Call(&v1::QuorumService::Stub::UpdateVoter, CallKind::kWrite, std::move(request), call);
}

Result<v1::TransferLeadershipResponse> ControllerClient::TransferLeadership(
    v1::TransferLeadershipRequest request, const CallOptions& call) {
  return Call(&v1::QuorumService::Stub::TransferLeadership, CallKind::kWrite, std::move(request),
              call);
}

Result<v1::TriggerSnapshotResponse> ControllerClient::TriggerSnapshot(
    v1::TriggerSnapshotRequest request, const CallOptions& call) {
  return Call(&v1::MaintenanceService::Stub::TriggerSnapshot, CallKind::kIdempotent,
              std::move(request), call);
}

}  // namespace kvorum::client
