#include "client/broker_session.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "client/random_id.h"
#include "client/retry.h"
#include "kvorum/v1/broker.grpc.pb.h"

namespace kvorum::client {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxRejectionBytes = 1024;
constexpr milliseconds kRetryPause{100};
constexpr milliseconds kMaxRegisterPause{1000};

bool MustRegisterAgain(v1::ErrorReason reason) {
  return reason == v1::STALE_BROKER_EPOCH || reason == v1::BROKER_ID_NOT_REGISTERED;
}

// Errors that no later attempt can cure. A duplicate is one that can: the other incarnation's
// session may expire.
bool IsFatalForRegistration(const CallError& error) {
  return error.reason == v1::INVALID_REGISTRATION || error.reason == v1::INVALID_REQUEST ||
         error.reason == v1::INCONSISTENT_CLUSTER_ID;
}

}  // namespace

// An open call of HoldSession. Shared with its callback, which may come after the session's end.
struct BrokerSession::Hold {
  explicit Hold(const std::shared_ptr<grpc::Channel>& channel) : stub(channel) {}

  v1::BrokerService::Stub stub;
  grpc::ClientContext context;
  v1::HoldSessionRequest request;
  v1::HoldSessionResponse response;
  std::atomic<bool> is_over = false;
  std::atomic<bool> is_unknown = false;  // to a server of an earlier release
};

BrokerSession::BrokerSession(ControllerClient& client, BrokerSessionOptions options,
                             OnRegistered on_registered)
    : client_(client),
      options_(std::move(options)),
      on_registered_(std::move(on_registered)),
      fenced_interval_(options_.fenced_interval) {}

BrokerSession::~BrokerSession() {
  EndThread();
  EndHold();
}

void BrokerSession::Start() {
  thread_ = std::thread([this] { Run(); });
}

void BrokerSession::Stop() {
  if (!thread_.joinable()) {
    return;
  }
  EndThread();
  if (HasUntoldRejection()) {
    Acknowledge();
  }
  SayGoodbye();
  EndHold();
}

void BrokerSession::EndThread() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void BrokerSession::SetApplied(int64_t offset) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const int64_t before = std::exchange(applied_offset_, offset);
    if (rejected_.has_value() && offset > std::max(before, rejected_->offset())) {
      rejected_.reset();
    }
    // The broker's epoch is the offset of its registration: having applied that is what unfences
    // it, so the news must not wait for the next beat.
    if (status_.epoch >= 0 && before <= status_.epoch && offset > status_.epoch) {
      heartbeat_now_ = true;
    }
  }
  wake_.notify_all();
}

void BrokerSession::SetRejected(int64_t offset, std::string message) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    message.resize(std::min(message.size(), kMaxRejectionBytes));
    rejected_.emplace();
    rejected_->set_offset(offset);
    rejected_->set_message(std::move(message));
    rejection_told_in_.reset();
  }
  wake_.notify_all();
}

BrokerSessionStatus BrokerSession::status() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return status_;
}

bool BrokerSession::stopping() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return stopping_;
}

bool BrokerSession::HasUntoldRejection() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return rejected_.has_value() && !rejection_told_in_.has_value() && status_.epoch >= 0;
}

// A controller keeps rejections in memory only, so another one has to be told. REQUIRES: mutex_
// held.
void BrokerSession::NoteController(const v1::ResponseHeader& header) {
  if (rejection_told_in_.has_value() && *rejection_told_in_ != header.leader_epoch()) {
    rejection_told_in_.reset();
  }
}

void BrokerSession::Run() {
  while (!stopping()) {
    if (epoch() < 0 && !Register()) {
      return;
    }
    switch (WaitForWork()) {
      case Work::kStop:
        return;
      case Work::kHeartbeat:
        Heartbeat();
        break;
      case Work::kAcknowledge:
        Acknowledge();
        break;
    }
  }
}

v1::RegisterBrokerRequest BrokerSession::MakeRegistration() const {
  v1::RegisterBrokerRequest request;
  request.set_broker_id(options_.broker_id);
  request.set_incarnation_id(RandomUuidBytes());
  request.mutable_endpoints()->Assign(options_.endpoints.begin(), options_.endpoints.end());
  request.set_rack(options_.rack);
  request.mutable_features()->Assign(options_.features.begin(), options_.features.end());
  return request;
}

// Until it is registered; false when stopped or refused for good. One incarnation for all attempts,
// so that a registration whose reply was lost is found again.
bool BrokerSession::Register() {
  const v1::RegisterBrokerRequest request = MakeRegistration();
  Backoff backoff(kRetryPause, kMaxRegisterPause, RandomSeed());
  while (!stopping()) {
    const Result<v1::RegisterBrokerResponse> response =
        client_.RegisterBroker(request, {options_.call_timeout, ""});
    if (response.ok()) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        status_.epoch = response->broker_epoch();
        status_.fenced = true;
        status_.caught_up = false;
        status_.acknowledged_offset = -1;
        status_.last_error.clear();
        ++status_.registration_count;
        rejection_told_in_.reset();  // by the incarnation before, which is forgotten
      }
      fenced_interval_ = options_.fenced_interval;
      next_heartbeat_ = Clock::now();
      EndHold();
      if (on_registered_) {
        on_registered_(response->broker_epoch());
      }
      return true;
    }
    OnCallFailed(response.error());
    if (IsFatalForRegistration(response.error())) {
      const std::lock_guard<std::mutex> lock(mutex_);
      status_.fatal_error = ToText(response.error());
      return false;
    }
    if (!WaitUnlessStopping(backoff.Next())) {
      return false;
    }
  }
  return false;
}

// When there is something to acknowledge; absent: nothing. REQUIRES: mutex_ held.
std::optional<BrokerSession::Clock::time_point> BrokerSession::AcknowledgeTime() const {
  // While fenced, heartbeats come fast and carry the offset themselves.
  const bool news = !status_.fenced && applied_offset_ > status_.acknowledged_offset;
  const bool rejects = rejected_.has_value() && !rejection_told_in_.has_value();
  return news || rejects ? std::optional(next_acknowledge_) : std::nullopt;
}

BrokerSession::Work BrokerSession::WaitForWork() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    const Clock::time_point now = Clock::now();
    if (stopping_) {
      return Work::kStop;
    }
    if (heartbeat_now_ || now >= next_heartbeat_) {
      return Work::kHeartbeat;
    }
    const std::optional<Clock::time_point> acknowledge = AcknowledgeTime();
    if (acknowledge.has_value() && now >= *acknowledge) {
      return Work::kAcknowledge;
    }
    wake_.wait_until(lock, std::min(next_heartbeat_, acknowledge.value_or(next_heartbeat_)));
  }
}

void BrokerSession::Heartbeat() {
  v1::HeartbeatRequest request;
  request.set_broker_id(options_.broker_id);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    heartbeat_now_ = false;
    request.set_broker_epoch(status_.epoch);
    request.set_applied_offset(applied_offset_);
  }
  // From the start of the call: a slow answer must not stretch the distance between beats.
  const Clock::time_point sent = Clock::now();
  const Result<v1::HeartbeatResponse> response =
      client_.Heartbeat(request, {options_.call_timeout, ""});
  if (!response.ok()) {
    OnCallFailed(response.error());
    next_heartbeat_ = Clock::now() + kRetryPause;
    return;
  }
  KeepHold();
  const std::lock_guard<std::mutex> lock(mutex_);
  status_.fenced = response->is_fenced();
  status_.caught_up = response->is_caught_up();
  status_.should_shutdown = response->should_shutdown();
  status_.acknowledged_offset = std::max(status_.acknowledged_offset, request.applied_offset());
  status_.last_error.clear();
  ++status_.heartbeat_count;
  NoteController(response->header());
  if (status_.fenced) {
    next_heartbeat_ = sent + fenced_interval_;
    fenced_interval_ = std::min(options_.heartbeat_interval, fenced_interval_ * 3 / 2);
  } else {
    next_heartbeat_ = sent + options_.heartbeat_interval;
    fenced_interval_ = options_.fenced_interval;
  }
}

// After a heartbeat was answered: where it was, unless a call is open there. One that ended is made
// again with the next heartbeat.
void BrokerSession::KeepHold() {
  if (hold_ != nullptr && (!hold_->is_over || hold_->is_unknown)) {
    return;
  }
  const std::shared_ptr<Endpoints>& endpoints = client_.endpoints();
  const std::shared_ptr<grpc::Channel> channel = endpoints->Connect(
      endpoints->Preferred(), std::chrono::system_clock::now() + options_.call_timeout);
  if (channel == nullptr) {
    return;
  }
  hold_ = std::make_shared<Hold>(channel);
  hold_->request.set_broker_id(options_.broker_id);
  hold_->request.set_broker_epoch(epoch());
  hold_->stub.async()->HoldSession(&hold_->context, &hold_->request, &hold_->response,
                                   [hold = hold_](const grpc::Status& status) {
                                     hold->is_unknown =
                                         status.error_code() == grpc::StatusCode::UNIMPLEMENTED;
                                     hold->is_over = true;
                                   });
}

void BrokerSession::EndHold() {
  if (hold_ != nullptr) {
    hold_->context.TryCancel();
    hold_.reset();
  }
}

void BrokerSession::Acknowledge() {
  v1::AcknowledgeMetadataRequest request;
  request.set_broker_id(options_.broker_id);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    request.set_broker_epoch(status_.epoch);
    request.set_applied_offset(applied_offset_);
    if (rejected_.has_value()) {
      *request.mutable_rejected() = *rejected_;
    }
  }
  const Result<v1::AcknowledgeMetadataResponse> response =
      client_.AcknowledgeMetadata(request, {options_.call_timeout, ""});
  next_acknowledge_ = Clock::now() + options_.acknowledge_interval;
  if (!response.ok()) {
    OnCallFailed(response.error());
    return;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  status_.acknowledged_offset = std::max(status_.acknowledged_offset, request.applied_offset());
  status_.last_error.clear();
  ++status_.acknowledge_count;
  NoteController(response->header());
  // Another one may have come up meanwhile.
  if (request.has_rejected() && rejected_.has_value() &&
      rejected_->offset() == request.rejected().offset()) {
    rejection_told_in_ = response->header().leader_epoch();
  }
}

// After the thread has ended. Until the controller says that the broker may go, or time is up.
void BrokerSession::SayGoodbye() {
  v1::HeartbeatRequest request;
  request.set_broker_id(options_.broker_id);
  request.set_want_shutdown(true);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (status_.epoch < 0) {
      return;
    }
    request.set_broker_epoch(status_.epoch);
    request.set_applied_offset(applied_offset_);
  }
  const Clock::time_point deadline = Clock::now() + options_.shutdown_timeout;
  while (true) {
    const milliseconds left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    if (left <= milliseconds(0)) {
      return;
    }
    const Result<v1::HeartbeatResponse> response = client_.Heartbeat(request, {left, ""});
    if (!response.ok()) {
      OnCallFailed(response.error());
      return;
    }
    if (response->should_shutdown()) {
      const std::lock_guard<std::mutex> lock(mutex_);
      status_.fenced = true;
      status_.should_shutdown = true;
      return;
    }
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait_for(lock, std::min(left, options_.fenced_interval));
  }
}

void BrokerSession::OnCallFailed(const CallError& error) {
  const std::lock_guard<std::mutex> lock(mutex_);
  status_.last_error = ToText(error);
  if (MustRegisterAgain(error.reason)) {
    status_.epoch = -1;
    status_.fenced = true;
    status_.caught_up = false;
  }
}

// False when stopping.
bool BrokerSession::WaitUnlessStopping(milliseconds time) {
  std::unique_lock<std::mutex> lock(mutex_);
  return !wake_.wait_for(lock, time, [this] { return stopping_; });
}

}  // namespace kvorum::client
