// The part of SessionChecker that judges lists which are asked for page by page (27
// SessionMonotone): all pages are of one state of the metadata, whatever is written meanwhile and
// whoever gives them.
#include <type_traits>
#include <variant>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/metadata/commands.h"
#include "tests/sim/checkers/session_checker.h"

namespace kvorum::sim {

template <typename Request, typename Response>
bool SessionChecker::OnPageOf(PagedList& list, Request& request, const Response& page) const {
  const v1::Position& applied = page.header().applied();
  const std::shared_ptr<const MetadataImage> truth = world_.ghost.ImageAt(Offset(applied.offset()));
  KVORUM_CHECK(
      truth != nullptr && truth->provenance().last_epoch.value() == applied.epoch(),
      "invariant 14 NoUncommittedExposure: a page is of {}/{}, which is no committed place",
      applied.offset(), applied.epoch());
  if (++list.pages == 1) {
    list.at = applied;
    list.all = Response();
  }
  KVORUM_CHECK(
      applied.offset() == list.at.offset() && applied.epoch() == list.at.epoch(),
      "invariant 27 SessionMonotone: page {} of a list is of {}/{}, the first was of {}/{}",
      list.pages, applied.offset(), applied.epoch(), list.at.offset(), list.at.epoch());
  Response& all = std::get<Response>(list.all);
  all.MergeFrom(page);
  if (!page.page().next_page_token().empty()) {
    request.mutable_page()->set_page_token(page.page().next_page_token());
    return true;
  }
  Request whole = request;
  whole.clear_page();
  absl::StatusOr<Response> expected =
      Query(QueryContext{.image = *truth, .liveness = nullptr}, whole);
  KVORUM_CHECK(expected.ok() && expected->page().next_page_token().empty(),
               "a list at {} does not fit a page", applied.offset());
  for (Response* response : {&all, &*expected}) {
    response->clear_header();
    response->clear_page();
  }
  KVORUM_CHECK(all.SerializeAsString() == expected->SerializeAsString(),
               "invariant 27 SessionMonotone: {} pages at {} have\n{}instead of\n{}", list.pages,
               applied.offset(), all.DebugString(), expected->DebugString());
  if (list.pages > 1) {
    world_.log.Hit(Mark::kListedByPages);
  }
  return false;
}

bool SessionChecker::OnPage(PagedList& list, const controller::QueryReply& reply) const {
  if (auto* entries = std::get_if<v1::ListEntriesRequest>(&list.next)) {
    return OnPageOf(list, *entries, std::get<v1::ListEntriesResponse>(reply));
  }
  return OnPageOf(list, std::get<v1::ListTopicsRequest>(list.next),
                  std::get<v1::ListTopicsResponse>(reply));
}

void SessionChecker::OnPageRefused(const PagedList& list, const absl::Status& status) const {
  const ErrorReason reason = GetErrorReason(status);
  if (reason == ErrorReason::kPageTokenExpired && list.pages > 0) {
    world_.log.Hit(Mark::kPagesExpired);
    return;
  }
  KVORUM_CHECK(reason == ErrorReason::kLeaderNotAvailable || reason == ErrorReason::kClassShed ||
                   reason == ErrorReason::kShuttingDown || reason == ErrorReason::kNotController ||
                   reason == ErrorReason::kDeadlineExceeded,
               "invariant 27 SessionMonotone: page {} of a list is refused: {}", list.pages + 1,
               status.ToString());
}

}  // namespace kvorum::sim
