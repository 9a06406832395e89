#include "server/observability/http_endpoint.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "server/runtime/clock.h"

namespace kvorum {
namespace {

constexpr int kBacklog = 64;
constexpr int kPollMs = 500;  // at least so often overdue connections are closed
constexpr std::string_view kEndOfHead = "\r\n\r\n";

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    default:
      return "Service Unavailable";
  }
}

std::string Serialize(const HttpEndpoint::Answer& answer, bool with_body) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
      answer.status, ReasonPhrase(answer.status), answer.content_type, answer.body.size(),
      with_body ? answer.body : "");
}

std::string TakeWord(std::string_view& text) {
  const size_t end = std::min(text.find(' '), text.size());
  const std::string word(text.substr(0, end));
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

}  // namespace

std::string HttpEndpoint::Respond(const Pages& pages, std::string_view head) {
  std::string_view line = head.substr(0, head.find("\r\n"));
  const std::string method = TakeWord(line);
  std::string path = TakeWord(line);
  if (!line.starts_with("HTTP/1.")) {
    return Serialize({.status = 400, .body = "this is no HTTP/1 request\n"}, true);
  }
  if (method != "GET" && method != "HEAD") {
    return Serialize({.status = 405, .body = "only GET and HEAD\n"}, true);
  }
  path = path.substr(0, path.find('?'));
  const auto page = pages.find(path);
  const Answer answer =
      page == pages.end() ? Answer{.status = 404, .body = "no such page\n"} : page->second();
  return Serialize(answer, method == "GET");
}

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Start(const Address& address,
                                                                  Pages pages) {
  std::unique_ptr<HttpEndpoint> endpoint(new HttpEndpoint(std::move(pages)));
  if (absl::Status status = endpoint->Listen(address); !status.ok()) {
    return status;
  }
  endpoint->thread_ = std::thread([raw = endpoint.get()] { raw->Run(); });
  return endpoint;
}

HttpEndpoint::~HttpEndpoint() {
  if (thread_.joinable()) {
    eventfd_write(stop_event_, 1);
    thread_.join();
  }
  for (const int fd : {listener_, stop_event_}) {
    if (fd >= 0) {
      ::close(fd);
    }
  }
}

absl::Status HttpEndpoint::Listen(const Address& address) {
  const auto failed = [&](const char* reason) {
    const std::string message = fmt::format("http-listener {}:{} cannot be listened on: {}",
                                            address.host, address.port, reason);
    return absl::UnavailableError(message);
  };
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* list = nullptr;
  const std::string port = std::to_string(address.port);
  if (const int error = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &list);
      error != 0) {
    return failed(::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  listener_ = ::socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  stop_event_ = ::eventfd(0, EFD_CLOEXEC);
  const int on = 1;
  if (listener_ < 0 || stop_event_ < 0 ||
      ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      ::bind(listener_, list->ai_addr, list->ai_addrlen) != 0 ||
      ::listen(listener_, kBacklog) != 0) {
    return failed(std::strerror(errno));
  }
  return absl::OkStatus();
}

void HttpEndpoint::Run() {
  pthread_setname_np(pthread_self(), "kv-http");
  std::vector<pollfd> polled;
  while (true) {
    polled.assign({{.fd = stop_event_, .events = POLLIN, .revents = 0},
                   // A full house does not accept, and is not woken for it either.
                   {.fd = connections_.size() < kMaxConnections ? listener_ : -1,
                    .events = POLLIN,
                    .revents = 0}});
    for (const Connection& connection : connections_) {
      const short events = connection.response.empty() ? POLLIN : POLLOUT;
      polled.push_back({.fd = connection.fd, .events = events, .revents = 0});
    }
    ::poll(polled.data(), polled.size(), kPollMs);
    if (polled[0].revents != 0) {
      break;
    }
    const TimePoint now = ReadClock().now;
    auto entry = polled.begin() + 2;
    for (auto it = connections_.begin(); it != connections_.end(); ++entry) {
      bool keep = it->deadline > now;
      if (keep && entry->revents != 0) {
        keep = it->response.empty() ? Receive(*it) : Send(*it);
      }
      if (!keep) {
        ::close(it->fd);
      }
      it = keep ? std::next(it) : connections_.erase(it);
    }
    if (polled[1].revents != 0) {
      Accept(now);
    }
  }
  for (const Connection& connection : connections_) {
    ::close(connection.fd);
  }
}

void HttpEndpoint::Accept(TimePoint now) {
  const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    connections_.push_back({.fd = fd, .deadline = now + kConnectionTimeLimit});
  }
}

bool HttpEndpoint::Receive(Connection& connection) const {
  char bytes[kMaxRequestBytes];
  const ssize_t count = ::recv(connection.fd, bytes, sizeof(bytes), 0);
  if (count <= 0) {
    return count < 0 && (errno == EAGAIN || errno == EINTR);
  }
  connection.request.append(bytes, static_cast<size_t>(count));
  const size_t end = connection.request.find(kEndOfHead);
  if (end == std::string::npos) {
    return connection.request.size() <= kMaxRequestBytes;
  }
  connection.response = Respond(pages_, std::string_view(connection.request).substr(0, end));
  return Send(connection);
}

bool HttpEndpoint::Send(Connection& connection) {
  const ssize_t count = ::send(connection.fd, connection.response.data() + connection.sent,
                               connection.response.size() - connection.sent, MSG_NOSIGNAL);
  if (count < 0) {
    return errno == EAGAIN || errno == EINTR;
  }
  connection.sent += static_cast<size_t>(count);
  return connection.sent < connection.response.size();
}

}  // namespace kvorum
