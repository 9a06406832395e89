#include <fmt/core.h>

#include <memory>
#include <utility>

#include "client/cli/cli.h"

namespace kvorum::client::cli {
namespace {

struct ProducerIdArgs {
  int32_t broker = -1;
  int64_t broker_epoch = -1;
};

ExitCode Allocate(const CommandContext& context, const ProducerIdArgs& args) {
  v1::AllocateProducerIdsRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  request.set_broker_id(args.broker);
  request.set_broker_epoch(args.broker_epoch);
  const Result<v1::AllocateProducerIdsResponse> answer =
      context.client->AllocateProducerIds(std::move(request));
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    context.PrintJson(*answer);
    return context.ReportPropagation(answer->header());
  }
  context.out << fmt::format("allocated {} to {}\n", answer->first_producer_id(),
                             answer->first_producer_id() + answer->count() - 1);
  return context.ReportPropagation(answer->header());
}

}  // namespace

void AddProducerIdCommands(CLI::App& app, CommandContext& context) {
  CLI::App* noun = app.add_subcommand("producer-id", "Ids for producers");
  noun->require_subcommand(1);
  const auto args = std::make_shared<ProducerIdArgs>();
  CLI::App* allocate =
      AddVerb(*noun, context, "allocate", "Give a broker the next block", Allocate, args);
  allocate->add_option("--broker", args->broker, "The broker's id")->required();
  allocate->add_option("--broker-epoch", args->broker_epoch, "Its epoch, see broker list")
      ->required();
}

}  // namespace kvorum::client::cli
