#include "server/observability/http_endpoint.h"

#include <civetweb.h>
#include <fmt/core.h>

#include <string_view>

namespace kvorum {
namespace {

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 405:
      return "Method Not Allowed";
    default:
      return "Service Unavailable";
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Start(
    const std::string& address, std::map<std::string, Page> pages) {
  std::unique_ptr<HttpEndpoint> endpoint(new HttpEndpoint(std::move(pages)));
  // Scrapes and probes only: two threads, short waits, small queues.
  const char* options[] = {"listening_ports",
                           address.c_str(),
                           "num_threads",
                           "2",
                           "request_timeout_ms",
                           "5000",
                           "keep_alive_timeout_ms",
                           "0",
                           nullptr};
  const mg_callbacks callbacks{};
  endpoint->context_ = mg_start(&callbacks, nullptr, options);
  if (endpoint->context_ == nullptr) {
    const std::string message = fmt::format(
        "http-listener {} cannot be listened on: another process uses the port, or the host is no "
        "address of this machine",
        address);
    return absl::UnavailableError(message);
  }
  for (const auto& [path, page] : endpoint->pages_) {
    mg_set_request_handler(endpoint->context_, (path + "$").c_str(), &HttpEndpoint::OnRequest,
                           const_cast<Page*>(&page));
  }
  return endpoint;
}

HttpEndpoint::~HttpEndpoint() {
  if (context_ != nullptr) {
    mg_stop(context_);
  }
}

int HttpEndpoint::OnRequest(mg_connection* connection, void* page) {
  const std::string_view method = mg_get_request_info(connection)->request_method;
  const Answer answer = method == "GET" || method == "HEAD"
                            ? (*static_cast<const Page*>(page))()
                            : Answer{.status = 405, .body = "only GET\n"};
  const std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
      answer.status, ReasonPhrase(answer.status), answer.content_type, answer.body.size());
  mg_write(connection, head.data(), head.size());
  if (method != "HEAD") {
    mg_write(connection, answer.body.data(), answer.body.size());
  }
  return answer.status;
}

}  // namespace kvorum
