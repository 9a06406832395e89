#include "server/rpc/connect_probe.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>

namespace kvorum::rpc {
namespace {

// A TCP port of 127.0.0.1 that is bound, and listened on if asked for.
class Port {
 public:
  explicit Port(bool listening) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    number_ = ntohs(address.sin_port);
    if (listening) {
      EXPECT_EQ(::listen(fd_, 8), 0);
    }
  }
  ~Port() { ::close(fd_); }
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  uint16_t number() const { return number_; }

 private:
  const int fd_;
  uint16_t number_ = 0;
};

ProbeResult ProbeOnce(ConnectProbe& probe, const std::string& host, uint16_t port) {
  std::promise<ProbeResult> result;
  probe.Probe(host, port, [&](ProbeResult r) { result.set_value(r); });
  return result.get_future().get();
}

TEST(ConnectProbeTest, TellsWhetherSomebodyListens) {
  ConnectProbe probe;
  const Port listening(true);
  const Port bound(false);
  EXPECT_EQ(ProbeOnce(probe, "127.0.0.1", listening.number()), ProbeResult::kConnected);
  EXPECT_EQ(ProbeOnce(probe, "127.0.0.1", bound.number()), ProbeResult::kRefused);
}

TEST(ConnectProbeTest, NameThatDoesNotResolveSaysNothing) {
  ConnectProbe probe;
  EXPECT_EQ(ProbeOnce(probe, "name.invalid", 1), ProbeResult::kSilent);
}

TEST(ConnectProbeTest, StoppedProbeStillAnswers) {
  ConnectProbe probe;
  probe.Stop();
  const Port listening(true);
  EXPECT_EQ(ProbeOnce(probe, "127.0.0.1", listening.number()), ProbeResult::kSilent);
}

}  // namespace
}  // namespace kvorum::rpc
