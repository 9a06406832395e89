#include "tests/sim/odd_subscriber.h"

#include <limits>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

// Not a broker and not a client that a path could be cut for.
constexpr int kActor = 2000;
// Further than any run gets.
constexpr int64_t kFarAhead = 1'000'000;

}  // namespace

OddSubscriber::~OddSubscriber() {
  if (stream_ != nullptr) {
    stream_->Disconnect();
  }
}

v1::Position OddSubscriber::DrawPosition() {
  v1::Position position;
  position.set_generation(world_.generation);
  const OffsetAndEpoch end = world_.ghost.image()->provenance().position();
  position.set_offset(end.offset.value());
  position.set_epoch(end.epoch.value());
  kind_ = static_cast<Kind>(random_.Below(4));
  switch (kind_) {
    case Kind::kFuture:
      position.set_offset(end.offset.value() + kFarAhead);
      break;
    case Kind::kNegative:
      position.set_offset(random_.OneIn(1, 2) ? -1 : std::numeric_limits<int64_t>::min());
      break;
    case Kind::kOtherEpoch:
      position.set_epoch(end.epoch.value() + 1);
      break;
    case Kind::kOtherGeneration:
      position.set_generation(world_.generation + 1);
      break;
  }
  return position;
}

void OddSubscriber::Subscribe(NodeId node) {
  SimProcess* process = world_.RunningOn(node);
  if (process == nullptr) {
    return;
  }
  world_.log.Hit(Mark::kOddSubscription);
  v1::SubscribeRequest request;
  request.set_cluster_id(world_.options.cluster_id);
  request.set_subscriber_id("odd");
  *request.mutable_resume_from() = DrawPosition();
  stream_ = std::make_shared<SimStream>(world_, process->id(), kActor, random_.Fork());
  stream_->Connect(this);
  process->publisher().Subscribe(stream_, std::move(request));
}

void OddSubscriber::OnStreamMessage(const std::string& bytes) {
  v1::SubscribeResponse response;
  KVORUM_CHECK(response.ParseFromString(bytes), "a delivery is no SubscribeResponse");
  KVORUM_CHECK(response.updates_size() > 0, "an empty delivery");
  for (const v1::MetadataUpdate& update : response.updates()) {
    if (!CheckUpdate(update)) {
      break;
    }
  }
  End();
}

bool OddSubscriber::CheckUpdate(const v1::MetadataUpdate& update) const {
  if (update.has_go_away()) {
    return false;
  }
  // Nobody else's history may be gone on with; a snapshot in its place is an answer.
  const bool may_be_reset = kind_ == Kind::kOtherEpoch;
  KVORUM_CHECK(may_be_reset, "invariant 32 StreamResume: a position of kind {} is served: {}",
               static_cast<int>(kind_), update.ShortDebugString());
  KVORUM_CHECK(!update.has_commit() && !update.has_bookmark() &&
                   (!update.has_hello() || update.hello().snapshot_follows()),
               "invariant 32 StreamResume: a position of another epoch is gone on from: {}",
               update.ShortDebugString());
  return !update.has_reset();
}

void OddSubscriber::OnStreamEnd(const absl::Status& status) {
  const ErrorReason reason = GetErrorReason(status);
  const bool is_busy = absl::IsUnavailable(status) || reason == ErrorReason::kClassShed;
  const bool is_told =
      (kind_ == Kind::kFuture && reason == ErrorReason::kPositionOutOfRange) ||
      (kind_ == Kind::kNegative && reason == ErrorReason::kInvalidRequest) ||
      (kind_ == Kind::kOtherGeneration && reason == ErrorReason::kGenerationMismatch);
  KVORUM_CHECK(status.ok() || is_busy || is_told,
               "invariant 32 StreamResume: a position of kind {} is answered with {}",
               static_cast<int>(kind_), Text(status));
  End();
}

void OddSubscriber::End() {
  const std::shared_ptr<SimStream> stream = std::exchange(stream_, nullptr);
  if (stream == nullptr) {
    return;
  }
  stream->Disconnect();
  if (SimProcess* process = world_.FindProcess(stream->server())) {
    process->publisher().OnDisconnected(stream);
  }
}

}  // namespace kvorum::sim
