#include "tests/scenario/scenario_env.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/base/check.h"

namespace kvorum::raft {
namespace {

int TakeInt(std::istringstream& args) {
  int value = 0;
  KVORUM_CHECK(static_cast<bool>(args >> value), "a number is missing in '{}'", args.str());
  return value;
}

std::string OffsetText(const std::optional<Offset>& offset) {
  return offset.has_value() ? fmt::format("{}", *offset) : "?";
}

}  // namespace

std::string ScenarioEnv::Run(const std::string& line) {
  out_.str("");
  std::istringstream args(line);
  std::string command;
  args >> command;
  const std::map<std::string, Handler> handlers = {
      {"cluster", [&](auto& a) { BuildCluster(a); }},
      {"timeout", [&](auto& a) { Timeout(a); }},
      {"run", [&](auto& a) { RunFor(a); }},
      {"deliver", [&](auto& a) { Deliver(a); }},
      {"drop", [&](auto&) { cluster_->DropAll(); }},
      {"append", [&](auto& a) { Append(a); }},
      {"read",
       [&](auto& a) {
         cluster_->Step(TakeInt(a), ConfirmLeadership{.token = ReadToken(++last_read_)});
       }},
      {"sync", [&](auto& a) { Sync(a); }},
      {"crash", [&](auto& a) { cluster_->Crash(TakeInt(a)); }},
      {"restart", [&](auto& a) { cluster_->Restart(TakeInt(a)); }},
      {"isolate", [&](auto& a) { cluster_->Isolate(TakeInt(a)); }},
      {"heal", [&](auto&) { cluster_->Heal(); }},
      {"shutdown", [&](auto& a) { cluster_->Step(TakeInt(a), BeginShutdown{}); }},
      {"joiner", [&](auto& a) { cluster_->AddJoiner(TakeInt(a)).auto_sync = false; }},
      {"add", [&](auto& a) { Change(a, VoterChangeKind::kAdd); }},
      {"remove", [&](auto& a) { Change(a, VoterChangeKind::kRemove); }},
      {"transfer", [&](auto& a) { Transfer(a); }},
      {"snapshot", [&](auto& a) { Snapshot(a); }},
      {"state", [&](auto&) { PrintState(); }},
      {"log", [&](auto&) { PrintLogs(); }},
  };
  const auto handler = handlers.find(command);
  KVORUM_CHECK(handler != handlers.end(), "unknown command '{}'", line);
  handler->second(args);
  PrintNews();
  return out_.str().empty() ? "ok\n" : out_.str();
}

void ScenarioEnv::BuildCluster(std::istringstream& args) {
  const int voters = TakeInt(args);
  int observers = 0;
  args >> observers;
  voters_ = voters;
  cluster_ = std::make_unique<TestCluster>(voters, observers);
  cluster_->SetAutoSync(false);
  cluster_->on_deliver = [this](const TestMessage& message) {
    PrintNews();
    out_ << ToText(message) << "\n";
  };
}

TestNode& ScenarioEnv::Node(std::istringstream& args) { return cluster_->node(TakeInt(args)); }

void ScenarioEnv::Timeout(std::istringstream& args) {
  TestNode& node = Node(args);
  std::string role;
  args >> role;
  do {
    cluster_->Timeout(node.id());
    // Probes of a node that waits for its election are noise here.
    if (!role.empty() && RoleName(node.role()) != role) {
      cluster_->DropAll();
    }
  } while (!role.empty() && RoleName(node.role()) != role);
}

void ScenarioEnv::RunFor(std::istringstream& args) {
  const int ms = TakeInt(args);
  const auto on_deliver = std::exchange(cluster_->on_deliver, nullptr);
  cluster_->SetAutoSync(true);
  for (int id = 1; id <= cluster_->size(); ++id) {
    cluster_->node(id).Sync();
  }
  cluster_->RunFor(milliseconds(ms));
  cluster_->SetAutoSync(false);
  cluster_->on_deliver = on_deliver;
}

void ScenarioEnv::Deliver(std::istringstream& args) {
  std::string count = "all";
  args >> count;
  int left = count == "all" ? 1000 : std::stoi(count);
  while (left-- > 0 && cluster_->DeliverOne()) {
  }
}

void ScenarioEnv::Append(std::istringstream& args) {
  std::string who;
  std::string text;
  args >> who >> text;
  const std::optional<int> leader = cluster_->Leader();
  const int id = who == "leader" ? leader.value_or(0) : std::stoi(who);
  if (id == 0 || !cluster_->node(id).core().is_leader()) {
    out_ << "not the leader\n";
    return;
  }
  cluster_->Append(id, text);
}

TestNode* ScenarioEnv::LeaderOrNode(std::istringstream& args) {
  std::string who;
  args >> who;
  const int id = who == "leader" ? cluster_->Leader().value_or(0) : std::stoi(who);
  if (id == 0) {
    out_ << "no leader\n";
    return nullptr;
  }
  cluster_->node(id).set_now(cluster_->now());
  return &cluster_->node(id);
}

void ScenarioEnv::Change(std::istringstream& args, VoterChangeKind kind) {
  if (TestNode* node = LeaderOrNode(args); node != nullptr) {
    changes_.emplace_back(node->id(), node->Change(kind, VoterOf(TakeInt(args))));
    cluster_->Collect();
  }
}

void ScenarioEnv::Transfer(std::istringstream& args) {
  if (TestNode* node = LeaderOrNode(args); node != nullptr) {
    changes_.emplace_back(node->id(), node->Transfer(TakeInt(args)));
    cluster_->Collect();
  }
}

void ScenarioEnv::Snapshot(std::istringstream& args) {
  TestNode& node = Node(args);
  const SnapshotId id = node.TakeSnapshot();
  node.Step(MoveLogStart{.offset = id.offset});
  cluster_->Collect();
}

void ScenarioEnv::Sync(std::istringstream& args) {
  std::string which;
  args >> which;
  int count = 1000;
  args >> count;
  for (int id = 1; id <= cluster_->size(); ++id) {
    if (which == "all" || which == std::to_string(id)) {
      cluster_->node(id).Sync(static_cast<size_t>(count));
    }
  }
  cluster_->Collect();
}

void ScenarioEnv::PrintNews() {
  for (int id = 1; id <= cluster_->size(); ++id) {
    TestNode& node = cluster_->node(id);
    for (const RaftTrace& trace : node.TakeTraces()) {
      out_ << "  " << ToText(trace) << "\n";
    }
    std::erase_if(changes_, [&](const auto& asked) {
      const std::optional<QuorumChangeDone> done =
          asked.first == id ? node.TakeChange(asked.second) : std::nullopt;
      if (done.has_value()) {
        out_ << fmt::format(
            "  change node={} {}{}\n", id, ToText(done->error),
            done->error == ChangeError::kNone ? " voters=" + ToText(done->voters) : "");
      }
      return done.has_value();
    });
    for (const ReadConfirmed& read : node.TakeReads()) {
      out_ << fmt::format("  read node={} confirmed={} offset={}\n", id, read.confirmed,
                          read.read_offset);
    }
  }
}

void ScenarioEnv::PrintState() {
  for (int id = 1; id <= cluster_->size(); ++id) {
    if (!cluster_->is_up(id)) {
      out_ << fmt::format("{} down\n", id);
      continue;
    }
    const RaftDescription now = cluster_->node(id).Describe();
    const std::string voters =
        now.voters == VotersUpTo(voters_) ? "" : " voters=" + ToText(now.voters);
    out_ << fmt::format("{} {} epoch={} leader={} end={} durable={} hwm={}{}{}\n", id,
                        RoleName(now.role), now.epoch,
                        now.leader_id.has_value() ? fmt::format("{}", *now.leader_id) : "?",
                        now.log_end, now.durable_end_offset, OffsetText(now.high_watermark), voters,
                        cluster_->node(id).core().is_shut_down() ? " shut_down" : "");
  }
}

void ScenarioEnv::PrintLogs() {
  for (int id = 1; id <= cluster_->size(); ++id) {
    out_ << id;
    for (const RecordBatch& batch : cluster_->node(id).log()) {
      out_ << fmt::format(" {}/{}:{}", batch.base_offset, batch.epoch,
                          batch.is_control ? "control" : *batch.payload);
    }
    out_ << "\n";
  }
}

}  // namespace kvorum::raft
