#pragma once

namespace kvorum::rpc {

// Process-wide settings of gRPC, protobuf and Abseil. Once, at the start of main.
void SetUpLibraries();

}  // namespace kvorum::rpc
