#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace kvorum::publish {

// Encoded bytes shared by everybody who sends them.
using SharedBytes = std::shared_ptr<const std::string>;

// One message for one subscriber: pieces to be sent one after the other, together the wire form of
// one kvorum.v1.SubscribeResponse.
using Delivery = std::vector<SharedBytes>;

// The far end of one subscription: a gRPC reactor, or a broker of the simulator. Owned by who
// subscribed; called on the publish loop; never calls back inside a call.
class SubscriberSink {
 public:
  virtual ~SubscriberSink() = default;

  // At most one delivery is outstanding: the next comes after UpdatePublisher::OnReady.
  // Others may be given the same one.
  virtual void Deliver(const Delivery& delivery) = 0;

  // The subscription is over; nothing follows. OK after a GoAway was delivered.
  virtual void Close(absl::Status status) = 0;
};

}  // namespace kvorum::publish
