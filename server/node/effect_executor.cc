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
    Introduce(HeaderOf(send.request));
    ports_.transport.Send(std::move(send));
  }
  for (raft::SendReply& reply : effects.replies) {
    Reply(std::move(reply));
  }
  if (effects.store_chunk.has_value()) {
    StoreChunk(*std::move(effects.store_chunk));
  }
  if (effects.freeze_snapshot.has_value()) {
    FreezeSnapshot(*effects.freeze_snapshot);
  }
  for (const SnapshotId& id : effects.delete_snapshots) {
    DeleteSnapshot(id);
  }
  if (effects.installed.has_value()) {
    ports_.target.OnInstalled(*effects.installed);
  }
  // 4. Commits, and with them the replies to clients; before a loss of leadership fails those that
  // are left, so that nothing committed is reported lost.
  if (effects.high_watermark.has_value()) {
    ports_.target.OnHighWatermark(now);
  }
  for (const raft::ReadConfirmed& read : effects.reads) {
    ports_.target.OnReadConfirmed(now, read);
  }
  for (const raft::QuorumChangeDone& change : effects.changes) {
    ports_.target.OnQuorumChangeDone(change);
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
  if (write.install.has_value()) {
    ports_.recent.TruncateTo(Offset(0));
  }
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
  if (reply.chunk_read.has_value()) {
    FillFromSnapshot(std::move(reply));
    return;
  }
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

void EffectExecutor::FillFromSnapshot(raft::SendReply reply) {
  const raft::SnapshotChunkRead read = *reply.chunk_read;
  auto shared = std::make_shared<raft::SendReply>(std::move(reply));
  ports_.storage.ReadSnapshotChunk(
      read.id, read.index, [this, shared, id = read.id](absl::StatusOr<std::string> chunk) {
        ports_.host.Post([this, shared, id, chunk = std::move(chunk)](Now now) mutable {
          if (failed_) {
            return;
          }
          auto& answer = std::get<raft::FetchSnapshotResponse>(shared->response);
          if (chunk.ok()) {
            answer.chunk = *std::move(chunk);
          } else if (absl::IsNotFound(chunk.status()) || absl::IsDataLoss(chunk.status())) {
            answer.header.error = raft::RaftError::kSnapshotNotFound;  // forgotten, or no use
          } else {
            Fail(chunk.status());
            return;
          }
          Finish(shared->token, std::move(shared->response));
          if (absl::IsDataLoss(chunk.status())) {
            ports_.target.OnSnapshotDamaged(now, id, chunk.status());
          }
        });
      });
}

void EffectExecutor::StoreChunk(raft::StoreSnapshotChunk chunk) {
  const raft::SnapshotChunkStored done{chunk.id, chunk.index};
  ports_.storage.WriteSnapshotChunk(
      chunk.id, chunk.index, std::move(chunk.chunk), [this, done](absl::Status status) {
        ports_.host.Post([this, done, status = std::move(status)](Now now) {
          if (failed_) {
            return;
          }
          if (status.ok()) {
            ports_.target.OnDone(now, done);
          } else {
            Fail(status);
          }
        });
      });
}

void EffectExecutor::FreezeSnapshot(const SnapshotManifest& manifest) {
  ports_.storage.FreezeSnapshot(manifest, [this, id = manifest.id](absl::Status status) {
    ports_.host.Post([this, id, status = std::move(status)](Now now) {
      if (failed_) {
        return;
      }
      if (status.ok() || absl::IsDataLoss(status)) {
        ports_.target.OnDone(now, raft::SnapshotFrozen{id, status.ok()});
      } else {
        Fail(status);
      }
    });
  });
}

void EffectExecutor::DeleteSnapshot(const SnapshotId& id) {
  ports_.storage.DeleteSnapshot(id, [this](absl::Status status) {
    ports_.host.Post([this, status = std::move(status)](Now) {
      if (!failed_ && !status.ok() && !absl::IsNotFound(status)) {
        Fail(status);
      }
    });
  });
}

void EffectExecutor::Finish(raft::RequestToken token, raft::RaftResponse response) {
  const auto it = waiting_.find(token);
  KVORUM_CHECK(it != waiting_.end(), "request {} was answered twice", token);
  const ReplyDone done = std::move(it->second);
  waiting_.erase(it);
  Introduce(HeaderOf(response));
  done(std::move(response));
}

void EffectExecutor::Fail(const absl::Status& status) {
  if (!std::exchange(failed_, true)) {
    ports_.host.OnStorageFailure(status);
  }
}

}  // namespace kvorum
