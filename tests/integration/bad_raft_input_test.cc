// What may arrive on the controllers' listener: strangers, other clusters, replicas that were
// replaced, and lies. Neither the epoch nor the leader nor the state may move.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <optional>

#include "kvorum/v1/raft.grpc.pb.h"
#include "tests/integration/bad_input_fixture.h"

namespace kvorum::testing {
namespace {

using Header = v1::RaftRequestHeader;

constexpr int32_t kMaxEpochJump = 1'000'000;  // consensus: larger jumps can't be honest
constexpr int32_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();

std::string DirectoryId(int index) {
  std::string id("\0\0\0\0\0\0\x40\0\x80\0\0\0\0\0\0\0", 16);
  id[15] = static_cast<char>(index + 1);
  return id;
}

class BadRaftInputTest : public BadInputTest {
 protected:
  void SetUp() override {
    BadInputTest::SetUp();
    if (HasFatalFailure()) {
      return;
    }
    channel_ = MakeRawChannel(cluster_.controller_endpoint(leader_));
    const auto answer = cluster_.Describe(leader_);
    ASSERT_TRUE(answer.has_value());
    epoch_ = answer->header().leader_epoch();
    log_end_ = answer->log_end_offset();
    last_epoch_ = answer->header().applied().epoch();
    generation_ = answer->header().applied().generation();
  }

  // From a follower to the leader, in order.
  Header GoodHeader() const {
    const int follower = (leader_ + 1) % cluster_.size();
    Header header;
    header.set_cluster_id("test");
    header.set_generation(generation_);
    header.mutable_sender()->set_node_id(follower + 1);
    header.mutable_sender()->set_directory_id(DirectoryId(follower));
    header.mutable_receiver()->set_node_id(leader_ + 1);
    header.mutable_receiver()->set_directory_id(DirectoryId(leader_));
    header.set_client_endpoint(cluster_.endpoint(follower));
    return header;
  }

  v1::VoteRequest Vote() const {
    v1::VoteRequest request;
    *request.mutable_header() = GoodHeader();
    request.set_epoch(epoch_);
    request.set_last_epoch(last_epoch_);
    request.set_log_end_offset(log_end_);
    return request;
  }
  v1::BeginQuorumEpochRequest Begin() const {
    v1::BeginQuorumEpochRequest request;
    *request.mutable_header() = GoodHeader();
    request.set_leader_epoch(epoch_);
    return request;
  }
  v1::EndQuorumEpochRequest End() const {
    v1::EndQuorumEpochRequest request;
    *request.mutable_header() = GoodHeader();
    request.set_leader_epoch(epoch_);
    return request;
  }
  // Of an observer, so that no voter's progress is touched.
  v1::FetchRequest Fetch() const {
    v1::FetchRequest request;
    *request.mutable_header() = GoodHeader();
    request.mutable_header()->mutable_sender()->set_node_id(99);
    request.set_current_leader_epoch(epoch_);
    request.set_high_watermark(-1);
    request.set_max_bytes(1024);
    return request;
  }

  v1::UpdateRaftVoterRequest Update() const {
    v1::UpdateRaftVoterRequest request;
    *request.mutable_header() = GoodHeader();
    request.set_current_leader_epoch(epoch_);
    request.set_host("nowhere.invalid");
    request.set_port(7401);
    return request;
  }

  template <typename Request, typename Response>
  RawAnswer Ask(const std::string& method, const Request& request, Response& response) {
    const RawAnswer answer = Send("kvorum.v1.RaftService/" + method, request.SerializeAsString());
    if (answer.status.ok()) {
      EXPECT_TRUE(response.ParseFromString(answer.bytes));
    }
    return answer;
  }

  // Refused as malformed, by a status.
  template <typename Response, typename Request>
  void ExpectMalformed(const std::string& method, const Request& request) {
    Response response;
    const RawAnswer answer = Ask(method, request, response);
    EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
        << method << " " << request.ShortDebugString();
    EXPECT_EQ(answer.reason(), "INVALID_REQUEST") << method << " " << request.ShortDebugString();
  }

  // Understood and refused, as data of the response.
  template <typename Response, typename Request>
  void ExpectError(const std::string& method, const Request& request, v1::RaftError error) {
    Response response;
    const RawAnswer answer = Ask(method, request, response);
    ASSERT_TRUE(answer.status.ok())
        << method << " " << request.ShortDebugString() << ": " << answer.status.error_message();
    EXPECT_EQ(v1::RaftError_Name(response.header().error()), v1::RaftError_Name(error))
        << method << " " << request.ShortDebugString();
    EXPECT_EQ(response.header().leader_epoch(), epoch_) << method;
  }

  // The same change of the header, on all requests.
  void OnAllHeaders(const std::function<void(Header&)>& change,
                    std::optional<v1::RaftError> error) {
    const auto check = [&]<typename Response>(const std::string& method, auto request, Response*) {
      change(*request.mutable_header());
      if (error.has_value()) {
        ExpectError<Response>(method, request, *error);
      } else {
        ExpectMalformed<Response>(method, request);
      }
    };
    check("Vote", Vote(), static_cast<v1::VoteResponse*>(nullptr));
    check("BeginQuorumEpoch", Begin(), static_cast<v1::BeginQuorumEpochResponse*>(nullptr));
    check("EndQuorumEpoch", End(), static_cast<v1::EndQuorumEpochResponse*>(nullptr));
    check("Fetch", Fetch(), static_cast<v1::FetchResponse*>(nullptr));
    check("UpdateRaftVoter", Update(), static_cast<v1::UpdateRaftVoterResponse*>(nullptr));
  }

  int32_t epoch_ = 0;
  int32_t last_epoch_ = 0;
  int64_t log_end_ = 0;
  uint64_t generation_ = 0;
};

TEST_F(BadRaftInputTest, RefusesHeadersThatAreMalformed) {
  OnAllHeaders([](Header& header) { header.Clear(); }, std::nullopt);
  OnAllHeaders([](Header& header) { header.clear_cluster_id(); }, std::nullopt);
  OnAllHeaders([](Header& header) { header.set_cluster_id(std::string(10'000, 'x')); },
               std::nullopt);
  OnAllHeaders([](Header& header) { header.set_client_endpoint(std::string(10'000, 'x')); },
               std::nullopt);
  OnAllHeaders([](Header& header) { header.clear_sender(); }, std::nullopt);
  // A Fetch may be for whoever listens there.
  v1::VoteRequest vote = Vote();
  vote.mutable_header()->clear_receiver();
  ExpectMalformed<v1::VoteResponse>("Vote", vote);
  v1::BeginQuorumEpochRequest begin = Begin();
  begin.mutable_header()->clear_receiver();
  ExpectMalformed<v1::BeginQuorumEpochResponse>("BeginQuorumEpoch", begin);
  v1::UpdateRaftVoterRequest update = Update();
  update.mutable_header()->clear_receiver();
  ExpectMalformed<v1::UpdateRaftVoterResponse>("UpdateRaftVoter", update);
  OnAllHeaders([](Header& header) { header.mutable_sender()->set_node_id(-1); }, std::nullopt);
  OnAllHeaders([](Header& header) { header.mutable_receiver()->set_node_id(-1); }, std::nullopt);
  OnAllHeaders([](Header& header) { header.mutable_sender()->set_directory_id("short"); },
               std::nullopt);
  OnAllHeaders(
      [](Header& header) { header.mutable_receiver()->set_directory_id(std::string(17, 'x')); },
      std::nullopt);
}

TEST_F(BadRaftInputTest, RefusesRequestsThatAreNotForThisReplica) {
  OnAllHeaders([](Header& header) { header.set_cluster_id("another"); },
               v1::RAFT_ERROR_INCONSISTENT_CLUSTER_ID);
  OnAllHeaders([](Header& header) { header.set_generation(header.generation() + 1); },
               v1::RAFT_ERROR_INCONSISTENT_CLUSTER_ID);
  OnAllHeaders([](Header& header) { header.mutable_receiver()->set_directory_id(DirectoryId(77)); },
               v1::RAFT_ERROR_INVALID_VOTER_KEY);
  OnAllHeaders([](Header& header) { header.mutable_receiver()->set_node_id(77); },
               v1::RAFT_ERROR_INVALID_VOTER_KEY);
  OnAllHeaders([](Header& header) { *header.mutable_sender() = header.receiver(); },
               v1::RAFT_ERROR_INVALID_REQUEST);
}

TEST_F(BadRaftInputTest, RefusesUpdatesThatCanNotBe) {
  v1::UpdateRaftVoterRequest update = Update();
  update.set_port(0);
  ExpectMalformed<v1::UpdateRaftVoterResponse>("UpdateRaftVoter", update);
  update = Update();
  update.set_host("");
  ExpectMalformed<v1::UpdateRaftVoterResponse>("UpdateRaftVoter", update);
  update = Update();
  update.set_current_leader_epoch(epoch_ + 1);
  ExpectError<v1::UpdateRaftVoterResponse>("UpdateRaftVoter", update,
                                           v1::RAFT_ERROR_UNKNOWN_LEADER_EPOCH);
  update = Update();
  update.mutable_header()->mutable_sender()->set_node_id(99);
  ExpectError<v1::UpdateRaftVoterResponse>("UpdateRaftVoter", update,
                                           v1::RAFT_ERROR_INVALID_REQUEST);
  // Nobody is reached there, so the voter's entry stays as it is.
  ExpectError<v1::UpdateRaftVoterResponse>("UpdateRaftVoter", Update(),
                                           v1::RAFT_ERROR_REQUEST_TIMED_OUT);
}

TEST_F(BadRaftInputTest, RefusesVotesThatCanNotBe) {
  const auto vote = [&](auto change) {
    v1::VoteRequest request = Vote();
    change(request);
    return request;
  };
  for (const bool pre_vote : {false, true}) {
    const auto with = [&](auto change) {
      return vote([&](v1::VoteRequest& request) {
        request.set_pre_vote(pre_vote);
        change(request);
      });
    };
    ExpectMalformed<v1::VoteResponse>("Vote", with([](auto& r) { r.set_epoch(-1); }));
    ExpectMalformed<v1::VoteResponse>("Vote", with([](auto& r) { r.set_last_epoch(-1); }));
    ExpectMalformed<v1::VoteResponse>("Vote", with([](auto& r) { r.set_log_end_offset(-1); }));
    ExpectMalformed<v1::VoteResponse>("Vote",
                                      with([](auto& r) { r.set_log_end_offset(kMaxInt64); }));
    ExpectMalformed<v1::VoteResponse>("Vote",
                                      with([](auto& r) { r.set_last_epoch(r.epoch() + 1); }));
    ExpectError<v1::VoteResponse>("Vote", with([](auto& r) { r.set_epoch(kMaxInt32); }),
                                  v1::RAFT_ERROR_INVALID_REQUEST);
    ExpectError<v1::VoteResponse>("Vote",
                                  with([](auto& r) { r.set_epoch(r.epoch() + kMaxEpochJump + 1); }),
                                  v1::RAFT_ERROR_INVALID_REQUEST);
  }
  // Nobody gets the vote of a leader in its own epoch, however good the log.
  for (const bool pre_vote : {false, true}) {
    v1::VoteResponse response;
    const RawAnswer answer = Ask("Vote", vote([&](auto& r) {
                                   r.set_pre_vote(pre_vote);
                                   r.set_log_end_offset(log_end_ + 1000);
                                 }),
                                 response);
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    EXPECT_FALSE(response.vote_granted());
    EXPECT_EQ(response.header().leader_epoch(), epoch_);
  }
}

TEST_F(BadRaftInputTest, RefusesLeadersThatAreNone) {
  v1::BeginQuorumEpochRequest begin = Begin();
  ExpectError<v1::BeginQuorumEpochResponse>("BeginQuorumEpoch", begin,
                                            v1::RAFT_ERROR_INVALID_REQUEST);
  v1::EndQuorumEpochRequest end = End();
  ExpectError<v1::EndQuorumEpochResponse>("EndQuorumEpoch", end, v1::RAFT_ERROR_INVALID_REQUEST);
  for (const int32_t epoch : {0, -1}) {
    begin.set_leader_epoch(epoch);
    ExpectMalformed<v1::BeginQuorumEpochResponse>("BeginQuorumEpoch", begin);
    end.set_leader_epoch(epoch);
    ExpectMalformed<v1::EndQuorumEpochResponse>("EndQuorumEpoch", end);
  }
  for (const int32_t epoch : {kMaxInt32, epoch_ + kMaxEpochJump + 1}) {
    begin.set_leader_epoch(epoch);
    ExpectError<v1::BeginQuorumEpochResponse>("BeginQuorumEpoch", begin,
                                              v1::RAFT_ERROR_INVALID_REQUEST);
    end.set_leader_epoch(epoch);
    ExpectError<v1::EndQuorumEpochResponse>("EndQuorumEpoch", end, v1::RAFT_ERROR_INVALID_REQUEST);
  }
  end = End();
  for (int i = 0; i < 1000; ++i) {
    *end.add_preferred_candidates() = end.header().sender();
  }
  ExpectMalformed<v1::EndQuorumEpochResponse>("EndQuorumEpoch", end);
}

TEST_F(BadRaftInputTest, AFollowerKeepsItsLeaderWhenAnotherClaimsTheSameEpoch) {
  const int follower = (leader_ + 1) % cluster_.size();
  const int liar = (leader_ + 2) % cluster_.size();
  channel_ = MakeRawChannel(cluster_.controller_endpoint(follower));
  Header header = GoodHeader();
  header.mutable_sender()->set_node_id(liar + 1);
  header.mutable_sender()->set_directory_id(DirectoryId(liar));
  header.mutable_receiver()->set_node_id(follower + 1);
  header.mutable_receiver()->set_directory_id(DirectoryId(follower));
  v1::BeginQuorumEpochRequest begin = Begin();
  *begin.mutable_header() = header;
  ExpectError<v1::BeginQuorumEpochResponse>("BeginQuorumEpoch", begin,
                                            v1::RAFT_ERROR_INVALID_REQUEST);
  v1::EndQuorumEpochRequest end = End();
  *end.mutable_header() = header;
  ExpectError<v1::EndQuorumEpochResponse>("EndQuorumEpoch", end, v1::RAFT_ERROR_INVALID_REQUEST);
  v1::FetchRequest fetch = Fetch();
  *fetch.mutable_header() = header;
  ExpectError<v1::FetchResponse>("Fetch", fetch, v1::RAFT_ERROR_NOT_LEADER_OR_FOLLOWER);
  // Who hears a live leader refuses to help replace it (KIP-996).
  v1::VoteRequest vote = Vote();
  *vote.mutable_header() = header;
  vote.set_pre_vote(true);
  vote.set_log_end_offset(log_end_ + 1000);
  v1::VoteResponse response;
  ASSERT_TRUE(Ask("Vote", vote, response).status.ok());
  EXPECT_FALSE(response.vote_granted());
  EXPECT_EQ(response.header().leader_id(), leader_ + 1);
}

TEST_F(BadRaftInputTest, RefusesFetchesThatCanNotBe) {
  const auto fetch = [&](auto change) {
    v1::FetchRequest request = Fetch();
    change(request);
    return request;
  };
  ExpectMalformed<v1::FetchResponse>("Fetch", fetch([](auto& r) { r.set_fetch_offset(-1); }));
  ExpectMalformed<v1::FetchResponse>("Fetch",
                                     fetch([](auto& r) { r.set_fetch_offset(kMaxInt64); }));
  ExpectMalformed<v1::FetchResponse>("Fetch", fetch([](auto& r) { r.set_last_fetched_epoch(-1); }));
  ExpectMalformed<v1::FetchResponse>("Fetch",
                                     fetch([](auto& r) { r.set_current_leader_epoch(-1); }));
  ExpectMalformed<v1::FetchResponse>("Fetch", fetch([](auto& r) { r.set_high_watermark(-2); }));
  ExpectError<v1::FetchResponse>("Fetch",
                                 fetch([&](auto& r) { r.set_current_leader_epoch(epoch_ - 1); }),
                                 v1::RAFT_ERROR_FENCED_LEADER_EPOCH);
  ExpectError<v1::FetchResponse>("Fetch",
                                 fetch([&](auto& r) { r.set_current_leader_epoch(epoch_ + 1); }),
                                 v1::RAFT_ERROR_UNKNOWN_LEADER_EPOCH);
  ExpectError<v1::FetchResponse>(
      "Fetch", fetch([&](auto& r) { r.set_current_leader_epoch(epoch_ + kMaxEpochJump + 1); }),
      v1::RAFT_ERROR_INVALID_REQUEST);
  ExpectError<v1::FetchResponse>("Fetch",
                                 fetch([&](auto& r) { r.set_last_fetched_epoch(epoch_ + 1); }),
                                 v1::RAFT_ERROR_INVALID_REQUEST);
  // The same place with another content is damage, not divergence, which truncation would hide.
  ExpectError<v1::FetchResponse>("Fetch", fetch([&](auto& r) {
                                   r.set_fetch_offset(log_end_);
                                   r.set_last_fetched_epoch(last_epoch_);
                                   r.set_last_chain_hash(12345);
                                 }),
                                 v1::RAFT_ERROR_CORRUPT_LOG);
}

TEST_F(BadRaftInputTest, AnswersFetchesOfAnyAppetite) {
  for (const uint32_t max_bytes : {0U, 1U, std::numeric_limits<uint32_t>::max()}) {
    v1::FetchRequest request = Fetch();
    request.set_max_bytes(max_bytes);
    request.set_max_wait_ms(max_bytes);
    v1::FetchResponse response;
    const RawAnswer answer = Ask("Fetch", request, response);
    ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
    EXPECT_EQ(response.header().error(), v1::RAFT_ERROR_NONE);
    EXPECT_FALSE(response.batches().empty()) << "at least one batch, or nobody would get on";
    EXPECT_LT(response.batches().size(), size_t{9} << 20);
  }
  // Beyond the end: told where to truncate.
  v1::FetchRequest request = Fetch();
  request.set_fetch_offset(log_end_ + 1000);
  request.set_last_fetched_epoch(last_epoch_);
  v1::FetchResponse response;
  ASSERT_TRUE(Ask("Fetch", request, response).status.ok());
  ASSERT_TRUE(response.has_diverging_epoch()) << response.ShortDebugString();
  EXPECT_EQ(response.diverging_epoch().end_offset(), log_end_);
}

TEST_F(BadRaftInputTest, RefusesBytesThatAreNoMessageAndMethodsOfClients) {
  for (const std::string& method : RaftMethods()) {
    for (const std::string& bytes :
         {std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11),
          std::string("\x0a\x7f\x61", 3)}) {
      EXPECT_EQ(Send(method, bytes).status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << method;
    }
    EXPECT_EQ(Send(method, std::string(17 << 20, 'x')).status.error_code(),
              grpc::StatusCode::RESOURCE_EXHAUSTED)
        << method;
  }
  for (const std::string& method : ClientMethods()) {
    EXPECT_EQ(Send(method, "").status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << method;
  }
}

}  // namespace
}  // namespace kvorum::testing
