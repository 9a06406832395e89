#pragma once

#include <functional>
#include <map>
#include <optional>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvorum/v1/quorum.pb.h"
#include "server/base/time.h"
#include "server/raft/effects.h"
#include "server/raft/events.h"

namespace kvorum {

// What an operator may do to the quorum, and the answers.
using QuorumCommand = std::variant<v1::AddVoterRequest, v1::RemoveVoterRequest,
                                   v1::UpdateVoterRequest, v1::TransferLeadershipRequest>;
using QuorumReply = std::variant<v1::AddVoterResponse, v1::RemoveVoterResponse,
                                 v1::UpdateVoterResponse, v1::TransferLeadershipResponse>;

// The requests of QuorumService that change something: checks their form, hands them to raft as
// events and turns what became of them into replies. Owned by Node; loop thread only.
class QuorumChanges {
 public:
  using Done = std::function<void(absl::StatusOr<QuorumReply>)>;

  // The event to give to raft; nullopt: the request was malformed, and `done` was told so.
  std::optional<raft::Event> Begin(const QuorumCommand& command, TimePoint deadline, Done done);

  // `header` and, if raft does not lead any more, `not_leader` are for the reply.
  void Finish(const raft::QuorumChangeDone& change, const v1::ResponseHeader& header,
              const absl::Status& not_leader);

  // Nobody waits for an answer.
  bool empty() const { return waiting_.empty(); }

 private:
  struct Waiting {
    size_t index = 0;  // of the command, and so of its reply
    Done done;
  };

  raft::ChangeToken last_token_{0};
  std::map<raft::ChangeToken, Waiting> waiting_;
};

// The error a client gets. REQUIRES: neither kNone nor kNotLeader.
absl::Status ToStatus(raft::ChangeError error, const std::string& detail);

}  // namespace kvorum
