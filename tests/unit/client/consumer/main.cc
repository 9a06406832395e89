#include <cstdio>
#include <memory>

#include "client/controller_client.h"
#include "client/metadata_cache.h"
#include "client/metadata_watcher.h"

int main() {
  const auto endpoints = kvorum::client::ParseEndpoints("localhost:7400");
  kvorum::client::ControllerClient client(std::make_shared<kvorum::client::Endpoints>(*endpoints));
  const auto answer = client.ListTopics({}, {std::chrono::milliseconds(1), ""});
  std::puts(answer.ok() ? "answered" : "compiled, linked and run");
  return 0;
}
