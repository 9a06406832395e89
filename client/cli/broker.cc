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

ExitCode List(const CommandContext& context, int limit) {
  const Result<v1::ListBrokersResponse> answer = CollectPages<v1::ListBrokersResponse>(
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
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  Table table({">ID", "STATE", ">EPOCH", ">APPLIED", ">LAG", ">HEARTBEAT", "RACK", "ENDPOINTS",
               "INCARNATION", "REJECTED"});
  for (const v1::BrokerInfo& broker : answer->brokers()) {
    const int64_t end = answer->header().committed().offset();
    const int64_t lag =
        broker.applied_offset() < 0 ? -1 : std::max<int64_t>(0, end - broker.applied_offset());
    table.Add({CountText(broker.broker_id()), broker.fenced() ? "fenced" : "active",
               CountText(broker.broker_epoch()), CountText(broker.applied_offset()), CountText(lag),
               AgeText(broker.last_heartbeat_age_ms()), broker.rack().empty() ? "-" : broker.rack(),
               EndpointsText(broker), broker.incarnation_id(),
               broker.last_rejection().empty() ? "-" : broker.last_rejection()});
  }
  table.Print(context.out);
  return ExitCode::kOk;
}

ExitCode Unregister(const CommandContext& context, int32_t broker_id) {
  v1::UnregisterBrokerRequest request;
  request.set_broker_id(broker_id);
  const Result<v1::UnregisterBrokerResponse> answer =
      context.client->UnregisterBroker(std::move(request));
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  context.out << fmt::format("unregistered broker {}\n", broker_id);
  return ExitCode::kOk;
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

  CLI::App* unregister = broker->add_subcommand("unregister", "Remove a broker for good");
  const auto id = std::make_shared<int32_t>(0);
  unregister->add_option("ID", *id, "Broker id")->required()->check(CLI::NonNegativeNumber);
  unregister->callback(
      [&context, id] { context.action = [&context, id] { return Unregister(context, *id); }; });
}

}  // namespace kvorum::client::cli
