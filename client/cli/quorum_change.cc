#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>

#include "client/cli/cli.h"

namespace kvorum::client::cli {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Between two looks at a node that catches up, or at a change that is under way.
constexpr milliseconds kLook{250};

struct ChangeArgs {
  int32_t node_id = -1;
  std::string directory_id;
  std::string endpoint;
  bool dry_run = false;
  bool yes = false;
};

// What an answer must be waited for, asking again: nothing was done.
bool IsWorthWaiting(const CallError& error) {
  return error.reason == v1::VOTER_NOT_CAUGHT_UP || error.reason == v1::VOTER_CHANGE_PENDING ||
         error.reason == v1::NOT_CONTROLLER || error.reason == v1::LEADER_NOT_AVAILABLE;
}

std::string LeaderEndpoint(const v1::DescribeQuorumResponse& quorum) {
  for (const v1::ReplicaStatus& voter : quorum.voters()) {
    if (voter.node_id() == quorum.header().leader_id()) {
      return voter.client_endpoint();
    }
  }
  return "";
}

// The replica of that node in `replicas`, of several disks of it the one heard last; nullptr: none.
template <typename Replicas>
const v1::ReplicaStatus* FindReplica(const Replicas& replicas, const ChangeArgs& args) {
  const v1::ReplicaStatus* found = nullptr;
  for (const v1::ReplicaStatus& replica : replicas) {
    const bool is_wanted =
        replica.node_id() == args.node_id &&
        (args.directory_id.empty() || replica.directory_id() == args.directory_id);
    // A disk that was replaced is remembered for a while.
    const bool is_newer = found == nullptr || found->last_fetch_age_ms() < 0 ||
                          (replica.last_fetch_age_ms() >= 0 &&
                           replica.last_fetch_age_ms() < found->last_fetch_age_ms());
    found = is_wanted && is_newer ? &replica : found;
  }
  return found;
}

void PrintQuorum(const CommandContext& context, const std::string& what,
                 const v1::QuorumView& quorum) {
  context.out << fmt::format("{}: {} voters, {} needed, {} may be lost\n", what,
                             quorum.voters_size(), quorum.majority(), quorum.fault_tolerance());
  Table table({"NODE", "CONTROLLER", "DIRECTORY"});
  for (const v1::QuorumVoter& voter : quorum.voters()) {
    table.Add({fmt::format("{}", voter.node_id()),
               fmt::format("{}:{}", voter.controller_endpoint().host(),
                           voter.controller_endpoint().port()),
               voter.directory_id()});
  }
  table.Print(context.out);
}

template <typename Response>
ExitCode Report(const CommandContext& context, const ChangeArgs& args, const std::string& done,
                const Response& response) {
  if (context.json()) {
    return context.PrintJson(response);
  }
  PrintQuorum(context, args.dry_run ? "nothing was changed; this would be the quorum" : done,
              response.quorum());
  return ExitCode::kOk;
}

ExitCode UsageFailure(const CommandContext& context, const std::string& message) {
  context.err << "error: " << message << "\n";
  return ExitCode::kUsage;
}

// Asks the leader for the change, again and again while it is only a matter of time.
// `call(endpoint, timeout)` asks once; `progress` says how far it is.
template <typename Response, typename Call, typename Progress>
Result<Response> AskUntilDone(const CommandContext& context, const Call& call,
                              const Progress& progress) {
  const Clock::time_point deadline = Clock::now() + context.timeout;
  std::string shown;
  while (true) {
    const Result<v1::DescribeQuorumResponse> quorum = DescribeLeader(context);
    if (!quorum.ok()) {
      return quorum.error();
    }
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    Result<Response> answer =
        call(*quorum, CallOptions{std::max(left, milliseconds(1)), LeaderEndpoint(*quorum)});
    if (answer.ok() || !IsWorthWaiting(answer.error()) || Clock::now() + kLook >= deadline) {
      return answer;
    }
    if (const std::string text = progress(*quorum, answer.error()); text != shown) {
      context.err << text << "\n";
      shown = text;
    }
    context.endpoints->Pause(std::chrono::system_clock::now() + kLook);
  }
}

std::string WaitingText(const v1::DescribeQuorumResponse&, const CallError& error) {
  return "waiting: " + ToText(error);
}

std::string CatchUpText(const ChangeArgs& args, const v1::DescribeQuorumResponse& quorum,
                        const CallError& error) {
  const v1::ReplicaStatus* replica = FindReplica(quorum.observers(), args);
  if (error.reason != v1::VOTER_NOT_CAUGHT_UP || replica == nullptr) {
    return WaitingText(quorum, error);
  }
  return fmt::format("waiting: node {} holds {} of {}", args.node_id,
                     CountText(std::max<int64_t>(0, replica->log_end_offset())),
                     quorum.log_end_offset());
}

std::optional<v1::Endpoint> ParseEndpoint(const std::string& text) {
  const size_t colon = text.rfind(':');
  v1::Endpoint endpoint;
  uint32_t port = 0;
  if (colon == std::string::npos || colon == 0) {
    return std::nullopt;
  }
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data() + colon + 1, last, port);
  if (error != std::errc() || end != last) {
    return std::nullopt;
  }
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  endpoint.set_host(host);
  endpoint.set_port(port);
  return endpoint;
}

ExitCode BadEndpoint(const CommandContext& context, const ChangeArgs& args) {
  return UsageFailure(context, fmt::format("--controller-endpoint {}: say host:port of the node's "
                                           "controller-listener",
                                           args.endpoint));
}

CallError NoVoter(const ChangeArgs& args) {
  CallError error =
      LocalError(grpc::StatusCode::NOT_FOUND, fmt::format("node {} is no voter", args.node_id));
  error.reason = v1::VOTER_NOT_FOUND;
  return error;
}

ExitCode AddVoter(const CommandContext& context, const ChangeArgs& args) {
  const std::optional<v1::Endpoint> endpoint = ParseEndpoint(args.endpoint);
  if (!endpoint.has_value()) {
    return BadEndpoint(context, args);
  }
  v1::AddVoterRequest request;
  request.mutable_voter()->set_node_id(args.node_id);
  request.mutable_voter()->set_directory_id(args.directory_id);
  *request.mutable_voter()->mutable_controller_endpoint() = *endpoint;
  request.set_validate_only(args.dry_run);
  const auto call = [&](const v1::DescribeQuorumResponse& quorum,
                        const CallOptions& options) -> Result<v1::AddVoterResponse> {
    if (args.directory_id.empty()) {
      const v1::ReplicaStatus* replica = FindReplica(quorum.observers(), args);
      if (replica == nullptr) {
        CallError error = LocalError(
            grpc::StatusCode::FAILED_PRECONDITION,
            fmt::format("the leader hears no observer of node {}; is it running, with this "
                        "quorum's controllers in quorum-bootstrap-servers? Or name its disk with "
                        "--directory-id",
                        args.node_id));
        error.reason = v1::VOTER_NOT_CAUGHT_UP;
        return error;
      }
      request.mutable_voter()->set_directory_id(replica->directory_id());
    }
    return context.client->AddVoter(request, options);
  };
  const Result<v1::AddVoterResponse> answer = AskUntilDone<v1::AddVoterResponse>(
      context, call, [&](const v1::DescribeQuorumResponse& quorum, const CallError& error) {
        return CatchUpText(args, quorum, error);
      });
  return answer.ok()
             ? Report(context, args, fmt::format("node {} is a voter", args.node_id), *answer)
             : context.Fail(answer.error());
}

ExitCode RemoveVoter(const CommandContext& context, ChangeArgs args) {
  const bool is_asking = !args.dry_run && !args.yes;
  args.dry_run = args.dry_run || is_asking;
  v1::RemoveVoterRequest request;
  request.set_node_id(args.node_id);
  request.set_directory_id(args.directory_id);
  request.set_validate_only(args.dry_run);
  const auto call = [&](const v1::DescribeQuorumResponse& quorum,
                        const CallOptions& options) -> Result<v1::RemoveVoterResponse> {
    if (args.directory_id.empty()) {
      const v1::ReplicaStatus* replica = FindReplica(quorum.voters(), args);
      if (replica == nullptr) {
        return NoVoter(args);
      }
      request.set_directory_id(replica->directory_id());
    }
    return context.client->RemoveVoter(request, options);
  };
  const Result<v1::RemoveVoterResponse> answer =
      AskUntilDone<v1::RemoveVoterResponse>(context, call, WaitingText);
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  const ExitCode code =
      Report(context, args, fmt::format("node {} is no voter any more", args.node_id), *answer);
  return is_asking ? UsageFailure(context, "a voter is removed with --yes only") : code;
}

ExitCode UpdateVoter(const CommandContext& context, const ChangeArgs& args) {
  const std::optional<v1::Endpoint> endpoint = ParseEndpoint(args.endpoint);
  if (!endpoint.has_value()) {
    return BadEndpoint(context, args);
  }
  v1::UpdateVoterRequest request;
  request.mutable_voter()->set_node_id(args.node_id);
  request.mutable_voter()->set_directory_id(args.directory_id);
  *request.mutable_voter()->mutable_controller_endpoint() = *endpoint;
  request.set_validate_only(args.dry_run);
  const auto call = [&](const v1::DescribeQuorumResponse& quorum,
                        const CallOptions& options) -> Result<v1::UpdateVoterResponse> {
    if (args.directory_id.empty()) {
      const v1::ReplicaStatus* replica = FindReplica(quorum.voters(), args);
      if (replica == nullptr) {
        return NoVoter(args);
      }
      request.mutable_voter()->set_directory_id(replica->directory_id());
    }
    return context.client->UpdateVoter(request, options);
  };
  const Result<v1::UpdateVoterResponse> answer =
      AskUntilDone<v1::UpdateVoterResponse>(context, call, WaitingText);
  return answer.ok()
             ? Report(context, args,
                      fmt::format("node {} is reached at {}", args.node_id, args.endpoint), *answer)
             : context.Fail(answer.error());
}

ExitCode TransferLeadership(const CommandContext& context, const ChangeArgs& args) {
  v1::TransferLeadershipRequest request;
  request.set_node_id(args.node_id);
  request.set_validate_only(args.dry_run);
  const auto call = [&](const v1::DescribeQuorumResponse&, const CallOptions& options) {
    return context.client->TransferLeadership(request, options);
  };
  const Result<v1::TransferLeadershipResponse> answer =
      AskUntilDone<v1::TransferLeadershipResponse>(context, call, WaitingText);
  return answer.ok() ? Report(context, args, fmt::format("node {} leads", args.node_id), *answer)
                     : context.Fail(answer.error());
}

CLI::App* AddVerb(CLI::App& quorum, const std::string& name, const std::string& help,
                  const std::shared_ptr<ChangeArgs>& args) {
  CLI::App* verb = quorum.add_subcommand(name, help);
  verb->add_option("--node-id", args->node_id, "Of the controller")->required();
  verb->add_flag("--dry-run", args->dry_run,
                 "Make every check, show the quorum that would be, change nothing");
  return verb;
}

}  // namespace

void AddQuorumChangeCommands(CLI::App& quorum, CommandContext& context) {
  const auto args = std::make_shared<ChangeArgs>();
  CLI::App* add =
      AddVerb(quorum, "add-voter", "Make an observer a voter; waits until it has caught up", args);
  add->add_option("--controller-endpoint", args->endpoint,
                  "host:port where the other controllers reach it")
      ->required();
  add->add_option("--directory-id", args->directory_id,
                  "Of its disk; else that of the observer with this node id");
  add->callback(
      [&context, args] { context.action = [&context, args] { return AddVoter(context, *args); }; });
  CLI::App* remove =
      AddVerb(quorum, "remove-voter", "Take a voter out of the quorum, also the leader", args);
  remove->add_option("--directory-id", args->directory_id, "Of its disk; else the voter's own");
  remove->add_flag("--yes", args->yes, "Without it, this is a dry run");
  remove->callback([&context, args] {
    context.action = [&context, args] { return RemoveVoter(context, *args); };
  });
  CLI::App* update = AddVerb(
      quorum, "update-voter",
      "Say where the other controllers reach a voter; voters with controller-advertised do so "
      "by themselves",
      args);
  update->add_option("--controller-endpoint", args->endpoint, "host:port, from now on")->required();
  update->add_option("--directory-id", args->directory_id, "Of its disk; else the voter's own");
  update->callback([&context, args] {
    context.action = [&context, args] { return UpdateVoter(context, *args); };
  });
  CLI::App* transfer =
      AddVerb(quorum, "transfer-leadership", "Make another voter the leader", args);
  transfer->callback([&context, args] {
    context.action = [&context, args] { return TransferLeadership(context, *args); };
  });
}

}  // namespace kvorum::client::cli
