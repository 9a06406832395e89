#include <fmt/core.h>
#include <google/protobuf/util/json_util.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "client/cli/cli.h"

namespace kvorum::client::cli {
namespace {

struct CommitArgs {
  std::string file;
  bool validate_only = false;
};

std::optional<std::string> ReadAll(const std::string& path) {
  if (path == "-") {
    return std::string(std::istreambuf_iterator<char>(std::cin), {});
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return std::nullopt;
  }
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string KindOf(const v1::Operation& operation) {
  const auto* field = v1::Operation::descriptor()->FindFieldByNumber(operation.operation_case());
  return field == nullptr ? std::string("nothing") : field->name();
}

ExitCode Commit(const CommandContext& context, const CommitArgs& args) {
  const std::optional<std::string> text = ReadAll(args.file);
  if (!text.has_value()) {
    context.err << fmt::format("error: cannot read {}\n", args.file);
    return ExitCode::kUsage;
  }
  v1::CommitRequest request;
  const auto parsed = google::protobuf::util::JsonStringToMessage(*text, &request);
  if (!parsed.ok()) {
    context.err << fmt::format("error: {} is no CommitRequest in protobuf JSON: {}\n", args.file,
                               parsed.message().ToString());
    return ExitCode::kUsage;
  }
  request.mutable_options()->MergeFrom(context.MakeWriteOptions());
  if (args.validate_only) {
    request.mutable_options()->set_validate_only(true);
  }
  const v1::CommitRequest sent = request;
  const Result<v1::CommitResponse> answer = context.client->Commit(std::move(request));
  if (!answer.ok()) {
    return context.Fail(answer.error());
  }
  if (context.json()) {
    context.PrintJson(*answer);
    return context.ReportPropagation(answer->header());
  }
  for (const v1::Operation& operation : sent.operations()) {
    context.out << KindOf(operation) << "\n";
  }
  context.out << fmt::format("{} operations {}\n", sent.operations_size(),
                             sent.options().validate_only() ? "would be committed" : "committed");
  return context.ReportPropagation(answer->header());
}

}  // namespace

void AddCommitCommand(CLI::App& app, CommandContext& context) {
  const auto args = std::make_shared<CommitArgs>();
  CLI::App* commit = AddVerb(
      app, context, "commit",
      "Carry out a list of operations in one commit, or none of them: CommitRequest as JSON",
      Commit, args);
  commit->add_option("--file", args->file, "What to carry out; - is stdin")->required();
  commit->add_flag("--validate-only", args->validate_only,
                   "Say what would happen and change nothing");
}

}  // namespace kvorum::client::cli
