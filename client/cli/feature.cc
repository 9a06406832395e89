#include <fmt/core.h>

#include <charconv>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "client/cli/cli.h"

namespace kvorum::client::cli {
namespace {

struct FeatureArgs {
  std::vector<std::string> levels;  // NAME=LEVEL
  bool is_unsafe = false;
  bool validate_only = false;
};

bool ParseLevel(const std::string& text, std::string& name, int32_t& level) {
  std::string value;
  std::tie(name, value) = SplitPair(text);
  const char* end = value.data() + value.size();
  const auto [next, error] = std::from_chars(value.data(), end, level);
  return !name.empty() && error == std::errc() && next == end;
}

// For CLI11, which reports what it returns.
std::string ValidateLevel(const std::string& text) {
  std::string name;
  int32_t level = 0;
  return ParseLevel(text, name, level) ? std::string() : fmt::format("{} is not NAME=LEVEL", text);
}

ExitCode Update(const CommandContext& context, const FeatureArgs& args,
                v1::FeatureUpgradeType type) {
  v1::UpdateFeaturesRequest request;
  *request.mutable_options() = context.MakeWriteOptions();
  for (const std::string& text : args.levels) {
    std::string name;
    int32_t level = 0;
    ParseLevel(text, name, level);  // was validated
    v1::UpdateFeaturesRequest::Item& item = *request.add_updates();
    item.set_name(std::move(name));
    item.set_level(level);
    item.set_upgrade_type(type);
  }
  request.mutable_options()->set_validate_only(args.validate_only);
  return Finish(context, context.client->UpdateFeatures(std::move(request)),
                [&](const v1::UpdateFeaturesResponse::Result& result) {
                  return fmt::format("{} {}", args.validate_only ? "would change" : "changed",
                                     result.name());
                });
}

ExitCode Upgrade(const CommandContext& context, const FeatureArgs& args) {
  return Update(context, args, v1::FEATURE_UPGRADE_TYPE_UPGRADE);
}

ExitCode Downgrade(const CommandContext& context, const FeatureArgs& args) {
  return Update(context, args,
                args.is_unsafe ? v1::FEATURE_UPGRADE_TYPE_UNSAFE_DOWNGRADE
                               : v1::FEATURE_UPGRADE_TYPE_SAFE_DOWNGRADE);
}

ExitCode List(const CommandContext& context, const FeatureArgs&) {
  const Result<v1::DescribeFeaturesResponse> answer =
      context.client->DescribeFeatures(v1::DescribeFeaturesRequest());
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    return context.PrintJson(*answer);
  }
  Table table({"NAME", ">FINALIZED", ">MIN", ">MAX"});
  for (const v1::FeatureInfo& feature : answer->features()) {
    table.Add({feature.name(), CountText(feature.finalized_level()),
               CountText(feature.min_supported_level()), CountText(feature.max_supported_level())});
  }
  table.Print(context.out);
  return ExitCode::kOk;
}

}  // namespace

void AddFeatureCommands(CLI::App& app, CommandContext& context) {
  CLI::App* feature = app.add_subcommand("feature", "Levels the whole cluster works at");
  feature->require_subcommand(1);
  const auto args = std::make_shared<FeatureArgs>();
  AddVerb(*feature, context, "list", "Finalized levels and what all brokers support", List, args);
  CLI::App* upgrade = AddVerb(*feature, context, "upgrade", "Raise levels", Upgrade, args);
  CLI::App* downgrade = AddVerb(*feature, context, "downgrade", "Lower levels", Downgrade, args);
  downgrade->add_flag("--unsafe", args->is_unsafe, "Also what may lose what is stored");
  for (CLI::App* command : {upgrade, downgrade}) {
    command->add_option("LEVELS", args->levels, "NAME=LEVEL, all or nothing")
        ->required()
        ->check(CLI::Validator(ValidateLevel, ""));
    command->add_flag("--validate-only", args->validate_only, "Check, and change nothing");
  }
}

}  // namespace kvorum::client::cli
