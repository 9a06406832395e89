#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "client/cli/cli.h"
#include "client/retry.h"
#include "kvorum/v1/cluster.grpc.pb.h"

namespace kvorum::client::cli {
namespace {

using Stub = v1::ClusterService::Stub;

// A controller that was asked who it is.
struct Member {
  std::string endpoint;
  v1::DescribeNodeResponse state;

  int32_t node_id() const { return state.self().node_id(); }
};

template <typename Request, typename Response>
Result<Response> Ask(const CommandContext& context, const std::string& endpoint,
                     grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                     const Request& request) {
  CallPlan plan;
  plan.kind = CallKind::kIdempotent;
  plan.deadline = std::chrono::system_clock::now() + context.timeout;
  plan.pinned_endpoint = endpoint;
  Response response;
  const Result<std::string> answered =
      RunCall(*context.endpoints, plan,
              [&](const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext& call) {
                Stub stub(channel);
                return (stub.*method)(&call, request, &response);
              });
  if (!answered.ok()) {
    CallError error = answered.error();
    error.message = fmt::format("{}: {}", endpoint, error.message);
    return error;
  }
  return response;
}

// Refusals of this command; the server's own come with a reason of theirs.
CallError Refuse(std::string message) {
  return LocalError(grpc::StatusCode::FAILED_PRECONDITION, std::move(message));
}

Result<std::vector<Member>> FindMembers(const CommandContext& context) {
  std::vector<Member> members;
  for (const std::string& endpoint : context.endpoints->configured()) {
    auto state = Ask(context, endpoint, &Stub::DescribeNode, v1::DescribeNodeRequest());
    if (!state.ok()) {
      CallError error = state.error();
      error.message += "; all controllers of the new cluster must run: nothing was changed";
      return error;
    }
    members.push_back({endpoint, *std::move(state)});
  }
  std::map<int32_t, std::string> endpoints;
  for (const Member& member : members) {
    const auto [other, is_new] = endpoints.emplace(member.node_id(), member.endpoint);
    if (!is_new) {
      return Refuse(fmt::format(
          "{} and {} both say that they are node {}: give each controller a --node-id of its own, "
          "and name each once",
          other->second, member.endpoint, member.node_id()));
    }
  }
  return members;
}

std::string RandomClusterId() {
  std::random_device entropy;
  return fmt::format("kvorum-{:08x}{:08x}", entropy(), entropy());
}

// What every member is to be sent.
v1::InitializeRequest NewCluster(const std::vector<Member>& members,
                                 const std::string& cluster_id) {
  v1::InitializeRequest request;
  request.set_cluster_id(cluster_id.empty() ? RandomClusterId() : cluster_id);
  for (const Member& member : members) {
    *request.add_voters() = member.state.self();
  }
  std::sort(request.mutable_voters()->begin(), request.mutable_voters()->end(),
            [](const auto& a, const auto& b) { return a.node_id() < b.node_id(); });
  return request;
}

const v1::ClusterVoter* FindVoter(const v1::DescribeNodeResponse& cluster, int32_t node_id) {
  for (const v1::ClusterVoter& voter : cluster.initial_voters()) {
    if (voter.node_id() == node_id) {
      return &voter;
    }
  }
  return nullptr;
}

// An empty controller beside others that are initialized: it was meant to be, or it must not be.
std::optional<CallError> CheckBelongs(const Member& member, const Member& initialized) {
  const v1::ClusterVoter* const known = FindVoter(initialized.state, member.node_id());
  if (known == nullptr) {
    return Refuse(fmt::format(
        "cluster {} is initialized already, and node {} ({}) is not one of its initial voters. To "
        "add it, format it for this cluster (`kvorumd format --cluster-id {} --generation {:016x} "
        "--no-initial-voters …`), start it and run `kvorumctl quorum add-voter`",
        initialized.state.cluster_id(), member.node_id(), member.endpoint,
        initialized.state.cluster_id(), initialized.state.generation()));
  }
  if (known->directory_id() != member.state.self().directory_id()) {
    return Refuse(fmt::format(
        "cluster {} knows node {} by directory {}, but {} has an empty disk, directory {}: what it "
        "had promised is forgotten, and it may not come back under the same name. Mount its old "
        "disk again; if that is lost, remove the old voter and add this one as a new one "
        "(`kvorumctl "
        "quorum remove-voter`, then `add-voter`)",
        initialized.state.cluster_id(), member.node_id(), known->directory_id(), member.endpoint,
        member.state.self().directory_id()));
  }
  return std::nullopt;
}

// The members that are initialized must be one cluster; who is not must be meant to be one of it.
Result<v1::InitializeRequest> ResumeCluster(const std::vector<Member>& members,
                                            const Member& initialized,
                                            const std::string& cluster_id) {
  const v1::DescribeNodeResponse& cluster = initialized.state;
  if (!cluster_id.empty() && cluster_id != cluster.cluster_id()) {
    return Refuse(fmt::format("{} belongs to cluster {}, not to {}: nothing was changed",
                              initialized.endpoint, cluster.cluster_id(), cluster_id));
  }
  bool is_complete = true;
  for (const Member& member : members) {
    if (!member.state.initialized()) {
      is_complete = false;
      if (std::optional<CallError> error = CheckBelongs(member, initialized)) {
        return *std::move(error);
      }
    } else if (member.state.generation() != cluster.generation() ||
               member.state.cluster_id() != cluster.cluster_id()) {
      return Refuse(
          fmt::format("{} belongs to generation {:016x} of cluster {}, {} to generation {:016x} of "
                      "{}: they are "
                      "two clusters. Name the controllers of one",
                      initialized.endpoint, cluster.generation(), cluster.cluster_id(),
                      member.endpoint, member.state.generation(), member.state.cluster_id()));
    }
  }
  if (is_complete) {
    return Refuse(fmt::format(
        "cluster {} is initialized already, on all of these controllers: there is nothing to do. "
        "`kvorumctl status` shows how it is",
        cluster.cluster_id()));
  }
  v1::InitializeRequest request;
  request.set_cluster_id(cluster.cluster_id());
  *request.mutable_voters() = cluster.initial_voters();
  return request;
}

Result<v1::InitializeRequest> Plan(const std::vector<Member>& members,
                                   const std::string& cluster_id) {
  const auto initialized = std::find_if(members.begin(), members.end(), [](const Member& member) {
    return member.state.initialized();
  });
  return initialized == members.end() ? NewCluster(members, cluster_id)
                                      : ResumeCluster(members, *initialized, cluster_id);
}

ExitCode Init(const CommandContext& context, const std::string& cluster_id) {
  const Result<std::vector<Member>> members = FindMembers(context);
  if (!members.ok()) {
    return context.Fail(members.error());
  }
  const Result<v1::InitializeRequest> request = Plan(*members, cluster_id);
  if (!request.ok()) {
    return context.Fail(request.error());
  }
  v1::InitializeResponse accepted;
  for (const Member& member : *members) {
    if (member.state.initialized()) {
      continue;
    }
    const auto answer = Ask(context, member.endpoint, &Stub::Initialize, *request);
    if (!answer.ok()) {
      CallError error = answer.error();
      error.message += ". Run the same command again: it goes on where it stopped";
      return context.Fail(error);
    }
    accepted = *answer;
  }
  // A linearizable read is answered as soon as somebody leads.
  const auto leads = context.client->ListBrokers({});
  if (!leads.ok()) {
    return context.Fail(leads.error());
  }
  if (context.json()) {
    return context.PrintJson(accepted);
  }
  context.out << fmt::format("cluster {} has {} voters; node {} leads\n", accepted.cluster_id(),
                             request->voters_size(), leads->header().leader_id());
  return ExitCode::kOk;
}

ExitCode Describe(const CommandContext& context) {
  Table table({"CONTROLLER", ">NODE", "STATE", "CLUSTER", "DIRECTORY", "FOR-CONTROLLERS"});
  ExitCode exit_code = ExitCode::kOk;
  for (const std::string& endpoint : context.endpoints->configured()) {
    const auto state = Ask(context, endpoint, &Stub::DescribeNode, v1::DescribeNodeRequest());
    if (!state.ok()) {
      exit_code = context.Fail(state.error());
      continue;
    }
    if (context.json()) {
      context.out << ToJson(*state, /*on_one_line=*/true);
      continue;
    }
    const v1::ClusterVoter& self = state->self();
    table.Add({endpoint, fmt::format("{}", self.node_id()),
               state->initialized() ? "initialized" : "uninitialized",
               state->initialized() ? state->cluster_id() : "-", self.directory_id(),
               fmt::format("{}:{}", self.controller_endpoint().host(),
                           self.controller_endpoint().port())});
  }
  if (!context.json()) {
    table.Print(context.out);
  }
  return exit_code;
}

}  // namespace

void AddClusterCommands(CLI::App& app, CommandContext& context) {
  CLI::App* cluster = app.add_subcommand("cluster", "The birth of a cluster");
  cluster->require_subcommand(1);
  CLI::App* init = cluster->add_subcommand(
      "init", "Make one cluster of the controllers of --endpoints, which run on empty directories");
  const auto cluster_id = std::make_shared<std::string>();
  init->add_option("--cluster-id", *cluster_id, "Its name: [A-Za-z0-9_-]{1,64}; absent: drawn");
  init->callback([&context, cluster_id] {
    context.action = [&context, cluster_id] { return Init(context, *cluster_id); };
  });
  CLI::App* describe =
      cluster->add_subcommand("describe", "Who each controller of --endpoints says it is");
  describe->callback([&context] { context.action = [&context] { return Describe(context); }; });
}

}  // namespace kvorum::client::cli
