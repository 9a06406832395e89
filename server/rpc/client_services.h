#pragma once

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
#include "server/rpc/unary_call.h"

namespace kvorum::rpc {

// The unary services of the client listener, one line per method: name and kind. Owned by
// GrpcServer; called by gRPC's threads.

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

class QuorumServiceImpl final : public v1::QuorumService::CallbackService {
 public:
  explicit QuorumServiceImpl(UnaryCalls& calls) : calls_(calls) {}

  Reactor* DescribeQuorum(Context* context, const v1::DescribeQuorumRequest* request,
                          v1::DescribeQuorumResponse* response) override {
    return calls_.DescribeQuorum("QuorumService/DescribeQuorum", context, request, response);
  }
  Reactor* DescribeCluster(Context* context, const v1::DescribeClusterRequest* request,
                           v1::DescribeClusterResponse* response) override {
    return calls_.DescribeCluster("QuorumService/DescribeCluster", context, request, response);
  }
  Reactor* AddVoter(Context* context, const v1::AddVoterRequest* request,
                    v1::AddVoterResponse* response) override {
    return calls_.QuorumChange("QuorumService/AddVoter", context, request, response);
  }
  Reactor* RemoveVoter(Context* context, const v1::RemoveVoterRequest* request,
                       v1::RemoveVoterResponse* response) override {
    return calls_.QuorumChange("QuorumService/RemoveVoter", context, request, response);
  }
  Reactor* UpdateVoter(Context* context, const v1::UpdateVoterRequest* request,
                       v1::UpdateVoterResponse* response) override {
    return calls_.QuorumChange("QuorumService/UpdateVoter", context, request, response);
  }
  Reactor* TransferLeadership(Context* context, const v1::TransferLeadershipRequest* request,
                              v1::TransferLeadershipResponse* response) override {
    return calls_.QuorumChange("QuorumService/TransferLeadership", context, request, response);
  }

 private:
  UnaryCalls& calls_;
};

class MaintenanceServiceImpl final : public v1::MaintenanceService::CallbackService {
 public:
  explicit MaintenanceServiceImpl(UnaryCalls& calls) : calls_(calls) {}

  Reactor* TriggerSnapshot(Context* context, const v1::TriggerSnapshotRequest* request,
                           v1::TriggerSnapshotResponse* response) override {
    return calls_.TriggerSnapshot("MaintenanceService/TriggerSnapshot", context, request, response);
  }

 private:
  UnaryCalls& calls_;
};

class MetadataServiceImpl final : public v1::MetadataService::CallbackService {
 public:
  explicit MetadataServiceImpl(UnaryCalls& calls) : calls_(calls) {}

  Reactor* AwaitApplied(Context* context, const v1::AwaitAppliedRequest* request,
                        v1::AwaitAppliedResponse* response) override {
    return calls_.AwaitApplied("MetadataService/AwaitApplied", context, request, response);
  }
  Reactor* Commit(Context* context, const v1::CommitRequest* request,
                  v1::CommitResponse* response) override {
    return calls_.Command("MetadataService/Commit", context, request, response);
  }

 private:
  UnaryCalls& calls_;
};

class BrokerServiceImpl final : public v1::BrokerService::CallbackService {
 public:
  explicit BrokerServiceImpl(UnaryCalls& calls) : calls_(calls) {}

  Reactor* RegisterBroker(Context* context, const v1::RegisterBrokerRequest* request,
                          v1::RegisterBrokerResponse* response) override {
    return calls_.Command("BrokerService/RegisterBroker", context, request, response);
  }
  Reactor* UnregisterBroker(Context* context, const v1::UnregisterBrokerRequest* request,
                            v1::UnregisterBrokerResponse* response) override {
    return calls_.Command("BrokerService/UnregisterBroker", context, request, response);
  }
  Reactor* Heartbeat(Context* context, const v1::HeartbeatRequest* request,
                     v1::HeartbeatResponse* response) override {
    return calls_.Report("BrokerService/Heartbeat", context, request, response);
  }
  Reactor* AcknowledgeMetadata(Context* context, const v1::AcknowledgeMetadataRequest* request,
                               v1::AcknowledgeMetadataResponse* response) override {
    return calls_.Report("BrokerService/AcknowledgeMetadata", context, request, response);
  }
  Reactor* HoldSession(Context* context, const v1::HoldSessionRequest* request,
                       v1::HoldSessionResponse* response) override {
    return calls_.HoldSession("BrokerService/HoldSession", context, request, response);
  }
  Reactor* DrainBroker(Context* context, const v1::DrainBrokerRequest* request,
                       v1::DrainBrokerResponse* response) override {
    return calls_.Command("BrokerService/DrainBroker", context, request, response);
  }
  Reactor* UndrainBroker(Context* context, const v1::UndrainBrokerRequest* request,
                         v1::UndrainBrokerResponse* response) override {
    return calls_.Command("BrokerService/UndrainBroker", context, request, response);
  }
  Reactor* GetBroker(Context* context, const v1::GetBrokerRequest* request,
                     v1::GetBrokerResponse* response) override {
    return calls_.Query("BrokerService/GetBroker", context, request, response);
  }
  Reactor* ListBrokers(Context* context, const v1::ListBrokersRequest* request,
                       v1::ListBrokersResponse* response) override {
    return calls_.Query("BrokerService/ListBrokers", context, request, response);
  }

 private:
  UnaryCalls& calls_;
};

class TopicServiceImpl final : public v1::TopicService::CallbackService {
 public:
  explicit TopicServiceImpl(UnaryCalls& calls) : calls_(calls) {}

  Reactor* CreateTopics(Context* context, const v1::CreateTopicsRequest* request,
                        v1::CreateTopicsResponse* response) override {
    return calls_.Command("TopicService/CreateTopics", context, request, response);
  }
  Reactor* DeleteTopics(Context* context, const v1::DeleteTopicsRequest* request,
                        v1::DeleteTopicsResponse* response) override {
    return calls_.Command("TopicService/DeleteTopics", context, request, response);
  }
  Reactor* CreatePartitions(Context* context, const v1::CreatePartitionsRequest* request,
                            v1::CreatePartitionsResponse* response) override {
    return calls_.Command("TopicService/CreatePartitions", context, request, response);
  }
  Reactor* AlterPartition(Context* context, const v1::AlterPartitionRequest* request,
                          v1::AlterPartitionResponse* response) override {
    return calls_.Command("TopicService/AlterPartition", context, request, response);
  }
  Reactor* ListTopics(Context* context, const v1::ListTopicsRequest* request,
                      v1::ListTopicsResponse* response) override {
    return calls_.Query("TopicService/ListTopics", context, request, response);
  }
  Reactor* GetTopic(Context* context, const v1::GetTopicRequest* request,
                    v1::GetTopicResponse* response) override {
    return calls_.Query("TopicService/GetTopic", context, request, response);
  }
  Reactor* ElectLeaders(Context* context, const v1::ElectLeadersRequest* request,
                        v1::ElectLeadersResponse* response) override {
    return calls_.Command("TopicService/ElectLeaders", context, request, response);
  }
  Reactor* AlterPartitionReassignments(Context* context,
                                       const v1::AlterPartitionReassignmentsRequest* request,
                                       v1::AlterPartitionReassignmentsResponse* response) override {
    return calls_.Command("TopicService/AlterPartitionReassignments", context, request, response);
  }
  Reactor* ListPartitionReassignments(Context* context,
                                      const v1::ListPartitionReassignmentsRequest* request,
                                      v1::ListPartitionReassignmentsResponse* response) override {
    return calls_.Query("TopicService/ListPartitionReassignments", context, request, response);
  }
  Reactor* DescribePartitions(Context* context, const v1::DescribePartitionsRequest* request,
                              v1::DescribePartitionsResponse* response) override {
    return calls_.Query("TopicService/DescribePartitions", context, request, response);
  }

 private:
  UnaryCalls& calls_;
};

class EntryServiceImpl final : public v1::EntryService::CallbackService {
 public:
  explicit EntryServiceImpl(UnaryCalls& calls) : calls_(calls) {}

  Reactor* Put(Context* context, const v1::PutEntryRequest* request,
               v1::PutEntryResponse* response) override {
    return calls_.Command("EntryService/Put", context, request, response);
  }
  Reactor* Delete(Context* context, const v1::DeleteEntryRequest* request,
                  v1::DeleteEntryResponse* response) override {
    return calls_.Command("EntryService/Delete", context, request, response);
  }
  Reactor* Get(Context* context, const v1::GetEntryRequest* request,
               v1::GetEntryResponse* response) override {
    return calls_.Query("EntryService/Get", context, request, response);
  }
  Reactor* List(Context* context, const v1::ListEntriesRequest* request,
                v1::ListEntriesResponse* response) override {
    return calls_.Query("EntryService/List", context, request, response);
  }
  Reactor* ListNamespaces(Context* context, const v1::ListEntryNamespacesRequest* request,
                          v1::ListEntryNamespacesResponse* response) override {
    return calls_.Query("EntryService/ListNamespaces", context, request, response);
  }

 private:
  UnaryCalls& calls_;
};

class ConfigServiceImpl final : public v1::ConfigService::CallbackService {
 public:
  explicit ConfigServiceImpl(UnaryCalls& calls) : calls_(calls) {}

  Reactor* AlterConfigs(Context* context, const v1::AlterConfigsRequest* request,
                        v1::AlterConfigsResponse* response) override {
    return calls_.Command("ConfigService/AlterConfigs", context, request, response);
  }
  Reactor* DescribeConfigs(Context* context, const v1::DescribeConfigsRequest* request,
                           v1::DescribeConfigsResponse* response) override {
    return calls_.Query("ConfigService/DescribeConfigs", context, request, response);
  }

 private:
  UnaryCalls& calls_;
};

class QuotaServiceImpl final : public v1::QuotaService::CallbackService {
 public:
  explicit QuotaServiceImpl(UnaryCalls& calls) : calls_(calls) {}

  Reactor* AlterClientQuotas(Context* context, const v1::AlterClientQuotasRequest* request,
                             v1::AlterClientQuotasResponse* response) override {
    return calls_.Command("QuotaService/AlterClientQuotas", context, request, response);
  }
  Reactor* DescribeClientQuotas(Context* context, const v1::DescribeClientQuotasRequest* request,
                                v1::DescribeClientQuotasResponse* response) override {
    return calls_.Query("QuotaService/DescribeClientQuotas", context, request, response);
  }

 private:
  UnaryCalls& calls_;
};

class AclServiceImpl final : public v1::AclService::CallbackService {
 public:
  explicit AclServiceImpl(UnaryCalls& calls) : calls_(calls) {}

  Reactor* CreateAcls(Context* context, const v1::CreateAclsRequest* request,
                      v1::CreateAclsResponse* response) override {
    return calls_.Command("AclService/CreateAcls", context, request, response);
  }
  Reactor* DeleteAcls(Context* context, const v1::DeleteAclsRequest* request,
                      v1::DeleteAclsResponse* response) override {
    return calls_.Command("AclService/DeleteAcls", context, request, response);
  }
  Reactor* DescribeAcls(Context* context, const v1::DescribeAclsRequest* request,
                        v1::DescribeAclsResponse* response) override {
    return calls_.Query("AclService/DescribeAcls", context, request, response);
  }

 private:
  UnaryCalls& calls_;
};

class CredentialServiceImpl final : public v1::CredentialService::CallbackService {
 public:
  explicit CredentialServiceImpl(UnaryCalls& calls) : calls_(calls) {}

  Reactor* AlterUserScramCredentials(Context* context,
                                     const v1::AlterUserScramCredentialsRequest* request,
                                     v1::AlterUserScramCredentialsResponse* response) override {
    return calls_.Command("CredentialService/AlterUserScramCredentials", context, request,
                          response);
  }
  Reactor* DescribeUserScramCredentials(
      Context* context, const v1::DescribeUserScramCredentialsRequest* request,
      v1::DescribeUserScramCredentialsResponse* response) override {
    return calls_.Query("CredentialService/DescribeUserScramCredentials", context, request,
                        response);
  }

 private:
  UnaryCalls& calls_;
};

class FeatureServiceImpl final : public v1::FeatureService::CallbackService {
 public:
  explicit FeatureServiceImpl(UnaryCalls& calls) : calls_(calls) {}

  Reactor* UpdateFeatures(Context* context, const v1::UpdateFeaturesRequest* request,
                          v1::UpdateFeaturesResponse* response) override {
    return calls_.Command("FeatureService/UpdateFeatures", context, request, response);
  }
  Reactor* DescribeFeatures(Context* context, const v1::DescribeFeaturesRequest* request,
                            v1::DescribeFeaturesResponse* response) override {
    return calls_.Query("FeatureService/DescribeFeatures", context, request, response);
  }

 private:
  UnaryCalls& calls_;
};

class ProducerIdServiceImpl final : public v1::ProducerIdService::CallbackService {
 public:
  explicit ProducerIdServiceImpl(UnaryCalls& calls) : calls_(calls) {}

  Reactor* AllocateProducerIds(Context* context, const v1::AllocateProducerIdsRequest* request,
                               v1::AllocateProducerIdsResponse* response) override {
    return calls_.Command("ProducerIdService/AllocateProducerIds", context, request, response);
  }

 private:
  UnaryCalls& calls_;
};

}  // namespace kvorum::rpc
