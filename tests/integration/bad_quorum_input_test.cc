// What may be asked of the quorum and is refused: by its code, its reason and a sentence, and
// without any effect.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/integration/bad_input_fixture.h"

namespace kvorum::testing {
namespace {

constexpr auto kInvalidArgument = grpc::StatusCode::INVALID_ARGUMENT;
constexpr auto kFailedPrecondition = grpc::StatusCode::FAILED_PRECONDITION;
constexpr auto kNotFound = grpc::StatusCode::NOT_FOUND;
constexpr auto kAlreadyExists = grpc::StatusCode::ALREADY_EXISTS;
constexpr auto kUnimplemented = grpc::StatusCode::UNIMPLEMENTED;

constexpr char kAdd[] = "kvorum.v1.QuorumService/AddVoter";
constexpr char kRemove[] = "kvorum.v1.QuorumService/RemoveVoter";
constexpr char kUpdate[] = "kvorum.v1.QuorumService/UpdateVoter";
constexpr char kTransfer[] = "kvorum.v1.QuorumService/TransferLeadership";

std::string Directory(int node_id) {
  return fmt::format("00000000-0000-4000-8000-{:012d}", node_id);
}

std::string Voter(int node_id, const std::string& directory, const std::string& host = "c",
                  int port = 7401) {
  return fmt::format(
      "voter {{ node_id: {} directory_id: \"{}\" controller_endpoint {{ host: \"{}\" port: {} }} "
      "}}",
      node_id, directory, host, port);
}

TEST_F(BadInputTest, RefusesMalformedChangesOfTheQuorum) {
  for (const char* method : {kAdd, kUpdate}) {
    ExpectRefused({
        {method, "", kInvalidArgument, "INVALID_REQUEST"},
        {method, Voter(-1, Directory(9)), kInvalidArgument, "INVALID_REQUEST"},
        {method, Voter(9, ""), kInvalidArgument, "INVALID_REQUEST"},
        {method, Voter(9, "00000000-0000-0000-0000-000000000000"), kInvalidArgument,
         "INVALID_REQUEST"},
        {method, Voter(9, Directory(9), ""), kInvalidArgument, "INVALID_REQUEST"},
        {method, Voter(9, Directory(9), std::string(256, 'h')), kInvalidArgument,
         "INVALID_REQUEST"},
        {method, Voter(9, Directory(9), "c", 0), kInvalidArgument, "INVALID_REQUEST"},
        {method, Voter(9, Directory(9), "c", 65'536), kInvalidArgument, "INVALID_REQUEST"},
        {method,
         fmt::format("voter {{ node_id: 9 directory_id: \"{}\" controller_endpoint {{ name: \"X\" "
                     "host: \"c\" port: 7401 }} }}",
                     Directory(9)),
         kUnimplemented, "UNIMPLEMENTED_FIELD"},
    });
  }
  ExpectRefused({
      {kRemove, "node_id: -1", kInvalidArgument, "INVALID_REQUEST"},
      {kRemove, "node_id: 1", kInvalidArgument, "INVALID_REQUEST"},
      {kTransfer, "node_id: -1", kInvalidArgument, "INVALID_REQUEST"},
  });
}

TEST_F(BadInputTest, RefusesChangesOfTheQuorumThatCannotBe) {
  ExpectRefused({
      {kAdd, Voter(1, Directory(1)), kAlreadyExists, "DUPLICATE_VOTER"},
      {kAdd, Voter(1, Directory(9)), kAlreadyExists, "DUPLICATE_VOTER"},
      {kAdd, Voter(9, Directory(9)), kFailedPrecondition, "VOTER_NOT_CAUGHT_UP"},
      {kRemove, fmt::format("node_id: 9 directory_id: \"{}\"", Directory(9)), kNotFound,
       "VOTER_NOT_FOUND"},
      {kRemove, fmt::format("node_id: 1 directory_id: \"{}\"", Directory(9)), kNotFound,
       "VOTER_NOT_FOUND"},
      {kUpdate, Voter(9, Directory(9)), kNotFound, "VOTER_NOT_FOUND"},
      {kUpdate, Voter(leader_ == 0 ? 2 : 1, Directory(leader_ == 0 ? 2 : 1), "127.0.0.1", 1),
       grpc::StatusCode::UNAVAILABLE, "VOTER_UNREACHABLE"},
      {kTransfer, "node_id: 9", kNotFound, "VOTER_NOT_FOUND"},
  });
}

}  // namespace
}  // namespace kvorum::testing
