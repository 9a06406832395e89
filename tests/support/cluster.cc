#include "tests/support/cluster.h"

#include <fmt/format.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "server/base/check.h"

namespace kvorum::testing {
namespace {

std::string Loopback(int port) { return fmt::format("127.0.0.1:{}", port); }

std::shared_ptr<client::Endpoints> MakeEndpoints(const std::string& text) {
  auto parsed = client::ParseEndpoints(text);
  KVORUM_CHECK(parsed.ok(), "endpoints {}", text);
  return std::make_shared<client::Endpoints>(*std::move(parsed));
}

}  // namespace

std::string Cluster::BinaryPath(const std::string& name) {
  return (std::filesystem::canonical("/proc/self/exe").parent_path() / name).string();
}

Cluster::Cluster(ClusterOptions options)
    : options_(std::move(options)),
      directory_("kvorum-cluster"),
      nodes_(static_cast<size_t>(options_.controllers)) {
  const std::vector<int> ports = FreePorts(3 * options_.controllers);
  std::string voters;
  for (int i = 0; i < options_.controllers; ++i) {
    ControllerNode& node = nodes_[static_cast<size_t>(i)];
    node.client_port = ports[static_cast<size_t>(3 * i)];
    node.controller_port = ports[static_cast<size_t>(3 * i + 1)];
    node.http_port = ports[static_cast<size_t>(3 * i + 2)];
    voters += fmt::format("{}{}@{}:00000000-0000-4000-8000-{:012d}", i == 0 ? "" : ",", i + 1,
                          controller_endpoint(i), i + 1);
  }
  for (int i = 0; i < options_.controllers && options_.is_formatted; ++i) {
    const CommandResult result = RunCommand(
        {BinaryPath("kvorumd"), "format", "--data-dir", data_dir(i), "--cluster-id",
         options_.cluster_id, "--node-id", std::to_string(i + 1), "--initial-voters", voters});
    KVORUM_CHECK(result.exit_code == 0, "format: {}", result.output);
  }
}

void Cluster::StartAll() {
  for (int i = 0; i < size(); ++i) {
    Start(i);
  }
}

void Cluster::Start(int index) {
  std::vector<std::string> argv = {BinaryPath("kvorumd"),
                                   "run",
                                   "--data-dir",
                                   data_dir(index),
                                   "--client-listener",
                                   endpoint(index),
                                   "--controller-listener",
                                   controller_endpoint(index),
                                   "--http-listener",
                                   http_endpoint(index)};
  const ControllerNode& node = nodes_[static_cast<size_t>(index)];
  if (!options_.is_formatted || node.is_observer) {
    argv.insert(argv.end(), {"--node-id", std::to_string(index + 1)});
  }
  if (node.is_observer) {
    argv.emplace_back("--observer");
  }
  if (node.is_joiner || node.is_observer) {
    std::string servers;
    for (int i = 0; i < size(); ++i) {
      servers += i == index ? "" : (servers.empty() ? "" : ",") + controller_endpoint(i);
    }
    argv.insert(argv.end(), {"--quorum-bootstrap-servers", servers});
  }
  if (node.has_moved) {
    argv.insert(argv.end(), {"--controller-advertised", controller_endpoint(index)});
  }
  argv.insert(argv.end(), options_.run_flags.begin(), options_.run_flags.end());
  process(index) = Process(argv, fmt::format("{}/controller-{}.log", path(), index + 1));
}

int Cluster::AddNode() {
  const std::vector<int> ports = FreePorts(3);
  ControllerNode& node = nodes_.emplace_back();
  node.client_port = ports[0];
  node.controller_port = ports[1];
  node.http_port = ports[2];
  return size() - 1;
}

int Cluster::AddJoiner(uint64_t generation) {
  const int index = AddNode();
  FormatJoiner(index, generation);
  return index;
}

int Cluster::AddObserver() {
  const int index = AddNode();
  nodes_[static_cast<size_t>(index)].is_observer = true;
  return index;
}

void Cluster::ReplaceDisk(int index, uint64_t generation) {
  std::filesystem::remove_all(data_dir(index));
  FormatJoiner(index, generation);
}

void Cluster::MoveControllerListener(int index) {
  ControllerNode& node = nodes_[static_cast<size_t>(index)];
  node.controller_port = FreePorts(1).front();
  node.has_moved = true;
}

void Cluster::FormatJoiner(int index, uint64_t generation) {
  nodes_[static_cast<size_t>(index)].is_joiner = true;
  const CommandResult result =
      RunCommand({BinaryPath("kvorumd"), "format", "--data-dir", data_dir(index), "--cluster-id",
                  options_.cluster_id, "--node-id", std::to_string(index + 1),
                  "--no-initial-voters", "--generation", fmt::format("{:016x}", generation)});
  KVORUM_CHECK(result.exit_code == 0, "format: {}", result.output);
}

void Cluster::Kill(int index) {
  process(index).Signal(SIGKILL);
  process(index).Wait();
}

int Cluster::Stop(int index) {
  process(index).Signal(SIGTERM);
  return process(index).Wait();
}

std::string Cluster::endpoint(int index) const {
  return Loopback(nodes_[static_cast<size_t>(index)].client_port);
}

std::string Cluster::controller_endpoint(int index) const {
  return Loopback(nodes_[static_cast<size_t>(index)].controller_port);
}

std::string Cluster::http_endpoint(int index) const {
  return Loopback(nodes_[static_cast<size_t>(index)].http_port);
}

std::string Cluster::data_dir(int index) const {
  if (!options_.data_dirs.empty()) {
    return options_.data_dirs[static_cast<size_t>(index)];
  }
  return fmt::format("{}/controller-{}", path(), index + 1);
}

std::string Cluster::endpoints() const {
  std::string all;
  for (int i = 0; i < size(); ++i) {
    all += (i == 0 ? "" : ",") + endpoint(i);
  }
  return all;
}

std::string Cluster::ReadLog(int index) const {
  std::ifstream in(fmt::format("{}/controller-{}.log", path(), index + 1));
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::unique_ptr<client::ControllerClient> Cluster::MakeClient(
    std::chrono::milliseconds timeout) const {
  client::ControllerClientOptions options;
  options.timeout = timeout;
  return std::make_unique<client::ControllerClient>(MakeEndpoints(endpoints()), options);
}

std::optional<v1::DescribeQuorumResponse> Cluster::Describe(int index) const {
  client::ControllerClient client(MakeEndpoints(endpoint(index)));
  client::CallOptions call;
  call.timeout = std::chrono::milliseconds(500);
  call.endpoint = endpoint(index);
  auto response = client.DescribeQuorum({}, call);
  if (!response.ok()) {
    return std::nullopt;
  }
  return *std::move(response);
}

int Cluster::WaitForLeader(std::chrono::milliseconds timeout) const {
  // A linearizable read is answered as soon as there is an active controller: the client waits for
  // it, so nothing here polls.
  const auto client = MakeClient(timeout);
  auto answer = client->ListBrokers({});
  return answer.ok() ? answer->header().leader_id() - 1 : -1;
}

}  // namespace kvorum::testing
