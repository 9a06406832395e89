// What a stranger, a broken client or an attacker may send to the client listener: refused with a
// code, a reason and a sentence, and without any effect.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "tests/integration/bad_input_fixture.h"
#include "tests/integration/stream_reader.h"

namespace kvorum::testing {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;

constexpr auto kInvalidArgument = grpc::StatusCode::INVALID_ARGUMENT;
constexpr auto kFailedPrecondition = grpc::StatusCode::FAILED_PRECONDITION;
constexpr auto kNotFound = grpc::StatusCode::NOT_FOUND;
constexpr auto kUnimplemented = grpc::StatusCode::UNIMPLEMENTED;
constexpr auto kResourceExhausted = grpc::StatusCode::RESOURCE_EXHAUSTED;
constexpr auto kAborted = grpc::StatusCode::ABORTED;
constexpr auto kAlreadyExists = grpc::StatusCode::ALREADY_EXISTS;

constexpr char kPut[] = "kvorum.v1.EntryService/Put";
constexpr char kGet[] = "kvorum.v1.EntryService/Get";
constexpr char kDelete[] = "kvorum.v1.EntryService/Delete";
constexpr char kList[] = "kvorum.v1.EntryService/List";
constexpr char kRegister[] = "kvorum.v1.BrokerService/RegisterBroker";
constexpr char kAllocateProducerIds[] = "kvorum.v1.ProducerIdService/AllocateProducerIds";
constexpr char kUnregister[] = "kvorum.v1.BrokerService/UnregisterBroker";
constexpr char kHeartbeat[] = "kvorum.v1.BrokerService/Heartbeat";
constexpr char kAcknowledge[] = "kvorum.v1.BrokerService/AcknowledgeMetadata";
constexpr char kListBrokers[] = "kvorum.v1.BrokerService/ListBrokers";
constexpr char kGetTopic[] = "kvorum.v1.TopicService/GetTopic";
constexpr char kSubscribe[] = "kvorum.v1.MetadataStreamService/Subscribe";

// Bytes that gRPC can't parse are answered by gRPC (UNIMPLEMENTED in its callback API) or, where we
// parse, by us.
::testing::Matcher<grpc::StatusCode> IsUnparseable() {
  return AnyOf(Eq(kUnimplemented), Eq(kInvalidArgument));
}

TEST_F(BadInputTest, RefusesBytesThatAreNoMessage) {
  std::minstd_rand random(7);
  std::vector<std::string> garbage = {
      std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12),  // endless varint
      std::string("\x0a\x7f\x61", 3),                                       // truncated string
      std::string("\x0a\x02\xc3\x28", 4),                                   // cluster_id: no UTF-8
      std::string("\x0a\x04\x66\x6f\x6f\x00\x07", 7),                       // field number 0
  };
  std::string nested;  // 150 groups that are never closed
  for (int i = 0; i < 150; ++i) {
    nested += "\x7b";
  }
  garbage.push_back(nested);
  for (int i = 0; i < 20; ++i) {
    std::string bytes;
    for (int n = 0; n < 64; ++n) {
      bytes.push_back(static_cast<char>(random() & 0xff));
    }
    garbage.push_back(bytes + "\xff");
  }
  for (const std::string& method : ClientMethods()) {
    const auto probe = MakeRequest(method);
    for (const std::string& bytes : garbage) {
      if (probe->ParseFromString(bytes)) {
        continue;  // by chance it is one
      }
      EXPECT_THAT(Send(method, bytes).status.error_code(), IsUnparseable()) << method;
    }
  }
}

TEST_F(BadInputTest, TreatsUnknownFieldsAsAnEmptyRequest) {
  const std::string unknown("\xf8\x07\x01", 3);  // field 127
  const std::string wrong_type("\x08\x01", 2);   // cluster_id as a number
  for (const std::string& bytes : {std::string(), unknown, wrong_type}) {
    for (const std::string& method : CommandMethods()) {
      const RawAnswer answer = Send(method, bytes);
      ASSERT_FALSE(answer.status.ok()) << method;
      // Broker 0 is not there; everything else lacks what it needs.
      const bool is_about_broker_0 = method == kUnregister || method == kAllocateProducerIds;
      EXPECT_EQ(answer.status.error_code(), is_about_broker_0 ? kNotFound : kInvalidArgument)
          << method << ": " << answer.status.error_message();
      EXPECT_FALSE(answer.reason().empty()) << method;
    }
  }
}

TEST_F(BadInputTest, RefusesUnknownMethods) {
  for (const char* method : {"kvorum.v1.EntryService/Nuke", "kvorum.v1.NoService/Put",
                             "kvorum.v2.EntryService/Put", "../../etc/passwd", "", "/"}) {
    EXPECT_EQ(Send(method, "").status.error_code(), kUnimplemented) << method;
  }
  // The controllers' service is not for clients.
  for (const std::string& method : RaftMethods()) {
    EXPECT_EQ(Send(method, "").status.error_code(), kUnimplemented) << method;
  }
}

TEST_F(BadInputTest, RefusesMessagesAndMetadataThatAreTooLarge) {
  for (const std::string& method : ClientMethods()) {
    auto request = MakeRequest(method);
    request->GetReflection()->SetString(request.get(),
                                        request->GetDescriptor()->FindFieldByName("cluster_id"),
                                        std::string(5 << 20, 'x'));
    const RawAnswer too_large = Send(method, request->SerializeAsString());
    EXPECT_EQ(too_large.status.error_code(), kResourceExhausted)
        << method << ": " << too_large.status.error_message();
  }
  for (const std::string& method : ClientMethods()) {
    // The server may end the connection, too.
    const RawAnswer answer =
        Call(MakeRawChannel(cluster_.endpoint(leader_)),
             {.method = method, .bytes = "", .metadata = {{"k", std::string(20'000, 'v')}}});
    EXPECT_EQ(answer.status.error_code(), kResourceExhausted)
        << method << ": " << answer.status.error_message();
  }
}

TEST_F(BadInputTest, RefusesTheWrongClusterOnEveryMethod) {
  std::vector<BadRequest> cases;
  for (const std::string& method : ClientMethods()) {
    for (const std::string& id : {std::string("another"), std::string(10'000, 'x')}) {
      cases.push_back({method, fmt::format("cluster_id: '{}'", id), kFailedPrecondition,
                       "INCONSISTENT_CLUSTER_ID"});
    }
  }
  ExpectRefused(cases);
}

TEST_F(BadInputTest, RefusesOptionsThatItDoesNotKnowOrThatAreNone) {
  std::vector<BadRequest> cases;
  for (const std::string& method : CommandMethods()) {
    for (const char* options :
         {"wait: 99", "wait: -1", "wait_timeout { seconds: 1 }", "wait_count: 1",
          "wait_broker_ids: 1", "wait: WAIT_APPLIED_BY", "request_id: 'x'",
          "request_id: '00000000-0000-0000-0000-000000000000'", "wait: WAIT_APPLIED_BY_COUNT",
          "wait: WAIT_APPLIED_BY_ALL wait_timeout { seconds: -1 }",
          "wait: WAIT_APPLIED_BY_ALL wait_timeout { seconds: 301 }",
          "wait: WAIT_APPLIED_BY_ALL wait_timeout { nanos: 1000000000 }",
          "wait: WAIT_APPLIED_BY_COUNT wait_count: 10001",
          "wait: WAIT_APPLIED_BY wait_broker_ids: -1",
          "wait: WAIT_APPLIED_BY wait_broker_ids: 1 wait_broker_ids: 1"}) {
      cases.push_back(
          {method, fmt::format("options {{ {} }}", options), kInvalidArgument, "INVALID_REQUEST"});
    }
    for (const std::string& options :
         {std::string("if_unchanged_since { offset: -1 }"),
          std::string("if_unchanged_since { epoch: -1 }"), std::string("reason: 'a\\nb'"),
          std::string("reason: '\\302\\200'"),
          fmt::format("reason: '{}'", std::string(1'025, 'r'))}) {
      cases.push_back(
          {method, fmt::format("options {{ {} }}", options), kInvalidArgument, "INVALID_REQUEST"});
    }
    // The cluster's generation is not zero.
    cases.push_back({method, "options { if_unchanged_since { offset: 1 } }", kFailedPrecondition,
                     "GENERATION_MISMATCH"});
  }
  for (const std::string& method : QueryMethods()) {
    cases.push_back({method, "options { consistency: 77 }", kInvalidArgument, "INVALID_REQUEST"});
    // The cluster's generation is not zero.
    cases.push_back({method, "options { min_position { offset: 1 } }", kFailedPrecondition,
                     "GENERATION_MISMATCH"});
    cases.push_back(
        {method, "options { min_position { offset: -1 } }", kInvalidArgument, "INVALID_REQUEST"});
  }
  ExpectRefused(cases);
}

TEST_F(BadInputTest, RefusesPositionsThatAreNone) {
  constexpr char kAwait[] = "kvorum.v1.MetadataService/AwaitApplied";
  // The cluster's generation is not zero.
  ExpectRefused({
      {kAwait, "", kFailedPrecondition, "GENERATION_MISMATCH"},
      {kAwait, "position { offset: -1 }", kInvalidArgument, "INVALID_REQUEST"},
      {kAwait, "position { offset: -9223372036854775808 }", kInvalidArgument, "INVALID_REQUEST"},
      {kAwait, "position { epoch: -1 }", kInvalidArgument, "INVALID_REQUEST"},
      {kAwait, "position { offset: 9223372036854775807 }", kFailedPrecondition,
       "GENERATION_MISMATCH"},
      {kAwait, "wait: 99", kInvalidArgument, "INVALID_REQUEST"},
      {kAwait, "wait_count: 2", kInvalidArgument, "INVALID_REQUEST"},
      {kAwait, "wait: WAIT_APPLIED_BY_ALL wait_timeout { seconds: 9223372036854775807 }",
       kInvalidArgument, "INVALID_REQUEST"},
  });
}

TEST_F(BadInputTest, RefusesPagesThatAreNone) {
  std::vector<BadRequest> cases;
  for (const std::string& method : ListMethods()) {
    const std::string base = method == kGetTopic ? "topic { name: 't' } " : "";
    for (const std::string& page :
         {std::string("page_size: -1"), std::string("page_size: 10001"),
          std::string("page_size: 2147483647"), std::string("page_token: 'x'"),
          fmt::format("page_token: '{}'", std::string(16, '0')),
          fmt::format("page_token: '{}'", std::string(100'000, 'a')),
          std::string("page_token: '\\001\\002'")}) {
      cases.push_back({method, fmt::format("{}page {{ {} }}", base, page), kInvalidArgument,
                       "INVALID_REQUEST"});
    }
  }
  ExpectRefused(cases);
}

TEST_F(BadInputTest, RefusesBadEntries) {
  const std::string long_key(513, 'k');
  const std::string large(65'537, 'v');
  std::vector<BadRequest> cases = {
      {kPut, "", kInvalidArgument, "INVALID_KEY"},
      {kPut, "key: 'k' expected_version: -1", kInvalidArgument, "INVALID_REQUEST"},
      {kPut, "key: 'k' expected_version: 0", kAborted, "INVALID_UPDATE_VERSION"},
      {kPut, "key: 'k' expected_version: 9223372036854775807", kAborted, "INVALID_UPDATE_VERSION"},
      {kPut, "key: 'new' expected_version: 1", kAborted, "INVALID_UPDATE_VERSION"},
      {kPut, fmt::format("key: 'k' value: '{}'", large), kInvalidArgument, "VALUE_TOO_LARGE"},
      {kPut, fmt::format("key: 'k' value: '{}'", std::string(4 << 20, 'v')), kInvalidArgument,
       "VALUE_TOO_LARGE"},
      {kDelete, "key: 'k' expected_version: 0", kInvalidArgument, "INVALID_REQUEST"},
      {kDelete, "key: 'k' expected_version: -9223372036854775808", kInvalidArgument,
       "INVALID_REQUEST"},
      {kDelete, "key: 'k' expected_version: 1000000", kAborted, "INVALID_UPDATE_VERSION"},
      {kDelete, "key: 'missing'", kNotFound, "UNKNOWN_KEY"},
      {kGet, "key: 'missing'", kNotFound, "UNKNOWN_KEY"},
      {kList, fmt::format("prefix: '{}'", long_key), kInvalidArgument, "INVALID_KEY"},
      {kList, "prefix: 'a\\nb'", kInvalidArgument, "INVALID_KEY"},
  };
  for (const char* method : {kPut, kGet, kDelete}) {
    for (const std::string& key :
         {std::string(), long_key, std::string("a\\000b"), std::string("a\\nb"),
          std::string("\\177"), std::string("\\302\\200")}) {
      cases.push_back({method, fmt::format("key: '{}'", key), kInvalidArgument, "INVALID_KEY"});
    }
  }
  ExpectRefused(cases);
}

// Printable keys in any script are welcome; formats in them are not read by anybody.
TEST_F(BadInputTest, KeepsOddButPrintableKeysAsTheyAre) {
  for (const char* key : {"%n%s%x",
                          "\xe2\x80\xae"
                          "abc",
                          "\xf0\x9f\x98\x80", "a/b/../c", "'; --"}) {
    auto request = MakePut(key, "v");
    request.mutable_options()->set_validate_only(true);
    EXPECT_TRUE(client_->PutEntry(request).ok()) << key;
  }
}

TEST_F(BadInputTest, RefusesBadRegistrations) {
  const std::string id = "broker_id: 9 ";
  const std::string incarnation = "incarnation_id: '0123456789abcdef' ";
  const std::string endpoint = "endpoints { name: 'P' host: 'localhost' port: 9092 } ";
  std::string many;
  for (int i = 0; i < 1000; ++i) {
    many += fmt::format("endpoints {{ name: 'P{}' host: 'h' port: 1 }} ", i);
  }
  std::vector<BadRequest> cases = {
      {kRegister, "broker_id: -1 " + incarnation + endpoint, kInvalidArgument, "INVALID_REQUEST"},
      {kRegister, "broker_id: -2147483648 " + incarnation + endpoint, kInvalidArgument,
       "INVALID_REQUEST"},
      {kRegister, id + endpoint, kInvalidArgument, "INVALID_REQUEST"},
      {kRegister, id + incarnation, kInvalidArgument, "INVALID_REQUEST"},
      {kRegister, id + "incarnation_id: 'short' " + endpoint, kInvalidArgument,
       "INVALID_REGISTRATION"},
      {kRegister, id + fmt::format("incarnation_id: '{}' ", Repeat("\\000", 16)) + endpoint,
       kInvalidArgument, "INVALID_REGISTRATION"},
      {kRegister, id + fmt::format("incarnation_id: '{}' ", std::string(100'000, 'x')) + endpoint,
       kInvalidArgument, "INVALID_REGISTRATION"},
      {kRegister, id + incarnation + many, kInvalidArgument, "INVALID_REGISTRATION"},
      {kRegister, id + incarnation + endpoint + endpoint, kInvalidArgument, "INVALID_REGISTRATION"},
      {kRegister, id + incarnation + endpoint + "rack: 'a\\nb'", kInvalidArgument,
       "INVALID_REGISTRATION"},
      {kRegister, id + incarnation + endpoint + fmt::format("rack: '{}'", std::string(256, 'r')),
       kInvalidArgument, "INVALID_REGISTRATION"},
      {kRegister, "broker_id: 1 " + incarnation + endpoint, kAlreadyExists,
       "DUPLICATE_BROKER_REGISTRATION"},
      {kUnregister, "broker_id: -1", kInvalidArgument, "INVALID_REQUEST"},
      {kUnregister, "broker_id: 99", kNotFound, "BROKER_ID_NOT_REGISTERED"},
  };
  for (const std::string& bad :
       {std::string("name: 'P' host: 'h' port: 0"), std::string("name: 'P' host: 'h' port: 65536"),
        std::string("name: 'P' host: 'h' port: 4294967295"),
        std::string("name: '' host: 'h' port: 1"), std::string("name: 'P' host: '' port: 1"),
        std::string("name: 'P' host: 'a b' port: 1"),
        std::string("name: 'P' host: 'a\\nb' port: 1"),
        fmt::format("name: 'P' host: '{}' port: 1", std::string(256, 'h')),
        fmt::format("name: '{}' host: 'h' port: 1", std::string(256, 'P'))}) {
    cases.push_back({kRegister, id + incarnation + fmt::format("endpoints {{ {} }}", bad),
                     kInvalidArgument, "INVALID_REGISTRATION"});
  }
  ExpectRefused(cases);
}

TEST_F(BadInputTest, RefusesBadReportsOfBrokers) {
  const int64_t epoch = broker_->epoch();
  std::vector<BadRequest> cases;
  for (const char* method : {kHeartbeat, kAcknowledge}) {
    for (const auto& [text, code, reason] :
         std::vector<std::tuple<std::string, grpc::StatusCode, std::string>>{
             {"broker_id: -1", kInvalidArgument, "INVALID_REQUEST"},
             {"broker_id: 99 broker_epoch: 1", kNotFound, "BROKER_ID_NOT_REGISTERED"},
             {fmt::format("broker_id: 1 broker_epoch: {}", epoch - 1), kFailedPrecondition,
              "STALE_BROKER_EPOCH"},
             {fmt::format("broker_id: 1 broker_epoch: {}", epoch + 1), kFailedPrecondition,
              "STALE_BROKER_EPOCH"},
             {"broker_id: 1 broker_epoch: -9223372036854775808", kFailedPrecondition,
              "STALE_BROKER_EPOCH"},
             {Sender() + "applied_offset: -1", kInvalidArgument, "INVALID_REQUEST"},
             {Sender() + "applied_offset: 1000000", kInvalidArgument, "INVALID_REQUEST"},
             {Sender() + "applied_offset: 9223372036854775807", kInvalidArgument,
              "INVALID_REQUEST"}}) {
      cases.push_back({method, text, code, reason});
    }
  }
  cases.push_back({kAcknowledge,
                   Sender() + fmt::format("rejected {{ message: '{}' }}", std::string(1025, 'm')),
                   kInvalidArgument, "INVALID_REQUEST"});
  ExpectRefused(cases);
}

TEST_F(BadInputTest, RefusesBadSubscriptions) {
  const auto answer = client_->ListBrokers({});
  ASSERT_TRUE(answer.ok());
  const v1::Position end = answer->header().applied();
  const std::string good = fmt::format("generation: {} ", end.generation());
  ExpectRefused({
      {kSubscribe, fmt::format("subscriber_id: '{}'", std::string(257, 's')), kInvalidArgument,
       "INVALID_REQUEST"},
      {kSubscribe, "broker_id: -1", kInvalidArgument, "INVALID_REQUEST"},
      {kSubscribe, "broker_id: 1 broker_epoch: -1", kInvalidArgument, "INVALID_REQUEST"},
      {kSubscribe, fmt::format("resume_from {{ {} offset: -1 }}", good), kInvalidArgument,
       "INVALID_REQUEST"},
      {kSubscribe, fmt::format("resume_from {{ {} offset: -9223372036854775808 }}", good),
       kInvalidArgument, "INVALID_REQUEST"},
      {kSubscribe, fmt::format("resume_from {{ {} epoch: -1 }}", good), kInvalidArgument,
       "INVALID_REQUEST"},
      {kSubscribe, "resume_from { generation: 1 offset: 1 }", kFailedPrecondition,
       "GENERATION_MISMATCH"},
      {kSubscribe,
       fmt::format("resume_from {{ {} epoch: {} offset: {} }}", good, end.epoch(),
                   end.offset() + 1),
       grpc::StatusCode::OUT_OF_RANGE, "POSITION_OUT_OF_RANGE"},
      {kSubscribe,
       fmt::format("resume_from {{ {} epoch: {} offset: {} }}", good, end.epoch(),
                   end.offset() + 1'000'000'000'000),
       grpc::StatusCode::OUT_OF_RANGE, "POSITION_OUT_OF_RANGE"},
      {kSubscribe, fmt::format("resume_from {{ {} offset: 9223372036854775807 }}", good),
       grpc::StatusCode::OUT_OF_RANGE, "POSITION_OUT_OF_RANGE"},
  });
}

TEST_F(BadInputTest, ResetsASubscriberWhosePositionIsNoPlaceInTheLog) {
  const auto answer = client_->ListBrokers({});
  ASSERT_TRUE(answer.ok());
  v1::Position diverged = answer->header().applied();
  diverged.set_epoch(diverged.epoch() + 7);
  const StreamReader reader(cluster_.endpoint(leader_), diverged);
  ASSERT_TRUE(Eventually([&] { return reader.Snapshot().snapshots() == 1; }));
  EXPECT_EQ(reader.Snapshot().resets(), 1);
  EXPECT_EQ(reader.Snapshot().entries().at("k"), "v");
}

TEST_F(BadInputTest, AFollowerRefusesWritesAndNamesTheLeader) {
  const int follower = (leader_ + 1) % cluster_.size();
  const auto channel = MakeRawChannel(cluster_.endpoint(follower));
  std::vector<std::string> methods = CommandMethods();
  methods.insert(methods.end(), {kHeartbeat, kAcknowledge});
  for (const std::string& method : methods) {
    const RawAnswer answer = Call(channel, {.method = method, .bytes = ""});
    ASSERT_FALSE(answer.status.ok()) << method;
    const client::CallError error = answer.error();
    EXPECT_EQ(error.code, grpc::StatusCode::UNAVAILABLE) << method << ": " << error.message;
    EXPECT_EQ(error.reason_name, "NOT_CONTROLLER") << method;
    EXPECT_EQ(error.outcome, client::Outcome::kNotExecuted) << method;
    EXPECT_EQ(error.leader_id, leader_ + 1) << method;
    EXPECT_EQ(error.leader_endpoint, cluster_.endpoint(leader_)) << method;
  }
}

TEST_F(BadInputTest, ADeadlineThatIsTooShortHurtsOnlyItsCaller) {
  for (int i = 0; i < 50; ++i) {
    const RawAnswer answer =
        Call(channel_, {.method = kListBrokers, .bytes = "", .timeout = milliseconds(i % 3)});
    if (!answer.status.ok()) {
      EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
    }
  }
}

}  // namespace
}  // namespace kvorum::testing
