#include "server/raft/pending_writes.h"

#include <algorithm>
#include <utility>

#include "server/base/check.h"

namespace kvorum::raft {

WriteId PendingWrites::Add(Offset log_end, TimePoint now) {
  ++last_given_;
  writes_.push_back(Write{.id = last_given_, .log_end = log_end, .submitted = now});
  return last_given_;
}

void PendingWrites::TruncateTo(Offset end) {
  for (Write& write : writes_) {
    write.log_end = std::min(write.log_end, end);
  }
}

void PendingWrites::ResetTo(Offset end) {
  for (Write& write : writes_) {
    write.log_end = end;
  }
}

std::optional<Offset> PendingWrites::Complete(WriteId id) {
  KVORUM_CHECK(id <= last_given_, "write {} is done but only {} were begun", id, last_given_);
  std::optional<Offset> durable_end;
  while (!writes_.empty() && writes_.front().id <= id) {
    durable_end = writes_.front().log_end;
    last_done_ = writes_.front().id;
    writes_.pop_front();
  }
  return durable_end;
}

void PendingWrites::Hold(WriteId id, std::variant<SendRequest, SendReply> message) {
  KVORUM_CHECK(held_.empty() || held_.back().after <= id, "held for write {} after {}", id,
               held_.back().after);
  held_.push_back(Held{.after = id, .message = std::move(message)});
}

void PendingWrites::Release(Effects& effects) {
  while (!held_.empty() && IsDone(held_.front().after)) {
    auto& message = held_.front().message;
    if (auto* request = std::get_if<SendRequest>(&message)) {
      effects.sends.push_back(std::move(*request));
    } else {
      effects.replies.push_back(std::move(std::get<SendReply>(message)));
    }
    held_.pop_front();
  }
}

void PendingWrites::DropHeldRequests() {
  std::erase_if(held_,
                [](const Held& held) { return std::holds_alternative<SendRequest>(held.message); });
}

void PendingWrites::RefuseHeldReads() {
  for (Held& held : held_) {
    if (auto* reply = std::get_if<SendReply>(&held.message)) {
      RefuseRead(*reply);
    }
  }
}

void RefuseRead(SendReply& reply) {
  if (!reply.read.has_value()) {
    return;
  }
  reply.read.reset();
  auto& answer = std::get<FetchResponse>(reply.response);
  answer.header.error = RaftError::kNotLeaderOrFollower;
  answer.header.leader_id.reset();
}

}  // namespace kvorum::raft
