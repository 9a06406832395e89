#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "server/base/random.h"
#include "server/publish/subscriber_sink.h"
#include "server/publish/subscription.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// One subscription seen from both ends: the publisher's sink, and a FIFO pipe to a broker that
// stalls while the path is cut and breaks when either end dies. Shared by the publish loop, the
// broker and the events in flight.
class SimStream : public publish::SubscriberSink, public std::enable_shared_from_this<SimStream> {
 public:
  // Called on arrival, in order. After OnStreamEnd nothing follows.
  class Reader {
   public:
    virtual ~Reader() = default;
    virtual void OnStreamMessage(const std::string& bytes) = 0;
    virtual void OnStreamEnd(const absl::Status& status) = 0;
  };

  SimStream(World& world, ProcessId server, int actor, Random random)
      : world_(world),
        serial_(++world.streams_opened),
        server_(server),
        actor_(actor),
        random_(random) {}

  uint64_t serial() const { return serial_; }

  const ProcessId& server() const { return server_; }

  // Server side.
  void Deliver(const publish::Delivery& delivery) override;
  void Close(absl::Status status) override;
  void OnServerDied();
  bool closed_by_server() const { return closed_by_server_; }

  // Broker side. `reader` must outlive the stream's connection: until Disconnect.
  void Connect(Reader* reader) { reader_ = reader; }
  void Disconnect() { reader_ = nullptr; }
  // How long the broker takes for each message.
  void SetReadDelay(Duration delay) { read_delay_ = delay; }

  std::optional<publish::SubscriptionId> id;  // set by the publish loop

 private:
  using Item = std::variant<std::string, absl::Status>;

  void Push(Item item);
  void ScheduleArrival(Duration delay);
  void Arrive();
  void TellReady();

  World& world_;
  uint64_t serial_;
  ProcessId server_;
  int actor_;
  Random random_;
  Reader* reader_ = nullptr;
  Duration read_delay_{};
  std::deque<Item> pipe_;
  bool arrival_scheduled_ = false;
  bool closed_by_server_ = false;
  bool outstanding_ = false;  // delivered, and the publisher not yet told that it was taken
};

}  // namespace kvorum::sim
