#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

struct mg_context;
struct mg_connection;

namespace kvorum {

// A few read-only pages over HTTP for probes and Prometheus. Owned by the composition root; pages
// are made on the server's own threads.
class HttpEndpoint {
 public:
  struct Answer {
    int status = 200;
    std::string content_type = "text/plain; charset=utf-8";
    std::string body;
  };
  using Page = std::function<Answer()>;

  // Unavailable, naming `address` (host:port), if it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<HttpEndpoint>> Start(const std::string& address,
                                                             std::map<std::string, Page> pages);
  ~HttpEndpoint();
  HttpEndpoint(const HttpEndpoint&) = delete;
  HttpEndpoint& operator=(const HttpEndpoint&) = delete;

 private:
  explicit HttpEndpoint(std::map<std::string, Page> pages) : pages_(std::move(pages)) {}

  static int OnRequest(mg_connection* connection, void* page);

  const std::map<std::string, Page> pages_;  // by path
  mg_context* context_ = nullptr;
};

}  // namespace kvorum
