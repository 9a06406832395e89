#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/integration/fake_broker.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/test_util.h"

namespace kvorum::testing {

// One request that must be refused.
struct BadRequest {
  std::string method;  // "kvorum.v1.EntryService/Put"
  std::string text;    // in protobuf's text format
  grpc::StatusCode code;
  std::string reason;  // of google.rpc.ErrorInfo
};

// One item of a batch that must be refused, in an OK reply.
struct BadItem {
  std::string method;
  std::string text;
  grpc::StatusCode code;
  std::string reason;
};

// A quiet cluster with one broker (id 1, unfenced, served by nobody), one topic "t" of three
// partitions and one entry "k". Whatever a test sends, the state must be what it was, the epoch and
// the leader, too, and all three processes must be alive.
class BadInputTest : public ::testing::Test {
 protected:
  BadInputTest();
  void SetUp() override;
  void TearDown() override;

  RawAnswer Send(const std::string& method, const std::string& bytes);
  void ExpectRefused(const std::vector<BadRequest>& cases);
  void ExpectItemRefused(const std::vector<BadItem>& cases);

  // "broker_id: 1 broker_epoch: 7" of the broker that is there.
  std::string Sender() const;
  const std::string& topic_id() const { return topic_id_; }

  Cluster cluster_;
  std::unique_ptr<client::ControllerClient> client_;
  std::unique_ptr<FakeBroker> broker_;
  int leader_ = -1;
  std::shared_ptr<grpc::Channel> channel_;  // to the leader's client listener

 private:
  std::string topic_id_;
  std::optional<CommonState> before_;
};

// Every method of the client listener.
const std::vector<std::string>& ClientMethods();
const std::vector<std::string>& CommandMethods();  // those with WriteOptions
const std::vector<std::string>& QueryMethods();    // those with ReadOptions
const std::vector<std::string>& ListMethods();     // those with pages
const std::vector<std::string>& RaftMethods();

}  // namespace kvorum::testing
