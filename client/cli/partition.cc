#include <fmt/core.h>

#include <charconv>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/cli/cli.h"

namespace kvorum::client::cli {
namespace {

struct PartitionArgs {
  std::string topic;
  int32_t broker = -1;
  bool under_replicated = false;
  bool offline = false;
  bool at_min_isr = false;
  int limit = kDefaultListLimit;
  std::vector<int32_t> indexes;
  bool unclean = false;
  bool yes = false;
  std::vector<std::string> moves;
  bool cancel = false;
  bool keep_factor = false;
  bool validate_only = false;
};

// "orders:0" or "orders:0=4,5,6": a partition, and where its replicas shall be.
struct Move {
  std::string topic;
  int32_t index = -1;
  std::vector<int32_t> replicas;
};

bool ParseNumber(std::string_view text, int32_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= 0;
}

bool ParseMove(std::string_view text, Move& move) {
  const size_t equals = text.find('=');
  const size_t colon = text.substr(0, equals).rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return false;
  }
  move.topic = std::string(text.substr(0, colon));
  const size_t length = equals == std::string_view::npos ? equals : equals - colon - 1;
  if (!ParseNumber(text.substr(colon + 1, length), move.index)) {
    return false;
  }
  if (equals == std::string_view::npos) {
    return true;
  }
  std::string_view rest = text.substr(equals + 1);
  while (true) {
    const size_t comma = rest.find(',');
    if (!ParseNumber(rest.substr(0, comma), move.replicas.emplace_back())) {
      return false;
    }
    if (comma == std::string_view::npos) {
      return true;
    }
    rest.remove_prefix(comma + 1);
  }
}

// For CLI11, which reports what it returns.
std::string ValidateMove(const std::string& text) {
  Move move;
  return ParseMove(text, move)
             ? std::string()
             : fmt::format(
                   "{} is not TOPIC:PARTITION or TOPIC:PARTITION=BROKER,BROKER, for "
                   "example orders:0=4,5,6",
                   text);
}

std::string StateText(const v1::PartitionInfo& partition) {
  std::string text;
  const auto add = [&text](bool holds, std::string_view what) {
    if (holds) {
      text += fmt::format("{}{}", text.empty() ? "" : ",", what);
    }
  };
  add(partition.leader() < 0, "offline");
  add(partition.isr_size() < partition.replicas_size() - partition.adding_replicas_size(),
      "under-replicated");
  add(partition.adding_replicas_size() + partition.removing_replicas_size() > 0, "reassigning");
  add(partition.leader_recovery_state() == v1::LEADER_RECOVERY_STATE_RECOVERING, "recovering");
  return text.empty() ? "ok" : text;
}

ExitCode List(const CommandContext& context, const PartitionArgs& args) {
  const auto answer = CollectPages<v1::DescribePartitionsResponse>(
      args.limit,
      [&](const v1::PageRequest& page) {
        v1::DescribePartitionsRequest request;
        if (!args.topic.empty()) {
          request.mutable_topic()->set_name(args.topic);
        }
        if (args.broker >= 0) {
          request.set_broker_id(args.broker);
        }
        request.set_under_replicated(args.under_replicated);
        request.set_offline(args.offline);
        request.set_at_min_isr(args.at_min_isr);
        *request.mutable_page() = page;
        return context.client->DescribePartitions(std::move(request));
      },
      [](v1::DescribePartitionsResponse& all, const v1::DescribePartitionsResponse& page) {
        all.mutable_partitions()->MergeFrom(page.partitions());
        return all.partitions_size();
      });
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  Table table({"TOPIC", ">PARTITION", ">LEADER", "REPLICAS", "ISR", "ELR", "STATE"});
  for (const v1::PartitionDescription& item : answer->partitions()) {
    const v1::PartitionInfo& partition = item.partition();
    table.Add({item.topic_name(), CountText(partition.partition_index()),
               partition.leader() < 0 ? "none" : CountText(partition.leader()),
               ReplicasText(partition), IdsText(partition.isr()),
               IdsText(partition.eligible_leader_replicas()), StateText(partition)});
  }
  table.Print(context.out);
  return ExitCode::kOk;
}

ExitCode Elect(const CommandContext& context, const PartitionArgs& args) {
  if (args.unclean && !args.yes) {
    context.err << "error: an unclean election loses what the new leader lacks; say --yes if that "
                   "is better than to wait\n";
    return ExitCode::kUsage;
  }
  v1::ElectLeadersRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  request.set_election_type(args.unclean ? v1::ELECTION_TYPE_UNCLEAN : v1::ELECTION_TYPE_PREFERRED);
  v1::ElectLeadersRequest::Item& item = *request.add_topics();
  item.mutable_topic()->set_name(args.topic);
  item.mutable_partition_indexes()->Assign(args.indexes.begin(), args.indexes.end());
  const Result<v1::ElectLeadersResponse> answer = context.client->ElectLeaders(std::move(request));
  if (answer.ok() && answer->results().empty() && !context.json()) {
    context.out << fmt::format("no partition of topic {} needs an election\n", args.topic);
  }
  return Finish(context, answer, [](const v1::ElectLeadersResponse::Result& result) {
    return fmt::format("topic {} partition {}: broker {} leads with epoch {}", result.topic_name(),
                       result.partition_index(), result.partition().leader(),
                       result.partition().leader_epoch());
  });
}

ExitCode Reassign(const CommandContext& context, const PartitionArgs& args) {
  v1::AlterPartitionReassignmentsRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  for (const std::string& text : args.moves) {
    Move move;
    ParseMove(text, move);
    if (args.cancel != move.replicas.empty()) {
      context.err << fmt::format("error: {}: {}\n", text,
                                 args.cancel ? "with --cancel name the partition only"
                                             : "say where to, for example orders:0=4,5,6");
      return ExitCode::kUsage;
    }
    v1::AlterPartitionReassignmentsRequest::Item& item = *request.add_partitions();
    item.mutable_topic()->set_name(move.topic);
    item.set_partition_index(move.index);
    item.mutable_replicas()->Assign(move.replicas.begin(), move.replicas.end());
    item.set_cancel(args.cancel);
  }
  if (args.keep_factor) {
    request.set_allow_replication_factor_change(false);
  }
  request.mutable_options()->set_validate_only(args.validate_only);
  return Finish(context, context.client->AlterPartitionReassignments(std::move(request)),
                [](const v1::AlterPartitionReassignmentsResponse::Result& result) {
                  const v1::PartitionInfo& partition = result.partition();
                  return fmt::format("topic {} partition {}: replicas {} adding {} removing {}",
                                     result.topic_name(), result.partition_index(),
                                     ReplicasText(partition), IdsText(partition.adding_replicas()),
                                     IdsText(partition.removing_replicas()));
                });
}

ExitCode ListReassignments(const CommandContext& context, const PartitionArgs& args) {
  const auto answer = CollectPages<v1::ListPartitionReassignmentsResponse>(
      args.limit,
      [&](const v1::PageRequest& page) {
        v1::ListPartitionReassignmentsRequest request;
        if (!args.topic.empty()) {
          request.mutable_topic()->set_name(args.topic);
        }
        *request.mutable_page() = page;
        return context.client->ListPartitionReassignments(std::move(request));
      },
      [](v1::ListPartitionReassignmentsResponse& all,
         const v1::ListPartitionReassignmentsResponse& page) {
        all.mutable_reassignments()->MergeFrom(page.reassignments());
        return all.reassignments_size();
      });
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  Table table({"TOPIC", ">PARTITION", "REPLICAS", "ISR", "ADDING", "REMOVING", ">CAUGHT-UP"});
  for (const auto& item : answer->reassignments()) {
    const v1::PartitionInfo& partition = item.partition();
    table.Add({item.topic_name(), CountText(partition.partition_index()), ReplicasText(partition),
               IdsText(partition.isr()), IdsText(partition.adding_replicas()),
               IdsText(partition.removing_replicas()),
               fmt::format("{}/{}", item.caught_up_count(), partition.adding_replicas_size())});
  }
  table.Print(context.out);
  return ExitCode::kOk;
}

using Args = std::shared_ptr<PartitionArgs>;

void AddLimit(CLI::App& command, const Args& args) {
  command.add_option("--limit", args->limit, "Items at most")
      ->check(CLI::Range(1, kMaxListLimit))
      ->capture_default_str();
}

}  // namespace

void AddPartitionCommands(CLI::App& app, CommandContext& context) {
  CLI::App* partition = app.add_subcommand("partition", "Partitions of all topics");
  partition->require_subcommand(1);
  const auto args = std::make_shared<PartitionArgs>();

  CLI::App* list =
      AddVerb(*partition, context, "list", "List partitions that pass all the filters", List, args);
  list->add_option("--topic", args->topic, "Of this topic only");
  list->add_option("--broker", args->broker, "With a replica on this broker")
      ->check(CLI::NonNegativeNumber);
  list->add_flag("--under-replicated", args->under_replicated,
                 "With fewer in-sync replicas than replicas");
  list->add_flag("--offline", args->offline, "Without a leader");
  list->add_flag("--at-min-isr", args->at_min_isr,
                 "With no more in-sync replicas than min-insync-replicas");
  AddLimit(*list, args);

  CLI::App* elect =
      AddVerb(*partition, context, "elect",
              "Give partitions their preferred leader back, or any at all", Elect, args);
  elect->add_option("--topic", args->topic, "Name of the topic")->required();
  elect
      ->add_option("--partition", args->indexes,
                   "Partitions, 0,1,2; default: all of the topic that need it")
      ->delimiter(',')
      ->check(CLI::NonNegativeNumber);
  elect->add_flag("--unclean", args->unclean,
                  "Where nobody leads: any replica that is alive, with loss of what it lacks");
  elect->add_flag("--yes", args->yes, "Do it without asking");

  CLI::App* reassign = AddVerb(*partition, context, "reassign",
                               "Move replicas to other brokers, or go back", Reassign, args);
  reassign
      ->add_option("MOVES", args->moves,
                   "TOPIC:PARTITION=BROKER,BROKER: the replicas it shall have, preferred leader "
                   "first; with --cancel TOPIC:PARTITION")
      ->required()
      ->check(CLI::Validator(ValidateMove, ""));
  reassign->add_flag("--cancel", args->cancel, "Go back to the replicas before the move");
  reassign->add_flag("--keep-replication-factor", args->keep_factor,
                     "Refuse moves to more or fewer replicas");
  reassign->add_flag("--validate-only", args->validate_only,
                     "Say what would happen, change nothing");

  CLI::App* moves = AddVerb(*partition, context, "reassignments",
                            "List moves under way, and how far they are", ListReassignments, args);
  moves->add_option("--topic", args->topic, "Of this topic only");
  AddLimit(*moves, args);
}

}  // namespace kvorum::client::cli
