#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "client/endpoints.h"
#include "client/retry.h"
#include "client/status.h"
#include "kvorum/v1/acl.pb.h"
#include "kvorum/v1/broker.pb.h"
#include "kvorum/v1/config.pb.h"
#include "kvorum/v1/credential.pb.h"
#include "kvorum/v1/entry.pb.h"
#include "kvorum/v1/feature.pb.h"
#include "kvorum/v1/maintenance.pb.h"
#include "kvorum/v1/metadata.pb.h"
#include "kvorum/v1/producer_id.pb.h"
#include "kvorum/v1/quorum.pb.h"
#include "kvorum/v1/quota.pb.h"
#include "kvorum/v1/topic.pb.h"

namespace kvorum::client {

struct ControllerClientOptions {
  // Sent with requests that carry none; a controller of another cluster then refuses them.
  std::string cluster_id;
  std::chrono::milliseconds timeout{10'000};  // of a call with all its attempts
  // Reads of any one node (CONSISTENCY_LOCAL) reflect everything that this client has written or
  // read before, wherever that was: they carry its position as `min_position`, for which the node
  // waits.
  bool reads_own_writes = false;
};

struct CallOptions {
  std::optional<std::chrono::milliseconds> timeout;  // absent: the client's
  std::string endpoint;  // set: ask this node only, once, wherever the leader is
};

// Typed blocking calls to the active controller: finds it, follows it, and sends again what is
// safe to send again. Every mutation gets a request_id unless it has one, so that it is carried out
// once, however often it must be sent; what is still not known at the deadline fails with outcome
// kUnknown. A write that waits for brokers goes on waiting when the leader changes: the next leader
// is asked about the position. Owned by the application. Thread-safe; calls block the calling
// thread.
class ControllerClient {
 public:
  ControllerClient(std::shared_ptr<Endpoints> endpoints, ControllerClientOptions options = {});

  Result<v1::PutEntryResponse> PutEntry(v1::PutEntryRequest request, const CallOptions& call = {});
  Result<v1::GetEntryResponse> GetEntry(v1::GetEntryRequest request, const CallOptions& call = {});
  Result<v1::DeleteEntryResponse> DeleteEntry(v1::DeleteEntryRequest request,
                                              const CallOptions& call = {});
  Result<v1::ListEntriesResponse> ListEntries(v1::ListEntriesRequest request,
                                              const CallOptions& call = {});
  Result<v1::ListEntryNamespacesResponse> ListEntryNamespaces(
      v1::ListEntryNamespacesRequest request, const CallOptions& call = {});

  // Faults of an item are in the results of an OK response.
  Result<v1::CreateTopicsResponse> CreateTopics(v1::CreateTopicsRequest request,
                                                const CallOptions& call = {});
  Result<v1::DeleteTopicsResponse> DeleteTopics(v1::DeleteTopicsRequest request,
                                                const CallOptions& call = {});
  Result<v1::CreatePartitionsResponse> CreatePartitions(v1::CreatePartitionsRequest request,
                                                        const CallOptions& call = {});
  Result<v1::AlterPartitionResponse> AlterPartition(v1::AlterPartitionRequest request,
                                                    const CallOptions& call = {});
  Result<v1::ListTopicsResponse> ListTopics(v1::ListTopicsRequest request,
                                            const CallOptions& call = {});
  Result<v1::GetTopicResponse> GetTopic(v1::GetTopicRequest request, const CallOptions& call = {});
  Result<v1::ElectLeadersResponse> ElectLeaders(v1::ElectLeadersRequest request,
                                                const CallOptions& call = {});
  Result<v1::AlterPartitionReassignmentsResponse> AlterPartitionReassignments(
      v1::AlterPartitionReassignmentsRequest request, const CallOptions& call = {});
  Result<v1::ListPartitionReassignmentsResponse> ListPartitionReassignments(
      v1::ListPartitionReassignmentsRequest request, const CallOptions& call = {});
  Result<v1::DescribePartitionsResponse> DescribePartitions(v1::DescribePartitionsRequest request,
                                                            const CallOptions& call = {});

  // Configs, quotas, access control, credentials, features: faults of an item as above.
  Result<v1::AlterConfigsResponse> AlterConfigs(v1::AlterConfigsRequest request,
                                                const CallOptions& call = {});
  Result<v1::DescribeConfigsResponse> DescribeConfigs(v1::DescribeConfigsRequest request,
                                                      const CallOptions& call = {});
  Result<v1::AlterClientQuotasResponse> AlterClientQuotas(v1::AlterClientQuotasRequest request,
                                                          const CallOptions& call = {});
  Result<v1::DescribeClientQuotasResponse> DescribeClientQuotas(
      v1::DescribeClientQuotasRequest request, const CallOptions& call = {});
  // Idempotent for an identical binding, and therefore repeated when a reply is lost.
  Result<v1::CreateAclsResponse> CreateAcls(v1::CreateAclsRequest request,
                                            const CallOptions& call = {});
  Result<v1::DeleteAclsResponse> DeleteAcls(v1::DeleteAclsRequest request,
                                            const CallOptions& call = {});
  Result<v1::DescribeAclsResponse> DescribeAcls(v1::DescribeAclsRequest request,
                                                const CallOptions& call = {});
  Result<v1::AlterUserScramCredentialsResponse> AlterUserScramCredentials(
      v1::AlterUserScramCredentialsRequest request, const CallOptions& call = {});
  Result<v1::DescribeUserScramCredentialsResponse> DescribeUserScramCredentials(
      v1::DescribeUserScramCredentialsRequest request, const CallOptions& call = {});
  Result<v1::UpdateFeaturesResponse> UpdateFeatures(v1::UpdateFeaturesRequest request,
                                                    const CallOptions& call = {});
  Result<v1::DescribeFeaturesResponse> DescribeFeatures(v1::DescribeFeaturesRequest request,
                                                        const CallOptions& call = {});
  // A reply that is lost costs a block, no more, and therefore it is repeated.
  Result<v1::AllocateProducerIdsResponse> AllocateProducerIds(
      v1::AllocateProducerIdsRequest request, const CallOptions& call = {});

  // Idempotent for one incarnation_id, and therefore repeated when a reply is lost.
  Result<v1::RegisterBrokerResponse> RegisterBroker(v1::RegisterBrokerRequest request,
                                                    const CallOptions& call = {});
  Result<v1::HeartbeatResponse> Heartbeat(v1::HeartbeatRequest request,
                                          const CallOptions& call = {});
  Result<v1::AcknowledgeMetadataResponse> AcknowledgeMetadata(
      v1::AcknowledgeMetadataRequest request, const CallOptions& call = {});
  Result<v1::UnregisterBrokerResponse> UnregisterBroker(v1::UnregisterBrokerRequest request,
                                                        const CallOptions& call = {});
  // Idempotent, and therefore repeated when a reply is lost.
  Result<v1::DrainBrokerResponse> DrainBroker(v1::DrainBrokerRequest request,
                                              const CallOptions& call = {});
  Result<v1::UndrainBrokerResponse> UndrainBroker(v1::UndrainBrokerRequest request,
                                                  const CallOptions& call = {});
  Result<v1::GetBrokerResponse> GetBroker(v1::GetBrokerRequest request,
                                          const CallOptions& call = {});
  Result<v1::ListBrokersResponse> ListBrokers(v1::ListBrokersRequest request,
                                              const CallOptions& call = {});

  // A transaction: all operations in one commit, or none.
  Result<v1::CommitResponse> Commit(v1::CommitRequest request, const CallOptions& call = {});

  // Waits for a position to be committed, and applied by brokers.
  Result<v1::AwaitAppliedResponse> AwaitApplied(v1::AwaitAppliedRequest request,
                                                const CallOptions& call = {});

  // Any node answers for itself; only the leader knows the replicas' progress.
  Result<v1::DescribeQuorumResponse> DescribeQuorum(v1::DescribeQuorumRequest request,
                                                    const CallOptions& call = {});

  // The controllers and where they are reached, as any node knows them.
  Result<v1::DescribeClusterResponse> DescribeCluster(v1::DescribeClusterRequest request,
                                                      const CallOptions& call = {});

  // The voter set and who leads; answered when it is done.
  Result<v1::AddVoterResponse> AddVoter(v1::AddVoterRequest request, const CallOptions& call = {});
  Result<v1::RemoveVoterResponse> RemoveVoter(v1::RemoveVoterRequest request,
                                              const CallOptions& call = {});
  Result<v1::UpdateVoterResponse> UpdateVoter(v1::UpdateVoterRequest request,
                                              const CallOptions& call = {});
  Result<v1::TransferLeadershipResponse> TransferLeadership(v1::TransferLeadershipRequest request,
                                                            const CallOptions& call = {});

  // Of the node that is asked: name it in `call`.
  Result<v1::TriggerSnapshotResponse> TriggerSnapshot(v1::TriggerSnapshotRequest request,
                                                      const CallOptions& call);

  const std::shared_ptr<Endpoints>& endpoints() const { return endpoints_; }

  // The furthest position that an answer to this client reflected; absent: none yet. Given to
  // another process, which sets it as `min_position`, it makes that one see what this one has seen.
  std::optional<v1::Position> last_position() const;

 private:
  template <typename Stub, typename Request, typename Response>
  Result<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                     Response*),
                        CallKind kind, Request request, const CallOptions& call);

  // One round of retries; `endpoint` is the one that answered.
  template <typename Stub, typename Request, typename Response>
  Result<Response> CallOnce(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                         Response*),
                            const CallPlan& plan, const Request& request);
  // Asks the next leaders while `propagation` says that the one before knows no more.
  void FollowPropagation(v1::AwaitAppliedRequest ask, TimePoint wait_end, TimePoint deadline,
                         v1::Propagation& propagation);

  void Remember(const v1::ResponseHeader& header);

  const std::shared_ptr<Endpoints> endpoints_;
  const ControllerClientOptions options_;

  mutable std::mutex mutex_;  // guards all below
  std::optional<v1::Position> last_position_;
};

}  // namespace kvorum::client
