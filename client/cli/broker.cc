#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <string>
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

Result<v1::ListBrokersResponse> FetchBrokers(const CommandContext& context, int limit) {
  return CollectPages<v1::ListBrokersResponse>(
      limit,
      [&](const v1::PageRequest& page) {
        v1::ListBrokersRequest request;
        *request.mutable_page() = page;
        return context.client->ListBrokers(std::move(request));
      },
      [](v1::ListBrokersResponse& all, const v1::ListBrokersResponse& page) {
        *all.mutable_header() = page.header();
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
  Table table({">ID", "STATE", ">EPOCH", ">APPLIED", ">LAG", ">HEARTBEAT", "RACK", "ENDPOINTS",
               "INCARNATION", "REJECTED"});
  for (const v1::BrokerInfo& broker : answer->brokers()) {
    table.Add({CountText(broker.broker_id()), broker.fenced() ? "fenced" : "active",
               CountText(broker.broker_epoch()), CountText(broker.applied_offset()),
               CountText(LagOf(broker, answer->header())), AgeText(broker.last_heartbeat_age_ms()),
               broker.rack().empty() ? "-" : broker.rack(), EndpointsText(broker),
               broker.incarnation_id(),
               broker.last_rejection().empty() ? "-" : broker.last_rejection()});
  }
  table.Print(context.out);
  return ExitCode::kOk;
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

  CLI::App* unregister = broker->add_subcommand("unregister", "Remove a broker for good");
  const auto id = std::make_shared<int32_t>(0);
  unregister->add_option("ID", *id, "Broker id")->required()->check(CLI::NonNegativeNumber);
  unregister->callback(
      [&context, id] { context.action = [&context, id] { return Unregister(context, *id); }; });
}

}  // namespace kvorum::client::cli
