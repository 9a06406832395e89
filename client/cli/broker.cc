#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "client/cli/cli.h"

namespace kvorum::client::cli {
namespace {

std::string EndpointsText(const v1::BrokerInfo& broker) {
  std::string text;
  for (const v1::Endpoint& endpoint : broker.endpoints()) {
    text += fmt::format("{}{}://{}:{}", text.empty() ? "" : ",", endpoint.name(), endpoint.host(),
                        endpoint.port());
  }
  return text;
}

std::string_view StateText(const v1::BrokerInfo& broker) {
  if (broker.fenced()) {
    return broker.drained() ? "fenced,drained" : "fenced";
  }
  if (broker.in_controlled_shutdown()) {
    return "shutting-down";
  }
  return broker.drained() ? "drained" : "active";
}

Result<v1::ListBrokersResponse> FetchBrokers(const CommandContext& context, int limit) {
  return CollectPages<v1::ListBrokersResponse>(
      limit,
      [&](const v1::PageRequest& page) {
        v1::ListBrokersRequest request;
        *request.mutable_page() = page;
        return context.client->ListBrokers(std::move(request));
      },
      [](v1::ListBrokersResponse& all, const v1::ListBrokersResponse& page) {
        all.mutable_brokers()->MergeFrom(page.brokers());
        return all.brokers_size();
      });
}

// Committed offsets that the broker has not acknowledged; -1: not known.
int64_t LagOf(const v1::BrokerInfo& broker, const v1::ResponseHeader& header) {
  return broker.applied_offset() < 0
             ? -1
             : std::max<int64_t>(0, header.committed().offset() - broker.applied_offset());
}

// What protobuf JSON would say if there were such a message.
std::string LagJson(const v1::ListBrokersResponse& answer) {
  std::string json = fmt::format("{{\n  \"committed\": \"{}\",\n  \"brokers\": [",
                                 answer.header().committed().offset());
  const char* separator = "\n";
  for (const v1::BrokerInfo& broker : answer.brokers()) {
    json += fmt::format(
        "{}    {{\"broker_id\": {}, \"fenced\": {}, \"applied_offset\": \"{}\", \"lag\": \"{}\", "
        "\"last_heartbeat_age_ms\": \"{}\", \"last_rejection\": {}}}",
        separator, broker.broker_id(), broker.fenced(), broker.applied_offset(),
        LagOf(broker, answer.header()), broker.last_heartbeat_age_ms(),
        JsonString(broker.last_rejection()));
    separator = ",\n";
  }
  return json + (answer.brokers().empty() ? "]\n}\n" : "\n  ]\n}\n");
}

ExitCode Lag(const CommandContext& context, int limit) {
  const Result<v1::ListBrokersResponse> answer = FetchBrokers(context, limit);
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    context.out << LagJson(*answer);
    return ExitCode::kOk;
  }
  Table table({">ID", "STATE", ">APPLIED", ">LAG", ">HEARTBEAT", "REJECTED"});
  for (const v1::BrokerInfo& broker : answer->brokers()) {
    table.Add({CountText(broker.broker_id()), broker.fenced() ? "fenced" : "active",
               CountText(broker.applied_offset()), CountText(LagOf(broker, answer->header())),
               AgeText(broker.last_heartbeat_age_ms()),
               broker.last_rejection().empty() ? "-" : broker.last_rejection()});
  }
  table.Print(context.out);
  context.out << fmt::format("committed: {}\n", answer->header().committed().offset());
  return ExitCode::kOk;
}

ExitCode List(const CommandContext& context, int limit) {
  const Result<v1::ListBrokersResponse> answer = FetchBrokers(context, limit);
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  Table table({">ID", "STATE", ">EPOCH", ">APPLIED", ">LAG", ">HEARTBEAT", ">REPLICAS", ">LEADERS",
               "RACK", "ENDPOINTS", "INCARNATION", "REJECTED"});
  for (const v1::BrokerInfo& broker : answer->brokers()) {
    table.Add({CountText(broker.broker_id()), std::string(StateText(broker)),
               CountText(broker.broker_epoch()), CountText(broker.applied_offset()),
               CountText(LagOf(broker, answer->header())), AgeText(broker.last_heartbeat_age_ms()),
               CountText(broker.replica_count()), CountText(broker.leader_count()),
               broker.rack().empty() ? "-" : broker.rack(), EndpointsText(broker),
               broker.incarnation_id(),
               broker.last_rejection().empty() ? "-" : broker.last_rejection()});
  }
  table.Print(context.out);
  return ExitCode::kOk;
}

ExitCode Get(const CommandContext& context, int32_t broker_id) {
  v1::GetBrokerRequest request;
  request.set_broker_id(broker_id);
  const Result<v1::GetBrokerResponse> answer = context.client->GetBroker(std::move(request));
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  const v1::BrokerInfo& broker = answer->broker();
  context.out << fmt::format(
      "broker {} {} epoch={} incarnation={} rack={}\nendpoints    {}\nreplicas     {} ({} in sync, "
      "{} led)\napplied      {} of {}, last heartbeat {}\n",
      broker.broker_id(), StateText(broker), broker.broker_epoch(), broker.incarnation_id(),
      broker.rack().empty() ? "-" : broker.rack(), EndpointsText(broker), broker.replica_count(),
      broker.in_sync_count(), broker.leader_count(), CountText(broker.applied_offset()),
      answer->header().committed().offset(), AgeText(broker.last_heartbeat_age_ms()));
  for (const std::string& dir : broker.log_dirs()) {
    const auto& offline = broker.offline_log_dirs();
    const bool is_offline = std::find(offline.begin(), offline.end(), dir) != offline.end();
    context.out << fmt::format("log dir      {}{}\n", dir, is_offline ? " offline" : "");
  }
  if (!broker.last_rejection().empty()) {
    context.out << fmt::format("rejected     {}\n", broker.last_rejection());
  }
  return ExitCode::kOk;
}

ExitCode Drain(const CommandContext& context, int32_t broker_id) {
  v1::DrainBrokerRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  request.set_broker_id(broker_id);
  const Result<v1::DrainBrokerResponse> answer = context.client->DrainBroker(std::move(request));
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    context.PrintJson(*answer);
    return context.ReportPropagation(answer->header());
  }
  context.out << fmt::format("drained broker {}: {} leaderships moved, {} remain\n", broker_id,
                             answer->moved_leader_count(), answer->remaining_leader_count());
  if (answer->remaining_leader_count() > 0) {
    context.out << fmt::format(
        "nobody else can lead those now; see: kvorumctl partition list --broker {}\n", broker_id);
  }
  return context.ReportPropagation(answer->header());
}

ExitCode Undrain(const CommandContext& context, int32_t broker_id) {
  v1::UndrainBrokerRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  request.set_broker_id(broker_id);
  const Result<v1::UndrainBrokerResponse> answer =
      context.client->UndrainBroker(std::move(request));
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    context.PrintJson(*answer);
    return context.ReportPropagation(answer->header());
  }
  context.out << fmt::format("undrained broker {}; its leaderships come back with the balancing\n",
                             broker_id);
  return context.ReportPropagation(answer->header());
}

ExitCode Unregister(const CommandContext& context, int32_t broker_id) {
  v1::UnregisterBrokerRequest request;
  request.set_broker_id(broker_id);
  *request.mutable_options() = context.MakeWriteOptions();
  const Result<v1::UnregisterBrokerResponse> answer =
      context.client->UnregisterBroker(std::move(request));
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    context.PrintJson(*answer);
  } else {
    context.out << fmt::format("unregistered broker {}\n", broker_id);
  }
  return context.ReportPropagation(answer->header());
}

}  // namespace

void AddBrokerCommands(CLI::App& app, CommandContext& context) {
  CLI::App* broker = app.add_subcommand("broker", "The brokers");
  broker->require_subcommand(1);

  CLI::App* list = broker->add_subcommand("list", "Registered brokers, their state and lag");
  const auto limit = std::make_shared<int>(kDefaultListLimit);
  list->add_option("--limit", *limit, "Items at most")
      ->check(CLI::Range(1, kMaxListLimit))
      ->capture_default_str();
  list->callback(
      [&context, limit] { context.action = [&context, limit] { return List(context, *limit); }; });

  CLI::App* lag = broker->add_subcommand(
      "lag", "How far each broker is behind the committed metadata, and what it last rejected");
  lag->add_option("--limit", *limit, "Items at most")
      ->check(CLI::Range(1, kMaxListLimit))
      ->capture_default_str();
  lag->callback(
      [&context, limit] { context.action = [&context, limit] { return Lag(context, *limit); }; });

  struct Verb {
    const char* name;
    const char* help;
    ExitCode (*action)(const CommandContext&, int32_t);
  };
  for (const Verb& verb :
       {Verb{"get", "Show a broker", Get},
        Verb{"drain", "Move leaderships away from a broker, and keep them and replicas away",
             Drain},
        Verb{"undrain", "Let a broker lead and get replicas again", Undrain},
        Verb{"unregister", "Remove a broker for good", Unregister}}) {
    CLI::App* command = broker->add_subcommand(verb.name, verb.help);
    const auto id = std::make_shared<int32_t>(0);
    command->add_option("ID", *id, "Broker id")->required()->check(CLI::NonNegativeNumber);
    command->callback([&context, id, action = verb.action] {
      context.action = [&context, id, action] { return action(context, *id); };
    });
  }
}

}  // namespace kvorum::client::cli
