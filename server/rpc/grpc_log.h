#pragma once

namespace kvorum::rpc {

// Sends what gRPC and protobuf have to say to our log instead of stderr, at most a few lines a
// second: much of it is provoked by what strangers send. Once, before any use of gRPC.
void InstallLibraryLogging();

}  // namespace kvorum::rpc
