#include <fmt/core.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include "client/cli/cli.h"
#include "client/metadata_watcher.h"
#include "client/record_text.h"

namespace kvorum::client::cli {
namespace {

// Without what is secret: terminals and pipes are logs, too.
std::string RecordJson(v1::MetadataRecord record) {
  HideSecrets(record);
  return ToJson(record, /*on_one_line=*/true);
}

constexpr timespec kTurn{0, 20'000'000};  // of the waiting main thread: 20 ms

struct WatchArgs {
  std::string from = "snapshot";
  int64_t count = 0;  // 0: no end
  bool all = false;
};

// Prints what arrives. Owned by Watch; called on the watcher's thread, which alone writes to `out`
// until the watcher is stopped.
class Printer : public MetadataListener {
 public:
  Printer(const CommandContext& context, const WatchArgs& args) : context_(context), args_(args) {}

  bool done() const { return done_.load(); }

  void OnReset(const v1::Reset& reset) override {
    Line(context_.json() ? fmt::format("{{\"reset\":{}}}", ToJson(reset, /*on_one_line=*/true))
                         : fmt::format("- - reset {} {}", v1::Reset::Reason_Name(reset.reason()),
                                       reset.message()));
  }
  void OnSnapshotBegin() override {}
  std::optional<ApplyError> OnSnapshotRecords(const Records& records) override {
    for (const v1::MetadataRecord& record : records) {
      Line(context_.json() ? fmt::format("{{\"snapshot\":true,\"record\":{}}}", RecordJson(record))
                           : "- - " + RecordText(record));
    }
    return std::nullopt;
  }
  void OnSnapshotEnd(const v1::Position& position) override {
    Line(context_.json()
             ? fmt::format("{{\"snapshot_end\":{}}}", ToJson(position, /*on_one_line=*/true))
             : fmt::format("{} {} snapshot-end", position.offset(), position.epoch()));
  }
  std::optional<ApplyError> OnCommit(const CommittedRecords& commit) override {
    if (done_.load()) {
      return std::nullopt;
    }
    int64_t offset = commit.from;
    bool shown = false;
    for (const v1::MetadataRecord& record : commit.records) {
      if (args_.all || !record.has_no_op()) {
        shown = true;
        Line(context_.json()
                 ? fmt::format("{{\"offset\":{},\"epoch\":{},\"record\":{}}}", offset,
                               commit.to.epoch(), RecordJson(record))
                 : fmt::format("{} {} {}", offset, commit.to.epoch(), RecordText(record)));
      }
      ++offset;
    }
    if (shown && ++shown_count_ == args_.count) {
      done_.store(true);
    }
    return std::nullopt;
  }
  void OnBookmark(const v1::Bookmark& /*bookmark*/) override {}

 private:
  // Flushed at once: the reader may be a script that waits for this very line.
  void Line(const std::string& line) const { context_.out << line << std::endl; }

  const CommandContext& context_;
  const WatchArgs& args_;
  int64_t shown_count_ = 0;
  std::atomic<bool> done_{false};
};

// Why the watch has to end, if it has to.
std::optional<CallError> FindProblem(const WatcherStatus& status, bool connecting_too_long) {
  if (!status.fatal_error.empty()) {
    return LocalError(grpc::StatusCode::FAILED_PRECONDITION, status.fatal_error);
  }
  if (connecting_too_long && status.stream_count == 0) {
    return LocalError(grpc::StatusCode::UNAVAILABLE,
                      fmt::format("no stream within the timeout: {}", status.last_error));
  }
  return std::nullopt;
}

ExitCode Watch(const CommandContext& context, const WatchArgs& args) {
  MetadataWatcherOptions options;
  options.subscriber_id = "kvorumctl watch";
  if (args.from == "now") {
    const Result<v1::DescribeQuorumResponse> answer = context.client->DescribeQuorum({});
    if (!answer.ok()) {
      return context.Fail(answer.error());
    }
    options.resume_from = answer->header().applied();
  }
  sigset_t signals;
  sigset_t before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, &before);
  Printer printer(context, args);
  MetadataWatcher watcher(context.endpoints, std::move(options), printer);
  watcher.Start();
  const auto give_up = std::chrono::steady_clock::now() + context.timeout;
  std::optional<CallError> problem;
  while (!printer.done() && !problem.has_value() && sigtimedwait(&signals, nullptr, &kTurn) < 0) {
    problem = FindProblem(watcher.status(), std::chrono::steady_clock::now() >= give_up);
  }
  watcher.Stop();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return problem.has_value() ? context.Fail(*problem) : ExitCode::kOk;
}

}  // namespace

void AddWatchCommand(CLI::App& app, CommandContext& context) {
  CLI::App* watch = app.add_subcommand(
      "watch", "Show committed changes as they come: offset, epoch, record. Ends with Ctrl-C");
  const auto args = std::make_shared<WatchArgs>();
  watch->add_option("--from", args->from, "snapshot (all there is, then changes) or now")
      ->check(CLI::IsMember({"snapshot", "now"}))
      ->capture_default_str();
  watch->add_option("--count", args->count, "Stop after this many commits; 0: never")
      ->check(CLI::NonNegativeNumber);
  watch->add_flag("--all", args->all, "Show no-op records, too");
  watch->callback(
      [&context, args] { context.action = [&context, args] { return Watch(context, *args); }; });
}

}  // namespace kvorum::client::cli
