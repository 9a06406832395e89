#include "tests/integration/bad_input_fixture.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

namespace kvorum::testing {
namespace {

namespace pb = google::protobuf;

// results[0].status of a batch's response.
v1::ItemStatus FirstItemStatus(const std::string& method, const std::string& bytes) {
  const auto response = MakeResponse(method);
  EXPECT_TRUE(response->ParseFromString(bytes));
  const pb::FieldDescriptor* results = response->GetDescriptor()->FindFieldByName("results");
  if (results == nullptr || response->GetReflection()->FieldSize(*response, results) == 0) {
    ADD_FAILURE() << method << ": no results";
    return {};
  }
  const pb::Message& result = response->GetReflection()->GetRepeatedMessage(*response, results, 0);
  v1::ItemStatus status;
  status.CopyFrom(result.GetReflection()->GetMessage(
      result, result.GetDescriptor()->FindFieldByName("status")));
  return status;
}

ClusterOptions BadInputOptions() {
  ClusterOptions options = QuietOptions();
  // Nothing may happen by itself: the broker below does not heartbeat.
  options.run_flags.insert(options.run_flags.end(), {"--broker-session-timeout-ms", "3600000"});
  return options;
}

}  // namespace

BadInputTest::BadInputTest() : cluster_(BadInputOptions()) {}

void BadInputTest::SetUp() {
  cluster_.StartAll();
  client_ = cluster_.MakeClient();
  broker_ = std::make_unique<FakeBroker>(*client_, 1);
  ASSERT_TRUE(broker_->Register());
  ASSERT_TRUE(broker_->BecomeUnfenced());
  v1::CreateTopicsRequest topics;
  topics.add_topics()->set_name("t");
  topics.mutable_topics(0)->set_partition_count(3);
  const auto created = client_->CreateTopics(topics);
  ASSERT_TRUE(created.ok()) << client::ToText(created.error());
  ASSERT_EQ(created->results(0).status().code(), 0) << created->results(0).status().message();
  topic_id_ = created->results(0).topic_id();
  ASSERT_TRUE(client_->PutEntry(MakePut("k", "v")).ok());
  before_ = AwaitConvergence(cluster_);
  ASSERT_TRUE(before_.has_value());
  leader_ = cluster_.WaitForLeader();
  ASSERT_GE(leader_, 0);
  channel_ = MakeRawChannel(cluster_.endpoint(leader_));
}

void BadInputTest::TearDown() {
  if (HasFatalFailure()) {
    return;
  }
  for (int i = 0; i < cluster_.size(); ++i) {
    EXPECT_TRUE(cluster_.process(i).is_running()) << cluster_.ReadLog(i);
  }
  const auto after = AwaitConvergence(cluster_);
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->state_hash, before_->state_hash);
  EXPECT_EQ(after->applied, before_->applied);
  EXPECT_EQ(after->leader_epoch, before_->leader_epoch);
  EXPECT_EQ(cluster_.WaitForLeader(), leader_);
  EXPECT_TRUE(client_->PutEntry(MakePut("still", "alive")).ok());
}

RawAnswer BadInputTest::Send(const std::string& method, const std::string& bytes) {
  return Call(channel_, {.method = method, .bytes = bytes});
}

void BadInputTest::ExpectRefused(const std::vector<BadRequest>& cases) {
  for (const BadRequest& bad : cases) {
    const std::string shown = fmt::format("{} {{{}}}", bad.method, bad.text.substr(0, 300));
    const RawAnswer answer = Send(bad.method, RequestFromText(bad.method, bad.text));
    ASSERT_FALSE(answer.status.ok()) << shown;
    const client::CallError error = answer.error();
    EXPECT_EQ(error.code, bad.code) << shown << ": " << error.message;
    EXPECT_EQ(error.reason_name, bad.reason) << shown << ": " << error.message;
    EXPECT_EQ(error.outcome, client::Outcome::kNotExecuted) << shown;
    EXPECT_FALSE(error.message.empty()) << shown;
  }
}

void BadInputTest::ExpectItemRefused(const std::vector<BadItem>& cases) {
  for (const BadItem& bad : cases) {
    const std::string shown = fmt::format("{} {{{}}}", bad.method, bad.text.substr(0, 300));
    const RawAnswer answer = Send(bad.method, RequestFromText(bad.method, bad.text));
    ASSERT_TRUE(answer.status.ok()) << shown << ": " << answer.status.error_message();
    const v1::ItemStatus status = FirstItemStatus(bad.method, answer.bytes);
    EXPECT_EQ(status.code(), static_cast<int>(bad.code)) << shown << ": " << status.message();
    EXPECT_EQ(status.reason(), bad.reason) << shown << ": " << status.message();
    EXPECT_FALSE(status.message().empty()) << shown;
  }
}

std::string BadInputTest::Sender() const {
  return fmt::format("broker_id: {} broker_epoch: {} ", broker_->id(), broker_->epoch());
}

const std::vector<std::string>& CommandMethods() {
  static const auto& methods =
      *new std::vector<std::string>{"kvorum.v1.BrokerService/RegisterBroker",
                                    "kvorum.v1.BrokerService/UnregisterBroker",
                                    "kvorum.v1.TopicService/CreateTopics",
                                    "kvorum.v1.TopicService/DeleteTopics",
                                    "kvorum.v1.TopicService/CreatePartitions",
                                    "kvorum.v1.TopicService/AlterPartition",
                                    "kvorum.v1.EntryService/Put",
                                    "kvorum.v1.EntryService/Delete",
                                    "kvorum.v1.ConfigService/AlterConfigs",
                                    "kvorum.v1.QuotaService/AlterClientQuotas",
                                    "kvorum.v1.AclService/CreateAcls",
                                    "kvorum.v1.AclService/DeleteAcls",
                                    "kvorum.v1.CredentialService/AlterUserScramCredentials",
                                    "kvorum.v1.FeatureService/UpdateFeatures",
                                    "kvorum.v1.ProducerIdService/AllocateProducerIds",
                                    "kvorum.v1.MetadataService/Commit"};
  return methods;
}

const std::vector<std::string>& QueryMethods() {
  static const auto& methods =
      *new std::vector<std::string>{"kvorum.v1.BrokerService/ListBrokers",
                                    "kvorum.v1.TopicService/ListTopics",
                                    "kvorum.v1.TopicService/GetTopic",
                                    "kvorum.v1.EntryService/Get",
                                    "kvorum.v1.EntryService/List",
                                    "kvorum.v1.EntryService/ListNamespaces",
                                    "kvorum.v1.ConfigService/DescribeConfigs",
                                    "kvorum.v1.QuotaService/DescribeClientQuotas",
                                    "kvorum.v1.AclService/DescribeAcls",
                                    "kvorum.v1.CredentialService/DescribeUserScramCredentials",
                                    "kvorum.v1.FeatureService/DescribeFeatures"};
  return methods;
}

const std::vector<std::string>& ListMethods() {
  static const auto& methods =
      *new std::vector<std::string>{"kvorum.v1.BrokerService/ListBrokers",
                                    "kvorum.v1.TopicService/ListTopics",
                                    "kvorum.v1.TopicService/GetTopic",
                                    "kvorum.v1.EntryService/List",
                                    "kvorum.v1.EntryService/ListNamespaces",
                                    "kvorum.v1.ConfigService/DescribeConfigs",
                                    "kvorum.v1.QuotaService/DescribeClientQuotas",
                                    "kvorum.v1.AclService/DescribeAcls",
                                    "kvorum.v1.CredentialService/DescribeUserScramCredentials"};
  return methods;
}

const std::vector<std::string>& ClientMethods() {
  static const auto& methods = *[] {
    auto* all = new std::vector<std::string>(CommandMethods());
    all->insert(all->end(), QueryMethods().begin(), QueryMethods().end());
    all->insert(
        all->end(),
        {"kvorum.v1.BrokerService/Heartbeat", "kvorum.v1.BrokerService/HoldSession",
         "kvorum.v1.BrokerService/AcknowledgeMetadata", "kvorum.v1.MetadataService/AwaitApplied",
         "kvorum.v1.QuorumService/DescribeQuorum", "kvorum.v1.QuorumService/DescribeCluster",
         "kvorum.v1.QuorumService/AddVoter", "kvorum.v1.QuorumService/RemoveVoter",
         "kvorum.v1.QuorumService/UpdateVoter", "kvorum.v1.QuorumService/TransferLeadership",
         "kvorum.v1.MetadataStreamService/Subscribe"});
    return all;
  }();
  return methods;
}

const std::vector<std::string>& RaftMethods() {
  static const auto& methods = *new std::vector<std::string>{
      "kvorum.v1.RaftService/Vote",           "kvorum.v1.RaftService/BeginQuorumEpoch",
      "kvorum.v1.RaftService/EndQuorumEpoch", "kvorum.v1.RaftService/Fetch",
      "kvorum.v1.RaftService/ReadBarrier",    "kvorum.v1.RaftService/UpdateRaftVoter"};
  return methods;
}

}  // namespace kvorum::testing
