#pragma once

#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>

namespace kvorum::rpc {

// gRPC's settings, in one place, each with its reason in the .cc.

// A batch is at most 4 MiB; a request somewhat above must reach our own checks, whose message says
// more than gRPC's.
inline constexpr int kMaxClientMessageBytes = (4 << 20) + (256 << 10);
inline constexpr int kMaxPeerMessageBytes = 16 << 20;
inline constexpr int kMaxMetadataBytes = 8192;
inline constexpr int kMaxConcurrentStreams = 1024;  // per connection

void ApplyClientListenerOptions(grpc::ServerBuilder& builder);
void ApplyControllerListenerOptions(grpc::ServerBuilder& builder);

// For the channel to another controller.
grpc::ChannelArguments PeerChannelArguments();

}  // namespace kvorum::rpc
