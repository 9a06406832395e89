#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "kvorum/v1/common.pb.h"
#include "server/controller/commands.h"
#include "tests/sim/sim_process.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// What one session knows, and what its reads must show: invariant 27 SessionMonotone. A position
// that came with an answer, or that a subscriber has, covers what was seen with it; a read that
// carries one reflects that much, on whatever node; one that is no place in the log is told from
// those that are. Judged when the answer leaves the node. Owned by the session.
class SessionChecker {
 public:
  // Where a read's `min_position` comes from, and so what may come of it.
  enum class Token {
    kOwn,              // the furthest that this session has seen
    kSubscribers,      // what a broker has applied
    kLostWrite,        // of a write of which it is not known what became
    kFuture,           // further than the log gets
    kOtherEpoch,       // an offset of the log, in an epoch of which it is not
    kOtherGeneration,  // of another life of the cluster
    kNegative,
  };
  struct Read {
    Token token = Token::kOwn;
    v1::Position min_position;
    controller::Query query;
    std::string lost_value;  // kLostWrite: what was written
    TimePoint deadline{};    // by the node's clock
  };

  // A list that is asked for page by page.
  struct PagedList {
    controller::Query next;  // the request for the next page
    int pages = 0;
    v1::Position at;             // of the first page
    controller::QueryReply all;  // the items so far
  };

  explicit SessionChecker(World& world) : world_(world) {}

  // The furthest position that an answer to this session came with.
  const std::optional<v1::Position>& position() const { return position_; }

  // An OK answer to a put of `value`, when it arrives.
  void OnWritten(const std::string& value, const v1::ResponseHeader& header);
  // When the answer leaves the node.
  void OnReadAnswered(const SimProcess& process, const Read& read,
                      const absl::StatusOr<controller::QueryReply>& answer) const;
  // An OK answer to a read, when it arrives.
  void OnRead(const v1::ResponseHeader& header) { Learn(header.applied()); }
  // A page of `list`, when it arrives: of the state of the first one, as are all. False: it was the
  // last, and the whole is what the list without pages would have been.
  bool OnPage(PagedList& list, const controller::QueryReply& reply) const;
  void OnPageRefused(const PagedList& list, const absl::Status& status) const;

 private:
  template <typename Request, typename Response>
  bool OnPageOf(PagedList& list, Request& request, const Response& page) const;
  void Learn(const v1::Position& position);
  void CheckOk(const SimProcess& process, const Read& read, const v1::ResponseHeader& header) const;
  void CheckRefused(const SimProcess& process, const Read& read, const absl::Status& status) const;
  void CheckNotReached(const SimProcess& process, const Read& read,
                       const absl::Status& status) const;
  void CheckMissing(const SimProcess& process, const Read& read) const;
  // Whether the committed log is at `position` in its epoch.
  bool IsCommitted(const v1::Position& position) const;

  World& world_;
  std::optional<v1::Position> position_;
};

}  // namespace kvorum::sim
