#include "server/rpc/raft_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/errors.h"
#include "server/base/random.h"

namespace kvorum::rpc {
namespace {

using ::testing::HasSubstr;

Uuid Directory(uint8_t byte) {
  std::array<uint8_t, Uuid::kBytes> bytes{};
  bytes.fill(byte);
  return Uuid(bytes);
}

raft::RequestHeader Header() {
  return {.cluster_id = "test-cluster",
          .generation = 7,
          .sender = {NodeId(1), Directory(1)},
          .receiver = {NodeId(2), Directory(2)},
          .client_endpoint = "c1:7400"};
}

raft::ResponseHeader Answer() {
  return {.error = raft::RaftError::kFencedLeaderEpoch,
          .leader_epoch = Epoch(9),
          .leader_id = NodeId(3),
          .client_endpoint = "c3:7400"};
}

RecordBatch Batch(int64_t base, const std::string& payload) {
  return MakeBatch(Offset(base), 2, Epoch(5), false, 1234,
                   std::make_shared<const std::string>(payload), 99);
}

// What comes out of the wire form of `message`.
template <typename Wire, typename Message>
absl::StatusOr<Message> RoundTrip(const Message& message) {
  Wire wire;
  Encode(message, wire);
  Wire received;
  EXPECT_TRUE(received.ParseFromString(wire.SerializeAsString()));
  return Decode(received);
}

v1::VoteRequest ValidVote() {
  v1::VoteRequest wire;
  Encode(
      raft::VoteRequest{.header = Header(), .epoch = Epoch(5), .log_end = {Offset(10), Epoch(4)}},
      wire);
  return wire;
}

template <typename Wire>
void ExpectRefused(const Wire& wire, const std::string& field) {
  const auto decoded = Decode(wire);
  ASSERT_FALSE(decoded.ok()) << field;
  EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorReason(decoded.status()), ErrorReason::kInvalidRequest);
  EXPECT_THAT(std::string(decoded.status().message()), HasSubstr(field));
  EXPECT_EQ(GetErrorFacts(decoded.status())["field"], field);
}

TEST(RaftCodecTest, VoteRequestSurvivesTheWire) {
  const raft::VoteRequest sent{
      .header = Header(), .epoch = Epoch(5), .log_end = {Offset(10), Epoch(4)}, .pre_vote = true};
  const auto received = RoundTrip<v1::VoteRequest>(sent);
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(received->header.cluster_id, sent.header.cluster_id);
  EXPECT_EQ(received->header.generation, 7u);
  EXPECT_EQ(received->header.sender, sent.header.sender);
  EXPECT_EQ(received->header.receiver, sent.header.receiver);
  EXPECT_EQ(received->header.client_endpoint, "c1:7400");
  EXPECT_EQ(received->epoch, sent.epoch);
  EXPECT_EQ(received->log_end, sent.log_end);
  EXPECT_TRUE(received->pre_vote);
}

TEST(RaftCodecTest, ResponsesSurviveTheWire) {
  const auto vote =
      RoundTrip<v1::VoteResponse>(raft::VoteResponse{.header = Answer(), .vote_granted = true});
  ASSERT_TRUE(vote.ok()) << vote.status();
  EXPECT_TRUE(vote->vote_granted);
  EXPECT_EQ(vote->header.error, raft::RaftError::kFencedLeaderEpoch);
  EXPECT_EQ(vote->header.leader_epoch, Epoch(9));
  EXPECT_EQ(vote->header.leader_id, NodeId(3));
  EXPECT_EQ(vote->header.client_endpoint, "c3:7400");

  const auto begin = RoundTrip<v1::BeginQuorumEpochResponse>(
      raft::BeginQuorumEpochResponse{.header = {.leader_epoch = Epoch(1)}});
  ASSERT_TRUE(begin.ok()) << begin.status();
  EXPECT_EQ(begin->header.leader_id, std::nullopt);
  EXPECT_TRUE(RoundTrip<v1::EndQuorumEpochResponse>(raft::EndQuorumEpochResponse{Answer()}).ok());
}

TEST(RaftCodecTest, EveryErrorSurvivesTheWire) {
  for (int error = 0; error <= static_cast<int>(raft::RaftError::kObserverOnly); ++error) {
    const auto received = RoundTrip<v1::VoteResponse>(
        raft::VoteResponse{.header = {.error = static_cast<raft::RaftError>(error)}});
    ASSERT_TRUE(received.ok()) << error;
    EXPECT_EQ(static_cast<int>(received->header.error), error);
  }
}

TEST(RaftCodecTest, EndQuorumEpochKeepsTheOrderOfCandidates) {
  const raft::EndQuorumEpochRequest sent{
      .header = Header(),
      .leader_epoch = Epoch(2),
      .preferred_candidates = {{NodeId(3), Directory(3)}, {NodeId(2), Directory(2)}}};
  const auto received = RoundTrip<v1::EndQuorumEpochRequest>(sent);
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(received->preferred_candidates, sent.preferred_candidates);
  EXPECT_FALSE(received->is_transfer);
}

TEST(RaftCodecTest, ATransferSurvivesTheWire) {
  const auto received = RoundTrip<v1::EndQuorumEpochRequest>(
      raft::EndQuorumEpochRequest{.header = Header(),
                                  .leader_epoch = Epoch(2),
                                  .preferred_candidates = {{NodeId(3), Directory(3)}},
                                  .is_transfer = true});
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_TRUE(received->is_transfer);
}

TEST(RaftCodecTest, AddressesSurviveTheWire) {
  const raft::Voter leader{{NodeId(3), Directory(3)}, {"::1", 7401}};
  raft::BeginQuorumEpochRequest begin{.header = Header(), .leader_epoch = Epoch(2)};
  EXPECT_EQ(RoundTrip<v1::BeginQuorumEpochRequest>(begin)->header.sender_address, std::nullopt);
  begin.header.sender_address = leader.address;
  EXPECT_EQ(RoundTrip<v1::BeginQuorumEpochRequest>(begin)->header.sender_address, leader.address);
  raft::VoteResponse vote{.header = Answer(), .vote_granted = false};
  EXPECT_EQ(RoundTrip<v1::VoteResponse>(vote)->header.leader_voter, std::nullopt);
  vote.header.leader_voter = leader;
  EXPECT_EQ(RoundTrip<v1::VoteResponse>(vote)->header.leader_voter, leader);
  const raft::UpdateVoterRequest update{
      .header = Header(), .current_leader_epoch = Epoch(4), .address = leader.address};
  const auto received = RoundTrip<v1::UpdateRaftVoterRequest>(update);
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(received->address, leader.address);
  EXPECT_EQ(received->current_leader_epoch, Epoch(4));
  EXPECT_TRUE(
      RoundTrip<v1::UpdateRaftVoterResponse>(raft::UpdateVoterResponse{.header = Answer()}).ok());
}

TEST(RaftCodecTest, BadAddressesAreRefused) {
  v1::UpdateRaftVoterRequest update;
  Encode(
      raft::UpdateVoterRequest{
          .header = Header(), .current_leader_epoch = Epoch(4), .address = {"c1", 7401}},
      update);
  update.set_port(0);
  ExpectRefused(update, "host");
  update.set_port(65'536);
  ExpectRefused(update, "host");
  update.set_port(7401);
  update.set_host("");
  ExpectRefused(update, "host");
  update.set_host(std::string(kMaxPeerHostBytes + 1, 'h'));
  ExpectRefused(update, "host");

  v1::BeginQuorumEpochRequest begin;
  Encode(raft::BeginQuorumEpochRequest{.header = Header(), .leader_epoch = Epoch(2)}, begin);
  begin.mutable_header()->set_sender_host("c1");
  ExpectRefused(begin, "header.sender_host");  // without a port
  begin.mutable_header()->set_sender_port(65'536);
  ExpectRefused(begin, "header.sender_host");
  begin.mutable_header()->set_sender_port(7401);
  begin.mutable_header()->set_sender_host(std::string(kMaxPeerHostBytes + 1, 'h'));
  ExpectRefused(begin, "header.sender_host");

  raft::VoteResponse vote{.header = Answer(), .vote_granted = false};
  vote.header.leader_voter = raft::Voter{{NodeId(2), Directory(2)}, {"c2", 7401}};
  v1::VoteResponse wire;
  Encode(vote, wire);
  ExpectRefused(wire, "header.leader_address");  // node 3 leads, this is node 2's
}

// Only a question may be addressed to whoever listens there.
TEST(RaftCodecTest, OnlyAFetchMayNameNoReceiver) {
  raft::FetchRequest fetch;
  fetch.header = Header();
  fetch.header.receiver = {raft::kAnyNode, Uuid()};
  const auto received = RoundTrip<v1::FetchRequest>(fetch);
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(received->header.receiver.node_id, raft::kAnyNode);
  v1::VoteRequest vote = ValidVote();
  vote.mutable_header()->clear_receiver();
  ExpectRefused(vote, "header.receiver");
}

TEST(RaftCodecTest, FetchRequestSurvivesTheWire) {
  const raft::FetchRequest sent{.header = Header(),
                                .current_leader_epoch = Epoch(5),
                                .fetch_offset = Offset(11),
                                .last_fetched_epoch = Epoch(4),
                                .last_chain_hash = ~uint64_t{0},
                                .high_watermark = Offset(10),
                                .max_wait_ms = 500,
                                .max_bytes = 1000,
                                .round = 42};
  const auto received = RoundTrip<v1::FetchRequest>(sent);
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(received->current_leader_epoch, sent.current_leader_epoch);
  EXPECT_EQ(received->fetch_offset, sent.fetch_offset);
  EXPECT_EQ(received->last_fetched_epoch, sent.last_fetched_epoch);
  EXPECT_EQ(received->last_chain_hash, sent.last_chain_hash);
  EXPECT_EQ(received->high_watermark, sent.high_watermark);
  EXPECT_EQ(received->max_wait_ms, 500u);
  EXPECT_EQ(received->max_bytes, 1000u);
  EXPECT_EQ(received->round, 42u);
}

TEST(RaftCodecTest, ExcessiveFetchLimitsAreCut) {
  const auto received = RoundTrip<v1::FetchRequest>(
      raft::FetchRequest{.header = Header(), .max_wait_ms = UINT32_MAX, .max_bytes = UINT32_MAX});
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(received->max_wait_ms, kMaxFetchWaitMs);
  EXPECT_EQ(received->max_bytes, kMaxFetchBytes);
}

TEST(RaftCodecTest, FetchResponseCarriesWholeBatches) {
  const raft::FetchResponse sent{.header = Answer(),
                                 .high_watermark = Offset(14),
                                 .log_start_offset = Offset(0),
                                 .batches = {Batch(10, "one"), Batch(12, std::string(5000, 'x'))},
                                 .round = 3};
  const auto received = RoundTrip<v1::FetchResponse>(sent);
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(received->high_watermark, sent.high_watermark);
  EXPECT_EQ(received->diverging_epoch, std::nullopt);
  EXPECT_EQ(received->round, 3u);
  ASSERT_EQ(received->batches.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(EncodeBatch(received->batches[i]), EncodeBatch(sent.batches[i]));
  }
}

TEST(RaftCodecTest, FetchResponseCarriesTheDivergingEpoch) {
  const auto received = RoundTrip<v1::FetchResponse>(raft::FetchResponse{
      .header = Answer(), .diverging_epoch = raft::EpochEnd{Epoch(2), Offset(8)}});
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(received->diverging_epoch, (raft::EpochEnd{Epoch(2), Offset(8)}));
  EXPECT_EQ(received->high_watermark, std::nullopt);
}

TEST(RaftCodecTest, EmptyRequestsAreRefused) {
  ExpectRefused(v1::VoteRequest(), "header.cluster_id");
  ExpectRefused(v1::BeginQuorumEpochRequest(), "header.cluster_id");
  ExpectRefused(v1::EndQuorumEpochRequest(), "header.cluster_id");
  ExpectRefused(v1::FetchRequest(), "header.cluster_id");
}

TEST(RaftCodecTest, BadHeadersAreRefusedByField) {
  v1::VoteRequest wire = ValidVote();
  wire.mutable_header()->set_cluster_id(std::string(kMaxPeerClusterIdBytes + 1, 'c'));
  ExpectRefused(wire, "header.cluster_id");
  wire = ValidVote();
  wire.mutable_header()->mutable_sender()->set_node_id(-1);
  ExpectRefused(wire, "header.sender");
  wire = ValidVote();
  wire.mutable_header()->mutable_sender()->set_directory_id("short");
  ExpectRefused(wire, "header.sender");
  wire = ValidVote();
  wire.mutable_header()->mutable_receiver()->set_directory_id(std::string(17, 'd'));
  ExpectRefused(wire, "header.receiver");
  wire = ValidVote();
  wire.mutable_header()->set_client_endpoint(std::string(kMaxPeerEndpointBytes + 1, 'e'));
  ExpectRefused(wire, "header.client_endpoint");
}

TEST(RaftCodecTest, BadVotesAreRefusedByField) {
  v1::VoteRequest wire = ValidVote();
  wire.set_epoch(-1);
  ExpectRefused(wire, "epoch");
  for (const int64_t offset : {int64_t{-1}, INT64_MIN, INT64_MAX}) {
    wire = ValidVote();
    wire.set_log_end_offset(offset);
    ExpectRefused(wire, "log_end_offset");
  }
  wire = ValidVote();
  wire.set_last_epoch(6);  // above the candidate's own
  ExpectRefused(wire, "last_epoch");
  wire = ValidVote();
  wire.set_last_epoch(0);  // of an empty log, which this is not
  ExpectRefused(wire, "last_epoch");
}

TEST(RaftCodecTest, LeaderOfEpochZeroIsRefused) {
  v1::BeginQuorumEpochRequest wire;
  Encode(raft::BeginQuorumEpochRequest{.header = Header()}, wire);
  ExpectRefused(wire, "leader_epoch");
}

TEST(RaftCodecTest, TooManyCandidatesAreRefused) {
  v1::EndQuorumEpochRequest wire;
  raft::EndQuorumEpochRequest request{.header = Header(), .leader_epoch = Epoch(1)};
  request.preferred_candidates.resize(kMaxPreferredCandidates + 1);
  Encode(request, wire);
  ExpectRefused(wire, "preferred_candidates");
}

TEST(RaftCodecTest, BadFetchesAreRefusedByField) {
  v1::FetchRequest valid;
  Encode(raft::FetchRequest{.header = Header()}, valid);
  ASSERT_TRUE(Decode(valid).ok());
  v1::FetchRequest wire = valid;
  wire.set_fetch_offset(-1);
  ExpectRefused(wire, "fetch_offset");
  wire = valid;
  wire.set_high_watermark(-2);
  ExpectRefused(wire, "high_watermark");
  wire = valid;
  wire.set_last_fetched_epoch(-1);
  ExpectRefused(wire, "last_fetched_epoch");
}

TEST(RaftCodecTest, DamagedBatchesAreCorruptLog) {
  v1::FetchResponse wire;
  Encode(raft::FetchResponse{.header = Answer(), .batches = {Batch(0, "payload")}}, wire);
  std::string damaged = wire.batches();
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  wire.set_batches(damaged);
  EXPECT_EQ(GetErrorReason(Decode(wire).status()), ErrorReason::kCorruptLog);
  wire.set_batches(damaged.substr(0, damaged.size() - 1));
  EXPECT_EQ(GetErrorReason(Decode(wire).status()), ErrorReason::kCorruptLog);
}

TEST(RaftCodecTest, BatchesBesideADivergingEpochAreRefused) {
  v1::FetchResponse wire;
  Encode(raft::FetchResponse{.header = Answer(), .batches = {Batch(0, "payload")}}, wire);
  wire.mutable_diverging_epoch()->set_epoch(1);
  ExpectRefused(wire, "batches");
}

TEST(RaftCodecTest, UnknownErrorOfANewerReleaseIsRefused) {
  v1::VoteResponse wire;
  wire.mutable_header()->set_error(static_cast<v1::RaftError>(1000));
  ExpectRefused(wire, "header.error");
}

// Random bytes that parse as a message either decode or are refused by name; they never crash.
template <typename Wire>
void DecodeRandomBytes(Random& random) {
  Wire wire;
  std::string bytes;
  // Mutations of a valid message get further than noise.
  if constexpr (std::is_same_v<Wire, v1::VoteRequest>) {
    bytes = ValidVote().SerializeAsString();
  } else {
    bytes.resize(random.Below(200));
    for (char& c : bytes) {
      c = static_cast<char>(random.Below(256));
    }
  }
  for (uint64_t i = random.Below(8); i > 0 && !bytes.empty(); --i) {
    bytes[random.Below(bytes.size())] = static_cast<char>(random.Below(256));
  }
  if (wire.ParseFromString(bytes)) {
    const auto decoded = Decode(wire);
    EXPECT_TRUE(decoded.ok() || GetErrorReason(decoded.status()) != ErrorReason::kUnknown);
  }
}

TEST(RaftCodecTest, RandomBytesNeverCrash) {
  Random random(20240613);
  for (int i = 0; i < 20'000; ++i) {
    DecodeRandomBytes<v1::VoteRequest>(random);
    DecodeRandomBytes<v1::FetchRequest>(random);
    DecodeRandomBytes<v1::EndQuorumEpochRequest>(random);
    DecodeRandomBytes<v1::FetchResponse>(random);
    DecodeRandomBytes<v1::UpdateRaftVoterRequest>(random);
  }
}

TEST(RaftCodecTest, RandomBatchBytesNeverCrash) {
  Random random(7);
  std::string valid = EncodeBatch(Batch(0, "one")) + EncodeBatch(Batch(2, "two"));
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = valid.substr(0, random.Below(valid.size() + 1));
    for (uint64_t n = random.Below(3); n > 0 && !bytes.empty(); --n) {
      bytes[random.Below(bytes.size())] = static_cast<char>(random.Below(256));
    }
    v1::FetchResponse wire;
    wire.set_batches(bytes);
    const auto decoded = Decode(wire);
    EXPECT_TRUE(decoded.ok() || GetErrorReason(decoded.status()) == ErrorReason::kCorruptLog);
  }
}

}  // namespace
}  // namespace kvorum::rpc
