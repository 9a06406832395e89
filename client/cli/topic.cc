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

struct TopicArgs {
  std::vector<std::string> names;
  int32_t partitions = 0;  // 0: the server's default
  int32_t replication_factor = 0;
  std::vector<std::string> assignments;
  std::vector<std::string> configs;  // KEY=VALUE
  int32_t min_insync_replicas = 0;
  bool validate_only = false;
  bool explain = false;
  std::string prefix;
  int limit = kDefaultListLimit;
};

// "0:1,2,3" → partition 0 on brokers 1, 2 and 3; false: malformed.
bool ParseAssignment(const std::string& text, v1::ReplicaAssignment& assignment) {
  const char* at = text.data();
  const char* const end = at + text.size();
  std::vector<int32_t> numbers;
  while (at < end) {
    int32_t number = -1;
    const auto [next, error] = std::from_chars(at, end, number);
    const char separator = numbers.empty() ? ':' : ',';
    if (error != std::errc() || number < 0 ||
        (next < end && (*next != separator || next + 1 == end))) {
      return false;
    }
    numbers.push_back(number);
    at = next < end ? next + 1 : end;
  }
  if (numbers.size() < 2) {
    return false;
  }
  assignment.set_partition_index(numbers[0]);
  assignment.mutable_replicas()->Assign(numbers.begin() + 1, numbers.end());
  return true;
}

// Checks all texts of a --assignment option; for CLI11, which reports what it returns.
std::string ValidateAssignment(const std::string& text) {
  v1::ReplicaAssignment assignment;
  return ParseAssignment(text, assignment)
             ? std::string()
             : fmt::format("{} is not PARTITION:BROKER,BROKER for example 0:1,2,3", text);
}

template <typename Message>
void SetAssignments(const TopicArgs& args, Message& message) {
  for (const std::string& text : args.assignments) {
    ParseAssignment(text, *message.add_assignments());
  }
}

// "0:1,2,3 1:2,3,1": what --assignment would take.
std::string AssignmentsText(const v1::CreateTopicsResponse::Result& result) {
  constexpr int kShown = 20;
  std::string text = "assignments:";
  for (int i = 0; i < result.assignments_size() && i < kShown; ++i) {
    const v1::ReplicaAssignment& assignment = result.assignments(i);
    text += fmt::format(" {}:{}", assignment.partition_index(), IdsText(assignment.replicas()));
  }
  if (result.assignments_size() > kShown) {
    text +=
        fmt::format(" and {} more (all with --output json)", result.assignments_size() - kShown);
  }
  return text;
}

// Why the replicas are where they are, under the line of the topic.
void PrintExplanation(const CommandContext& context, const v1::PlacementExplanation& explanation) {
  context.out << explanation.summary() << "\n";
  Table table({">BROKER", "RACK", ">REPLICAS", ">LEADERS", "WHY"});
  for (const auto& verdict : explanation.brokers()) {
    table.Add({CountText(verdict.broker_id()), verdict.rack().empty() ? "-" : verdict.rack(),
               CountText(verdict.replica_count()), CountText(verdict.leader_count()),
               verdict.reason()});
  }
  table.Print(context.out);
}

ExitCode Create(const CommandContext& context, const TopicArgs& args) {
  v1::CreateTopicsRequest request;
  v1::NewTopic* topic = request.add_topics();
  topic->set_name(args.names.front());
  topic->set_partition_count(args.partitions);
  topic->set_replication_factor(args.replication_factor);
  SetAssignments(args, *topic);
  *request.mutable_options() = context.MakeWriteOptions();
  for (const std::string& text : args.configs) {
    const auto [name, value] = SplitPair(text);
    topic->add_configs()->set_name(name);
    topic->mutable_configs(topic->configs_size() - 1)->set_value(value);
  }
  topic->set_min_insync_replicas(args.min_insync_replicas);
  request.set_explain(args.explain);
  request.mutable_options()->set_validate_only(args.validate_only);
  const auto start = std::chrono::steady_clock::now();
  const Result<v1::CreateTopicsResponse> answer = context.client->CreateTopics(std::move(request));
  const std::string elapsed = ElapsedText(std::chrono::steady_clock::now() - start);
  const ExitCode exit_code =
      Finish(context, answer, [&](const v1::CreateTopicsResponse::Result& result) {
        return fmt::format("{} topic {} id={} partitions={} replication-factor={} in {}",
                           args.validate_only ? "would create" : "created", result.name(),
                           result.topic_id(), result.partition_count(), result.replication_factor(),
                           elapsed);
      });
  if (exit_code == ExitCode::kOk && args.explain && !context.json()) {
    for (const v1::CreateTopicsResponse::Result& result : answer->results()) {
      context.out << "\n" << AssignmentsText(result) << "\n";
      PrintExplanation(context, result.explanation());
    }
  }
  return exit_code;
}

ExitCode Delete(const CommandContext& context, const TopicArgs& args) {
  v1::DeleteTopicsRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  for (const std::string& name : args.names) {
    request.add_topics()->set_name(name);
  }
  return Finish(context, context.client->DeleteTopics(std::move(request)),
                [](const v1::DeleteTopicsResponse::Result& result) {
                  return fmt::format("deleted topic {} id={}", result.name(), result.topic_id());
                });
}

ExitCode Grow(const CommandContext& context, const TopicArgs& args) {
  v1::CreatePartitionsRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  v1::CreatePartitionsRequest::Item* item = request.add_topics();
  item->set_name(args.names.front());
  item->set_new_partition_count(args.partitions);
  SetAssignments(args, *item);
  return Finish(context, context.client->CreatePartitions(std::move(request)),
                [&](const v1::CreatePartitionsResponse::Result& result) {
                  return fmt::format("topic {} has {} partitions now", result.name(),
                                     args.partitions);
                });
}

ExitCode List(const CommandContext& context, const TopicArgs& args) {
  const Result<v1::ListTopicsResponse> answer = CollectPages<v1::ListTopicsResponse>(
      args.limit,
      [&](const v1::PageRequest& page) {
        v1::ListTopicsRequest request;
        request.set_name_prefix(args.prefix);
        *request.mutable_page() = page;
        return context.client->ListTopics(std::move(request));
      },
      [](v1::ListTopicsResponse& all, const v1::ListTopicsResponse& page) {
        all.mutable_topics()->MergeFrom(page.topics());
        return all.topics_size();
      });
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  Table table({"NAME", "ID", ">PARTITIONS", ">REPLICATION-FACTOR", ">LEADERLESS",
               ">UNDER-REPLICATED", ">REASSIGNING"});
  for (const v1::TopicInfo& topic : answer->topics()) {
    table.Add({topic.name(), topic.topic_id(), CountText(topic.partition_count()),
               CountText(topic.replication_factor()), CountText(topic.leaderless_partition_count()),
               CountText(topic.under_replicated_partition_count()),
               CountText(topic.reassigning_partition_count())});
  }
  table.Print(context.out);
  return ExitCode::kOk;
}

ExitCode Get(const CommandContext& context, const TopicArgs& args) {
  const Result<v1::GetTopicResponse> answer = CollectPages<v1::GetTopicResponse>(
      args.limit,
      [&](const v1::PageRequest& page) {
        v1::GetTopicRequest request;
        request.mutable_topic()->set_name(args.names.front());
        *request.mutable_page() = page;
        return context.client->GetTopic(std::move(request));
      },
      [](v1::GetTopicResponse& all, const v1::GetTopicResponse& page) {
        *all.mutable_topic() = page.topic();
        all.mutable_partitions()->MergeFrom(page.partitions());
        return all.partitions_size();
      });
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  const v1::TopicInfo& topic = answer->topic();
  context.out << fmt::format("topic {} id={} partitions={} replication-factor={} leaderless={}\n\n",
                             topic.name(), topic.topic_id(), topic.partition_count(),
                             topic.replication_factor(), topic.leaderless_partition_count());
  Table table(
      {">PARTITION", ">LEADER", "REPLICAS", "ISR", "ELR", ">LEADER-EPOCH", ">PARTITION-EPOCH"});
  for (const v1::PartitionInfo& partition : answer->partitions()) {
    table.Add({CountText(partition.partition_index()),
               partition.leader() < 0 ? "none" : CountText(partition.leader()),
               ReplicasText(partition), IdsText(partition.isr()),
               IdsText(partition.eligible_leader_replicas()), CountText(partition.leader_epoch()),
               CountText(partition.partition_epoch())});
  }
  table.Print(context.out);
  return ExitCode::kOk;
}

using Args = std::shared_ptr<TopicArgs>;
using Action = ExitCode (*)(const CommandContext&, const TopicArgs&);

CLI::App* AddVerb(CLI::App& topic, CommandContext& context, const std::string& name,
                  const std::string& help, std::pair<Args, Action> verb) {
  CLI::App* command = topic.add_subcommand(name, help);
  const auto [args, action] = std::move(verb);
  command->callback([&context, args = args, action = action] {
    context.action = [&context, args, action] { return action(context, *args); };
  });
  return command;
}

void AddName(CLI::App& command, const Args& args) {
  command.add_option("NAME", args->names, "Name of the topic")->required()->expected(1);
}

void AddAssignment(CLI::App& command, const Args& args) {
  command
      .add_option("--assignment", args->assignments,
                  "Replicas of one partition, preferred leader first: 0:1,2,3")
      ->check(CLI::Validator(ValidateAssignment, ""));
}

void AddLimit(CLI::App& command, const Args& args) {
  command.add_option("--limit", args->limit, "Items at most")
      ->check(CLI::Range(1, kMaxListLimit))
      ->capture_default_str();
}

}  // namespace

void AddTopicCommands(CLI::App& app, CommandContext& context) {
  CLI::App* topic = app.add_subcommand("topic", "Topics and their partitions");
  topic->require_subcommand(1);
  const auto args = std::make_shared<TopicArgs>();

  CLI::App* create = AddVerb(*topic, context, "create", "Create a topic", {args, Create});
  AddName(*create, args);
  create->add_option("--partitions", args->partitions, "Number of partitions; default 1")
      ->check(CLI::PositiveNumber);
  create
      ->add_option("--replication-factor", args->replication_factor,
                   "Replicas of each; default min(3, unfenced brokers)")
      ->check(CLI::PositiveNumber);
  AddAssignment(*create, args);
  create->add_option("--config", args->configs, "Set with the topic: KEY=VALUE")
      ->check(CLI::Validator(ValidatePair, ""));
  create
      ->add_option("--min-insync-replicas", args->min_insync_replicas,
                   "In-sync replicas below which others become eligible to lead; default 1")
      ->check(CLI::PositiveNumber);
  create->add_flag("--explain", args->explain,
                   "Say why each broker gets replicas or not; with --validate-only: would get");
  create->add_flag("--validate-only", args->validate_only, "Say what would happen, change nothing");

  CLI::App* list = AddVerb(*topic, context, "list", "List topics by name", {args, List});
  list->add_option("--prefix", args->prefix, "Only names that start with this");
  AddLimit(*list, args);

  CLI::App* get = AddVerb(*topic, context, "get", "Show a topic's partitions", {args, Get});
  AddName(*get, args);
  AddLimit(*get, args);

  CLI::App* remove = AddVerb(*topic, context, "delete", "Delete topics", {args, Delete});
  remove->add_option("NAMES", args->names, "Names of the topics")->required();

  CLI::App* grow = AddVerb(*topic, context, "grow", "Add partitions to a topic", {args, Grow});
  AddName(*grow, args);
  grow->add_option("--partitions", args->partitions, "Number of partitions in all")
      ->required()
      ->check(CLI::PositiveNumber);
  AddAssignment(*grow, args);
}

}  // namespace kvorum::client::cli
