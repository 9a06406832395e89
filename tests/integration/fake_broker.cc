#include "tests/integration/fake_broker.h"

#include <fmt/format.h>

#include <utility>

#include "client/retry.h"

namespace kvorum::testing {

FakeBroker::FakeBroker(client::ControllerClient& client, int32_t id, std::string rack)
    : client_(&client),
      id_(id),
      rack_(std::move(rack)),
      incarnation_(fmt::format("{:016x}", client::RandomSeed())) {}

client::Result<v1::RegisterBrokerResponse> FakeBroker::TryRegister(milliseconds timeout) {
  v1::RegisterBrokerRequest request;
  request.set_broker_id(id_);
  request.set_incarnation_id(incarnation_);
  request.set_rack(rack_);
  v1::Endpoint* endpoint = request.add_endpoints();
  endpoint->set_name("PLAINTEXT");
  endpoint->set_host("localhost");
  endpoint->set_port(9092);
  client::CallOptions call;
  call.timeout = timeout;
  auto answer = client_->RegisterBroker(request, call);
  if (answer.ok()) {
    epoch_ = answer->broker_epoch();
  }
  return answer;
}

client::Result<v1::HeartbeatResponse> FakeBroker::Heartbeat(int64_t applied_offset) {
  v1::HeartbeatRequest request;
  request.set_broker_id(id_);
  request.set_broker_epoch(epoch_);
  request.set_applied_offset(applied_offset);
  return client_->Heartbeat(request);
}

bool FakeBroker::Reject(int64_t offset, const std::string& why) {
  v1::AcknowledgeMetadataRequest request;
  request.set_broker_id(id_);
  request.set_broker_epoch(epoch_);
  request.set_applied_offset(offset);
  request.mutable_rejected()->set_offset(offset);
  request.mutable_rejected()->set_message(why);
  return client_->AcknowledgeMetadata(request).ok();
}

bool FakeBroker::BecomeUnfenced() {
  int64_t applied = epoch_ + 1;
  return Eventually([&] {
    const auto answer = Heartbeat(applied);
    if (!answer.ok()) {
      return false;
    }
    applied = answer->header().committed().offset();
    return !answer->is_fenced();
  });
}

}  // namespace kvorum::testing
