#include "server/rpc/peer_target.h"

#include <fmt/format.h>

namespace kvorum::rpc {

std::string PeerTarget(const raft::PeerAddress& address) {
  return address.host.find(':') == std::string::npos
             ? fmt::format("dns:///{}:{}", address.host, address.port)
             : fmt::format("ipv6:[{}]:{}", address.host, address.port);
}

}  // namespace kvorum::rpc
