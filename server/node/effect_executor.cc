#include "server/node/effect_executor.h"

#include <utility>
#include <variant>

#include "server/base/check.h"
#include "server/base/mutants.h"

namespace kvorum {

raft::RequestToken EffectExecutor::AddRequest(ReplyDone done) {
  ++last_token_;
  waiting_.emplace(last_token_, std::move(done));
  return last_token_;
}

void EffectExecutor::Run(Now now, raft::Effects effects) {
  // 1. Writes, in id order. What depends on one is still held in the core.
  for (StorageWrite& write : effects.writes) {
    SubmitWrite(std::move(write));
  }
  // 2. Requests and answers. 3. An answer may need the log first.
  for (raft::SendRequest& send : effects.sends) {
    HeaderOf(send.request).client_endpoint = client_endpoint_;
    ports_.transport.Send(std::move(send));
  }
  for (raft::SendReply& reply : effects.replies) {
    Reply(std::move(reply));
  }
  // 4. Commits, and with them the replies to clients; before a loss of leadership fails those that
  // are left, so that nothing committed is reported lost.
  if (effects.high_watermark.has_value()) {
    ports_.target.OnHighWatermark(now);
  }
  for (const raft::ReadConfirmed& read : effects.reads) {
    ports_.target.OnReadConfirmed(now, read);
  }
  // 5. Roles.
  for (const raft::LeadershipChange& change : effects.leadership) {
    ports_.target.OnLeadership(now, change);
  }
  // 6. What happened.
  for (const raft::RaftTrace& trace : effects.traces) {
    ports_.observer.OnRaftTrace(trace);
  }
}

void EffectExecutor::SubmitWrite(StorageWrite write) {
  if (write.truncate_to.has_value()) {
    ports_.recent.TruncateTo(*write.truncate_to);
  }
  size_t bytes = 0;
  for (const RecordBatch& batch : write.append) {
    ports_.recent.Append(batch);
    bytes += batch.encoded_size();
  }
  inflight_bytes_ += bytes;
  const WriteId id = write.id;
  ports_.storage.Submit(std::move(write), [this, id, bytes](absl::Status status) {
    ports_.host.Post([this, id, bytes, status = std::move(status)](Now now) {
      if (failed_) {
        return;
      }
      if (!status.ok() && !KVORUM_MUTANT(FailedWriteDone)) {
        Fail(status);
        return;
      }
      inflight_bytes_ -= bytes;
      ports_.target.OnWriteDone(now, raft::WriteDone{id});
    });
  });
}

void EffectExecutor::Reply(raft::SendReply reply) {
  if (!reply.read.has_value()) {
    Finish(reply.token, std::move(reply.response));
    return;
  }
  auto& fetch = std::get<raft::FetchResponse>(reply.response);
  auto cached = ports_.recent.Read(reply.read->from, reply.read->to, reply.read->max_bytes);
  if (!cached.has_value()) {
    FillFromStorage(std::move(reply));
    return;
  }
  fetch.batches = *std::move(cached);
  Finish(reply.token, std::move(reply.response));
}

void EffectExecutor::FillFromStorage(raft::SendReply reply) {
  const LogRange range{reply.read->from, reply.read->to, reply.read->max_bytes};
  auto shared = std::make_shared<raft::SendReply>(std::move(reply));
  ports_.storage.Read(range, [this, shared](absl::StatusOr<std::vector<RecordBatch>> batches) {
    ports_.host.Post([this, shared, batches = std::move(batches)](Now) {
      if (failed_) {
        return;
      }
      auto& fetch = std::get<raft::FetchResponse>(shared->response);
      if (batches.ok()) {
        fetch.batches = *batches;
      } else if (absl::IsNotFound(batches.status())) {
        // The offset lies inside a batch: no replica of this log asks that.
        fetch.header.error = raft::RaftError::kInvalidRequest;
      } else {
        Fail(batches.status());
        return;
      }
      Finish(shared->token, std::move(shared->response));
    });
  });
}

void EffectExecutor::Finish(raft::RequestToken token, raft::RaftResponse response) {
  const auto it = waiting_.find(token);
  KVORUM_CHECK(it != waiting_.end(), "request {} was answered twice", token);
  const ReplyDone done = std::move(it->second);
  waiting_.erase(it);
  HeaderOf(response).client_endpoint = client_endpoint_;
  done(std::move(response));
}

void EffectExecutor::Fail(const absl::Status& status) {
  if (!std::exchange(failed_, true)) {
    ports_.host.OnStorageFailure(status);
  }
}

}  // namespace kvorum
