#pragma once

#include <google/protobuf/struct.pb.h>

#include <cstdint>
#include <optional>
#include <string>

#include "tests/integration/test_util.h"

namespace kvorum::testing {

// A document of JSON; absent: it is none.
std::optional<google::protobuf::Struct> ParseJson(const std::string& text);

// A demo_broker process that tells what it knows in a file. Owned by a test; one thread.
class DemoBrokerProcess {
 public:
  // Heartbeats every 100 ms.
  DemoBrokerProcess(const Cluster& cluster, int32_t id, std::string rack = "");

  int32_t id() const { return id_; }
  void Start();
  void Kill();  // SIGKILL
  int Stop();   // SIGTERM; the exit code

  // The state file's last contents.
  std::optional<google::protobuf::Struct> State() const;
  double Number(const std::string& key) const;     // -1: none
  std::string Text(const std::string& key) const;  // empty: none
  bool Flag(const std::string& key) const;

  bool AwaitUnfenced() const;
  bool AwaitOffset(int64_t offset) const;
  std::string ReadLog() const;

 private:
  const int32_t id_;
  const std::string rack_;
  const std::string endpoints_;
  const std::string directory_;
  Process process_;
};

}  // namespace kvorum::testing
