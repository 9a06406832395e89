#include <fmt/core.h>

#include <algorithm>
#include <string>

#include "client/cli/cli.h"

namespace kvorum::client::cli {

Result<v1::DescribeQuorumResponse> DescribeLeader(const CommandContext& context) {
  Result<v1::DescribeQuorumResponse> answer = context.client->DescribeQuorum({});
  if (!answer.ok() || answer->header().leader_id() == answer->header().node_id()) {
    return answer;
  }
  for (const v1::ReplicaStatus& voter : answer->voters()) {
    if (voter.node_id() == answer->header().leader_id() && !voter.client_endpoint().empty()) {
      Result<v1::DescribeQuorumResponse> from_leader =
          context.client->DescribeQuorum({}, {std::nullopt, voter.client_endpoint()});
      return from_leader.ok() ? from_leader : answer;
    }
  }
  return answer;
}

namespace {

std::string ControllerEndpoint(const v1::ReplicaStatus& replica) {
  return replica.has_controller_endpoint()
             ? fmt::format("{}:{}", replica.controller_endpoint().host(),
                           replica.controller_endpoint().port())
             : "-";
}

void AddReplica(Table& table, const v1::DescribeQuorumResponse& answer,
                const v1::ReplicaStatus& replica, const std::string& kind) {
  const bool leads = replica.node_id() == answer.header().leader_id();
  const int64_t lag =
      replica.log_end_offset() < 0
          ? -1
          : std::max<int64_t>(0, answer.log_end_offset() - replica.log_end_offset());
  table.Add({fmt::format("{}{}", replica.node_id(), leads ? "*" : ""), leads ? "leader" : kind,
             CountText(replica.log_end_offset()), CountText(lag),
             AgeText(replica.last_fetch_age_ms()), AgeText(replica.last_caught_up_age_ms()),
             ControllerEndpoint(replica),
             replica.client_endpoint().empty() ? "-" : replica.client_endpoint(),
             replica.directory_id().empty() ? "-" : replica.directory_id()});
}

// "1, 2, 4".
template <typename Voters>
std::string IdsText(const Voters& voters) {
  std::string text;
  for (const auto& voter : voters) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", voter.node_id());
  }
  return text.empty() ? "-" : text;
}

// The set that counts, and the committed one where that is another.
std::string VotersText(const v1::DescribeQuorumResponse& answer) {
  std::string text = IdsText(answer.voters());
  if (answer.voter_change_pending()) {
    text += fmt::format(" (from {}, not committed; committed: {})",
                        CountText(answer.voters_offset()), IdsText(answer.committed_voters()));
  }
  return text + fmt::format("; {} may be lost", answer.fault_tolerance());
}

ExitCode Describe(const CommandContext& context) {
  const Result<v1::DescribeQuorumResponse> answer = DescribeLeader(context);
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  const v1::ResponseHeader& header = answer->header();
  context.out << fmt::format("cluster id      {}\n", header.cluster_id())
              << fmt::format("generation      {:016x}\n", header.committed().generation())
              << fmt::format("answered by     node {} ({}{})\n", header.node_id(), answer->role(),
                             answer->active_controller() ? ", active controller" : "")
              << fmt::format("leader          {} in epoch {}\n", CountText(header.leader_id()),
                             header.leader_epoch())
              << fmt::format("voters          {}\n", VotersText(*answer))
              << fmt::format("high watermark  {}\n", CountText(answer->high_watermark()))
              << fmt::format("log             {} to {}\n", answer->log_start_offset(),
                             answer->log_end_offset())
              << fmt::format("applied         {}, state hash {}\n\n", header.applied().offset(),
                             answer->state_hash());
  Table table({"NODE", "ROLE", ">LOG-END", ">LAG", ">LAST-FETCH", ">CAUGHT-UP", "CONTROLLER",
               "CLIENT", "DIRECTORY"});
  for (const v1::ReplicaStatus& voter : answer->voters()) {
    AddReplica(table, *answer, voter, "voter");
  }
  for (const v1::ReplicaStatus& observer : answer->observers()) {
    AddReplica(table, *answer, observer, "observer");
  }
  table.Print(context.out);
  return ExitCode::kOk;
}

}  // namespace

void AddQuorumCommands(CLI::App& app, CommandContext& context) {
  CLI::App* quorum = app.add_subcommand("quorum", "The controllers");
  quorum->require_subcommand(1);
  CLI::App* describe =
      quorum->add_subcommand("describe", "Leader, epoch, high watermark and each replica's lag");
  describe->callback([&context] { context.action = [&context] { return Describe(context); }; });
  AddQuorumChangeCommands(*quorum, context);
}

}  // namespace kvorum::client::cli
