#include "server/observability/http_endpoint.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace kvorum {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

HttpEndpoint::Pages TestPages() {
  return {{"/livez", [] { return HttpEndpoint::Answer{.body = "ok\n"}; }},
          {"/readyz", [] { return HttpEndpoint::Answer{.status = 503, .body = "no\n"}; }},
          {"/large", [] { return HttpEndpoint::Answer{.body = std::string(4 << 20, 'x')}; }}};
}

// A connection to 127.0.0.1:port.
class Client {
 public:
  explicit Client(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Send(const std::string& text) {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // Everything until the server closes.
  std::string ReadAll() {
    std::string text;
    char bytes[65536];
    for (ssize_t n = ::recv(fd_, bytes, sizeof(bytes), 0); n > 0;
         n = ::recv(fd_, bytes, sizeof(bytes), 0)) {
      text.append(bytes, static_cast<size_t>(n));
    }
    return text;
  }

 private:
  const int fd_;
};

uint16_t FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t size = sizeof(address);
  ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

TEST(HttpEndpointTest, ServesPagesByPath) {
  const uint16_t port = FreePort();
  const auto endpoint = HttpEndpoint::Start({"127.0.0.1", port}, TestPages());
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  Client live(port);
  live.Send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string answer = live.ReadAll();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 3\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nok\n"));
  Client ready(port);
  ready.Send("GET /readyz HTTP/1.1\r\n\r\n");
  EXPECT_THAT(ready.ReadAll(), StartsWith("HTTP/1.1 503 "));
}

TEST(HttpEndpointTest, TakesARequestInPieces) {
  const uint16_t port = FreePort();
  const auto endpoint = HttpEndpoint::Start({"127.0.0.1", port}, TestPages());
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  Client client(port);
  for (const char c : std::string("GET /livez HTTP/1.1\r\n\r\n")) {
    client.Send(std::string(1, c));
  }
  EXPECT_THAT(client.ReadAll(), EndsWith("ok\n"));
}

TEST(HttpEndpointTest, SendsAnAnswerLargerThanTheSocketTakesAtOnce) {
  const uint16_t port = FreePort();
  const auto endpoint = HttpEndpoint::Start({"127.0.0.1", port}, TestPages());
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  Client client(port);
  client.Send("GET /large HTTP/1.1\r\n\r\n");
  EXPECT_GT(client.ReadAll().size(), size_t{4 << 20});
}

TEST(HttpEndpointTest, ClosesARequestThatIsTooLarge) {
  const uint16_t port = FreePort();
  const auto endpoint = HttpEndpoint::Start({"127.0.0.1", port}, TestPages());
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  Client client(port);
  client.Send("GET /" + std::string(2 * HttpEndpoint::kMaxRequestBytes, 'x'));
  EXPECT_EQ(client.ReadAll(), "");
}

TEST(HttpEndpointTest, IdleConnectionsDoNotBlockOthersNorTheEnd) {
  const uint16_t port = FreePort();
  auto endpoint = HttpEndpoint::Start({"127.0.0.1", port}, TestPages());
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  Client idle(port);
  Client client(port);
  client.Send("GET /livez HTTP/1.1\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), EndsWith("ok\n"));
  endpoint->reset();
  EXPECT_EQ(idle.ReadAll(), "");
}

TEST(HttpEndpointTest, TakenPortIsAnErrorThatNamesIt) {
  const uint16_t port = FreePort();
  const auto first = HttpEndpoint::Start({"127.0.0.1", port}, TestPages());
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = HttpEndpoint::Start({"127.0.0.1", port}, TestPages());
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(std::to_string(port)));
}

TEST(HttpEndpointTest, AnswersOnlyWhatItUnderstands) {
  const HttpEndpoint::Pages pages = TestPages();
  EXPECT_THAT(HttpEndpoint::Respond(pages, "GET /livez?verbose=1 HTTP/1.1"), EndsWith("ok\n"));
  EXPECT_THAT(HttpEndpoint::Respond(pages, "HEAD /livez HTTP/1.1"), EndsWith("\r\n\r\n"));
  EXPECT_THAT(HttpEndpoint::Respond(pages, "GET /other HTTP/1.1"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(HttpEndpoint::Respond(pages, "POST /livez HTTP/1.1"), StartsWith("HTTP/1.1 405 "));
  for (const std::string head : {"", " ", "GET", "GET /livez", "\r\n", "PRI * HTTP/2.0"}) {
    EXPECT_THAT(HttpEndpoint::Respond(pages, head), StartsWith("HTTP/1.1 400 ")) << head;
  }
}

}  // namespace
}  // namespace kvorum
