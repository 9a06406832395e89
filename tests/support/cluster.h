#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/controller_client.h"
#include "tests/support/process.h"

namespace kvorum::testing {

struct ClusterOptions {
  int controllers = 3;
  std::string cluster_id = "test";
  std::vector<std::string> run_flags;  // for every controller, for example --log-level=debug
  bool is_formatted = true;  // false: started on empty directories, for `kvorumctl cluster init`
  // One per controller, on a disk of the test's choice; empty: in the cluster's own directory.
  std::vector<std::string> data_dirs;
};

// Real kvorumd processes on loopback, in a temporary directory; node ids are indexes from one. One
// thread.
class Cluster {
 public:
  explicit Cluster(ClusterOptions options = {});

  int size() const { return static_cast<int>(nodes_.size()); }
  void StartAll();
  void Start(int index);
  // A further controller, formatted to join the quorum of `generation`: its index.
  int AddJoiner(uint64_t generation);
  // A stream-only observer on an empty directory: its index.
  int AddObserver();
  // The disk of a controller that is down is replaced: it is formatted to join.
  void ReplaceDisk(int index, uint64_t generation);
  // The controller listens elsewhere for the others from its next start on, and says so.
  void MoveControllerListener(int index);
  void Kill(int index);  // SIGKILL, and waits until it is gone
  // SIGTERM, and waits: the exit code.
  int Stop(int index);
  Process& process(int index) { return nodes_[static_cast<size_t>(index)].process; }

  // host:port of a client listener.
  std::string endpoint(int index) const;
  std::string controller_endpoint(int index) const;
  std::string http_endpoint(int index) const;
  std::string data_dir(int index) const;
  // All client listeners, comma separated.
  std::string endpoints() const;
  const std::string& path() const { return directory_.path(); }
  std::string ReadLog(int index) const;

  // A client of the whole cluster, and one answer of one node.
  std::unique_ptr<client::ControllerClient> MakeClient(
      std::chrono::milliseconds timeout = std::chrono::seconds(10)) const;
  std::optional<v1::DescribeQuorumResponse> Describe(int index) const;
  // Index of the active controller, awaited; -1 if there is none in time.
  int WaitForLeader(std::chrono::milliseconds timeout = std::chrono::seconds(30)) const;

  static std::string BinaryPath(const std::string& name);

 private:
  struct ControllerNode {
    Process process;
    int client_port = 0;
    int controller_port = 0;
    int http_port = 0;
    bool is_joiner = false;
    bool is_observer = false;
    bool has_moved = false;
  };

  int AddNode();
  void FormatJoiner(int index, uint64_t generation);

  ClusterOptions options_;
  TemporaryDirectory directory_;
  std::vector<ControllerNode> nodes_;
};

}  // namespace kvorum::testing
