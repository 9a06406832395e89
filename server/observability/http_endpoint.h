#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/time.h"

namespace kvorum {

// A few read-only pages over HTTP for probes and Prometheus: GET only, one request per connection,
// no more than that. Written by hand because the server that prometheus-cpp brings takes a second
// to stop. Owned by the composition root; one thread, which also makes the pages.
class HttpEndpoint {
 public:
  static constexpr size_t kMaxConnections = 32;  // more wait in the kernel's queue
  static constexpr size_t kMaxRequestBytes = 8192;
  static constexpr auto kConnectionTimeLimit = std::chrono::seconds(5);

  struct Answer {
    int status = 200;
    std::string content_type = "text/plain; charset=utf-8";
    std::string body;
  };
  using Page = std::function<Answer()>;
  using Pages = std::map<std::string, Page>;  // by path

  struct Address {
    std::string host;
    uint16_t port = 0;
  };

  // Unavailable, naming the address and the reason, if it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<HttpEndpoint>> Start(const Address& address, Pages pages);
  ~HttpEndpoint();
  HttpEndpoint(const HttpEndpoint&) = delete;
  HttpEndpoint& operator=(const HttpEndpoint&) = delete;

  // What is sent for `head`, the request up to its empty line.
  static std::string Respond(const Pages& pages, std::string_view head);

 private:
  // One request on its way in, or its answer on its way out.
  struct Connection {
    int fd = -1;
    TimePoint deadline;
    std::string request;
    std::string response;  // empty: the request is not complete
    size_t sent = 0;
  };

  explicit HttpEndpoint(Pages pages) : pages_(std::move(pages)) {}

  absl::Status Listen(const Address& address);
  void Run();
  void Accept(TimePoint now);
  // True while the connection is to be kept.
  bool Receive(Connection& connection) const;
  static bool Send(Connection& connection);

  const Pages pages_;
  int listener_ = -1;
  int stop_event_ = -1;
  std::list<Connection> connections_;  // of the thread
  std::thread thread_;
};

}  // namespace kvorum
