#include "tests/sim/sim_stream.h"

#include <utility>

#include "server/base/check.h"
#include "tests/sim/sim_process.h"

namespace kvorum::sim {
namespace {

// Bytes that fit the sockets' buffers without the broker reading: so many messages.
constexpr size_t kPipeMessages = 3;
constexpr Duration kStalledRetry = std::chrono::milliseconds(50);

}  // namespace

void SimStream::Deliver(const publish::Delivery& delivery) {
  KVORUM_CHECK(!outstanding_, "invariant 40 Bounded: two deliveries on one stream");
  KVORUM_CHECK(!closed_by_server_, "delivery on a closed stream");
  outstanding_ = true;
  std::string bytes;
  for (const publish::SharedBytes& piece : delivery) {
    bytes += *piece;
  }
  world_.log.Mix(bytes.size());
  Push(std::move(bytes));
  if (pipe_.size() <= kPipeMessages) {
    TellReady();
  }
}

void SimStream::Close(absl::Status status) {
  KVORUM_CHECK(!closed_by_server_, "stream closed twice");
  closed_by_server_ = true;
  Push(std::move(status));
}

void SimStream::OnServerDied() {
  if (closed_by_server_) {
    return;
  }
  closed_by_server_ = true;
  // What was in flight is lost with the connection; sometimes the reset is lost too, and the broker
  // has to notice by itself.
  pipe_.clear();
  if (random_.OneIn(3, 4)) {
    Push(absl::UnavailableError("connection reset"));
  }
}

void SimStream::TellReady() {
  const NetworkFaults& faults = world_.network_faults;
  world_.queue.After(DrawBetween(random_, {}, faults.max_delay), [self = shared_from_this()] {
    SimProcess* process = self->world_.FindProcess(self->server_);
    if (process == nullptr || self->closed_by_server_) {
      return;
    }
    self->outstanding_ = false;
    process->publisher().OnReady(self);
  });
}

void SimStream::Push(Item item) {
  pipe_.push_back(std::move(item));
  const NetworkFaults& faults = world_.network_faults;
  ScheduleArrival(DrawBetween(random_, faults.min_delay, faults.max_delay));
}

void SimStream::ScheduleArrival(Duration delay) {
  if (!arrival_scheduled_) {
    arrival_scheduled_ = true;
    world_.queue.After(delay, [self = shared_from_this()] {
      self->arrival_scheduled_ = false;
      self->Arrive();
    });
  }
}

void SimStream::Arrive() {
  if (reader_ == nullptr || pipe_.empty()) {
    return;
  }
  if (world_.IsCut(actor_, server_.node)) {
    ScheduleArrival(kStalledRetry);
    return;
  }
  const bool was_full = pipe_.size() > kPipeMessages;
  const Item item = std::move(pipe_.front());
  pipe_.pop_front();
  if (!pipe_.empty()) {
    ScheduleArrival(read_delay_);
  }
  if (was_full && outstanding_) {
    TellReady();
  }
  if (const auto* bytes = std::get_if<std::string>(&item)) {
    reader_->OnStreamMessage(*bytes);
  } else {
    reader_->OnStreamEnd(std::get<absl::Status>(item));
  }
}

}  // namespace kvorum::sim
