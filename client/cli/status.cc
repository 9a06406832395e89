#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/cli.h"

namespace kvorum::client::cli {
namespace {

// A node that hangs must not hide the others.
constexpr std::chrono::milliseconds kNodeTimeout{2000};

// One controller's own word, or why it gave none.
struct NodeReport {
  std::string endpoint;
  std::optional<v1::DescribeQuorumResponse> answer;
  std::string problem;
};

struct ClusterReport {
  std::vector<NodeReport> nodes;
  const v1::DescribeQuorumResponse* leader = nullptr;  // the active controller's answer
  int reachable = 0;
  std::string health;
};

NodeReport AskNode(const CommandContext& context, const std::string& endpoint) {
  NodeReport report;
  report.endpoint = endpoint;
  const Result<v1::DescribeQuorumResponse> answer =
      context.client->DescribeQuorum({}, {std::min(context.timeout, kNodeTimeout), endpoint});
  if (answer.ok()) {
    report.answer = *answer;
  } else {
    report.problem = ToText(answer.error());
  }
  return report;
}

// Asks the endpoints given, then the voters that those name and that were not among them.
std::vector<NodeReport> AskNodes(const CommandContext& context) {
  std::vector<NodeReport> reports;
  std::set<int32_t> answered;
  std::map<int32_t, std::string> named;
  const auto ask = [&](const std::string& endpoint) {
    NodeReport report = AskNode(context, endpoint);
    if (report.answer.has_value()) {
      if (!answered.insert(report.answer->header().node_id()).second) {
        return;  // the same node under another name
      }
      for (const v1::ReplicaStatus& voter : report.answer->voters()) {
        if (!voter.client_endpoint().empty()) {
          named[voter.node_id()] = voter.client_endpoint();
        }
      }
    }
    reports.push_back(std::move(report));
  };
  for (const std::string& endpoint : context.endpoints->configured()) {
    ask(endpoint);
  }
  for (const auto& [node_id, endpoint] : std::map<int32_t, std::string>(named)) {
    const bool asked = std::any_of(reports.begin(), reports.end(), [&](const NodeReport& report) {
      return report.endpoint == endpoint;
    });
    if (!asked && !answered.contains(node_id)) {
      ask(endpoint);
    }
  }
  return reports;
}

ClusterReport Examine(const CommandContext& context) {
  ClusterReport report;
  report.nodes = AskNodes(context);
  for (const NodeReport& node : report.nodes) {
    if (!node.answer.has_value()) {
      continue;
    }
    ++report.reachable;
    const bool newer = report.leader == nullptr || node.answer->header().leader_epoch() >
                                                       report.leader->header().leader_epoch();
    if (node.answer->active_controller() && newer) {
      report.leader = &*node.answer;
    }
  }
  if (report.leader == nullptr) {
    report.health = report.reachable == 0 ? "unreachable" : "unhealthy";
  } else if (report.reachable < report.leader->voters_size() ||
             report.reachable < static_cast<int>(report.nodes.size())) {
    report.health = "degraded";
  } else {
    report.health = "healthy";
  }
  return report;
}

void PrintTable(const CommandContext& context, const ClusterReport& report) {
  Table table({"NODE", "ENDPOINT", "ROLE", ">EPOCH", ">LEADER", ">HIGH-WATERMARK", ">APPLIED",
               ">LOG-END", "PROBLEM"});
  for (const NodeReport& node : report.nodes) {
    if (!node.answer.has_value()) {
      table.Add({"-", node.endpoint, "unreachable", "-", "-", "-", "-", "-", node.problem});
      continue;
    }
    const v1::DescribeQuorumResponse& answer = *node.answer;
    table.Add(
        {fmt::format("{}{}", answer.header().node_id(), answer.active_controller() ? "*" : ""),
         node.endpoint, answer.role(), CountText(answer.header().leader_epoch()),
         CountText(answer.header().leader_id()), CountText(answer.high_watermark()),
         CountText(answer.header().applied().offset()), CountText(answer.log_end_offset()), "-"});
  }
  if (report.leader != nullptr) {
    context.out << fmt::format(
        "cluster {} is {}; node {} leads in epoch {}\n", report.leader->header().cluster_id(),
        report.health, report.leader->header().node_id(), report.leader->header().leader_epoch());
  } else {
    context.out << fmt::format("cluster is {}: no active controller among {} answering nodes\n",
                               report.health, report.reachable);
  }
  table.Print(context.out);
}

void PrintReportJson(const CommandContext& context, const ClusterReport& report) {
  std::string nodes;
  for (const NodeReport& node : report.nodes) {
    nodes += fmt::format(
        "{}\n  {{\"endpoint\": {}, \"reachable\": {}, \"problem\": {}, \"quorum\": {}}}",
        nodes.empty() ? "" : ",", JsonString(node.endpoint), node.answer.has_value(),
        JsonString(node.problem),
        node.answer.has_value() ? ToJson(*node.answer, /*on_one_line=*/true) : "null");
  }
  context.out << fmt::format(
      "{{\"health\": {}, \"leader_id\": {}, \"nodes\": [{}\n]}}\n", JsonString(report.health),
      report.leader == nullptr ? -1 : report.leader->header().node_id(), nodes);
}

ExitCode Status(const CommandContext& context) {
  const ClusterReport report = Examine(context);
  if (context.json()) {
    PrintReportJson(context, report);
  } else {
    PrintTable(context, report);
  }
  if (report.leader != nullptr) {
    return ExitCode::kOk;
  }
  return report.reachable == 0 ? ExitCode::kUnavailable : ExitCode::kUnhealthy;
}

}  // namespace

void AddStatusCommand(CLI::App& app, CommandContext& context) {
  CLI::App* status = app.add_subcommand(
      "status", "Ask every controller for itself; 0 when one of them is active, 7 when none is");
  status->callback([&context] { context.action = [&context] { return Status(context); }; });
}

}  // namespace kvorum::client::cli
