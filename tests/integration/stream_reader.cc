#include "tests/integration/stream_reader.h"

#include <fmt/format.h>
#include <grpcpp/create_channel.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace kvorum::testing {
namespace {

constexpr size_t kMaxProblems = 20;
constexpr milliseconds kReturnPause{10};

std::string Text(const v1::Position& position) {
  return fmt::format("{}@{}", position.offset(), position.epoch());
}

}  // namespace

void StreamChecker::Problem(std::string what) {
  if (problems_.size() < kMaxProblems) {
    problems_.push_back(std::move(what));
  }
}

void StreamChecker::OnStreamStart(const v1::SubscribeRequest& request) {
  greeted_ = false;
  in_snapshot_ = false;
  may_go_back_ = false;
  next_part_ = 0;
  pending_.clear();
  resumed_.reset();
  if (request.has_resume_from()) {
    resumed_ = request.resume_from();
    position_ = request.resume_from();
  }
}

void StreamChecker::OnUpdate(const v1::MetadataUpdate& update) {
  if (!greeted_ && !update.has_hello() && !update.has_go_away()) {
    Problem("the stream did not begin with Hello");
  }
  switch (update.update_case()) {
    case v1::MetadataUpdate::kHello:
      return OnHello(update.hello());
    case v1::MetadataUpdate::kReset:
      ++resets_;
      last_reset_ = update.reset().reason();
      in_snapshot_ = true;
      may_go_back_ = true;
      pending_.clear();
      return;
    case v1::MetadataUpdate::kSnapshotChunk:
      if (!in_snapshot_) {
        Problem("a snapshot chunk in a live stream");
      }
      pending_.insert(pending_.end(), update.snapshot_chunk().records().begin(),
                      update.snapshot_chunk().records().end());
      return;
    case v1::MetadataUpdate::kSnapshotEnd:
      return OnSnapshotEnd(update.snapshot_end().position());
    case v1::MetadataUpdate::kCommit:
      return OnCommit(update.commit());
    case v1::MetadataUpdate::kBookmark:
      ++bookmarks_;
      last_bookmark_ = update.bookmark();
      if (!position_.has_value() || update.bookmark().position().offset() != position_->offset()) {
        Problem(fmt::format("bookmark at {}, not where the stream is",
                            Text(update.bookmark().position())));
      }
      return;
    case v1::MetadataUpdate::kGoAway:
      go_away_hint_ = update.go_away().hint();
      return;
    case v1::MetadataUpdate::UPDATE_NOT_SET:
      return Problem("an update of no kind");
  }
}

void StreamChecker::OnHello(const v1::Hello& hello) {
  if (greeted_) {
    Problem("a second Hello");
  }
  greeted_ = true;
  in_snapshot_ = hello.snapshot_follows();
  if (!in_snapshot_ && (!resumed_.has_value() || Text(hello.start()) != Text(*resumed_))) {
    Problem(fmt::format("starts at {}, asked was {}", Text(hello.start()),
                        resumed_.has_value() ? Text(*resumed_) : "a snapshot"));
  }
}

void StreamChecker::OnSnapshotEnd(const v1::Position& position) {
  if (!in_snapshot_) {
    Problem("the end of a snapshot that did not begin");
  }
  if (position_.has_value() && !may_go_back_ && position.offset() < position_->offset()) {
    Problem(fmt::format("snapshot at {} behind {}", Text(position), Text(*position_)));
  }
  ++snapshots_;
  in_snapshot_ = false;
  entries_.clear();
  topic_names_.clear();
  partition_counts_.clear();
  for (const v1::MetadataRecord& record : std::exchange(pending_, {})) {
    Apply(record, -1);
  }
  position_ = position;
}

void StreamChecker::OnCommit(const v1::Commit& commit) {
  const uint32_t part_count = std::max<uint32_t>(commit.part_count(), 1);
  if (in_snapshot_ || !position_.has_value()) {
    return Problem("a commit inside a snapshot");
  }
  if (commit.part() != next_part_) {
    Problem(fmt::format("part {} where {} belongs", commit.part(), next_part_));
  }
  if (commit.part() == 0) {
    pending_.clear();
    pending_from_ = commit.from();
    if (commit.from() < position_->offset()) {
      Problem(fmt::format("duplicate: commit from {} at {}", commit.from(), Text(*position_)));
    } else if (commit.from() > position_->offset()) {
      Problem(fmt::format("gap: commit from {} at {}", commit.from(), Text(*position_)));
    }
  }
  if (commit.to().offset() <= commit.from() || commit.to().epoch() < position_->epoch() ||
      commit.to().generation() != position_->generation() || commit.from() != pending_from_) {
    Problem(fmt::format("commit from {} to {} at {}", commit.from(), Text(commit.to()),
                        Text(*position_)));
  }
  pending_.insert(pending_.end(), commit.records().begin(), commit.records().end());
  next_part_ = commit.part() + 1;
  if (next_part_ < part_count) {
    return;
  }
  next_part_ = 0;
  ++commits_;
  split_commits_ += part_count > 1 ? 1 : 0;
  const int64_t span = commit.to().offset() - commit.from();
  const auto record_count = static_cast<int64_t>(pending_.size());
  if (record_count > span) {  // none: raft's own; fewer: some are private to controllers
    Problem(
        fmt::format("{} records from {} to {}", record_count, commit.from(), commit.to().offset()));
  }
  int64_t offset = commit.from();
  for (const v1::MetadataRecord& record : std::exchange(pending_, {})) {
    Apply(record, offset++);
  }
  position_ = commit.to();
}

void StreamChecker::Apply(const v1::MetadataRecord& record, int64_t offset) {
  if (record.has_entry()) {
    entries_[record.entry().key()] = record.entry().value();
    if (offset >= 0 && record.entry().version() != offset) {
      Problem(fmt::format("version {} at offset {}", record.entry().version(), offset));
    }
  } else if (record.has_remove_entry()) {
    if (entries_.erase(record.remove_entry().key()) == 0) {
      Problem("removes an entry that is not there: " + record.remove_entry().key());
    }
  } else if (record.has_topic()) {
    topic_names_[record.topic().topic_id()] = record.topic().name();
    partition_counts_[record.topic().name()] = 0;
  } else if (record.has_partition()) {
    ++partition_counts_[topic_names_[record.partition().topic_id()]];
  } else if (record.has_remove_topic()) {
    partition_counts_.erase(record.remove_topic().name());
  } else if (record.record_case() == v1::MetadataRecord::RECORD_NOT_SET) {
    Problem(fmt::format("a record of no kind at {}", offset));
  }
}

StreamReader::StreamReader(std::string endpoint, std::optional<v1::Position> resume_from,
                           v1::Source source)
    : endpoint_(std::move(endpoint)), source_(source), resume_from_(std::move(resume_from)) {
  thread_ = std::thread([this] { Run(); });
}

StreamReader::~StreamReader() { Stop(); }

void StreamReader::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (context_ != nullptr) {
      context_->TryCancel();
    }
  }
  stop_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void StreamReader::Run() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  const auto channel =
      grpc::CreateCustomChannel(endpoint_, grpc::InsecureChannelCredentials(), arguments);
  const auto stub = v1::MetadataStreamService::NewStub(channel);
  while (true) {
    // Waits for the node to be there without asking it in vain.
    if (channel->WaitForConnected(std::chrono::system_clock::now() + milliseconds(200))) {
      ReadOnce(*stub);
    }
    std::unique_lock lock(mutex_);
    if (stop_.wait_for(lock, kReturnPause, [this] { return stopping_; })) {
      return;
    }
  }
}

void StreamReader::ReadOnce(v1::MetadataStreamService::Stub& stub) {
  grpc::ClientContext context;
  v1::SubscribeRequest request;
  request.set_subscriber_id("stream reader");
  request.set_source(source_);
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      return;
    }
    context_ = &context;
    if (resume_from_.has_value()) {
      *request.mutable_resume_from() = *resume_from_;
    }
    checker_.OnStreamStart(request);
    ++streams_;
  }
  const auto reader = stub.Subscribe(&context, request);
  v1::SubscribeResponse response;
  while (reader->Read(&response)) {
    const std::lock_guard lock(mutex_);
    for (const v1::MetadataUpdate& update : response.updates()) {
      checker_.OnUpdate(update);
    }
    // What arrived in part only (a snapshot, a commit) does not count.
    resume_from_ = checker_.position();
  }
  reader->Finish();
  const std::lock_guard lock(mutex_);
  context_ = nullptr;
}

bool StreamReader::AwaitOffset(int64_t wanted, milliseconds timeout) const {
  return Eventually([&] { return offset() >= wanted; }, timeout);
}

int64_t StreamReader::offset() const {
  const std::lock_guard lock(mutex_);
  return checker_.position().has_value() ? checker_.position()->offset() : -1;
}

int64_t StreamReader::streams() const {
  const std::lock_guard lock(mutex_);
  return streams_;
}

StreamChecker StreamReader::Snapshot() const {
  const std::lock_guard lock(mutex_);
  return checker_;
}

}  // namespace kvorum::testing
