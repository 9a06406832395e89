#include "client/cli/output.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace kvorum::client::cli {
namespace {

// What the user can do, by reason; empty where the message says it all.
std::string_view Advice(const CallError& error) {
  if (error.outcome == Outcome::kUnknown &&
      (error.reason == v1::OUTCOME_UNKNOWN || error.reason == v1::REQUEST_TIMED_OUT)) {
    return "the write may or may not have been carried out; read before you repeat it";
  }
  if (error.outcome == Outcome::kCommitted) {
    return "the write is committed";
  }
  switch (error.reason) {
    case v1::NOT_CONTROLLER:
    case v1::LEADER_NOT_AVAILABLE:
      return "nothing was carried out; see 'kvorumctl status', is a majority of the voters up?";
    case v1::CLASS_SHED:
      return "nothing was carried out; the controller is overloaded, try again later";
    case v1::SHUTTING_DOWN:
      return "nothing was carried out; the controller is stopping, try another with --endpoints";
    case v1::CLUSTER_NOT_INITIALIZED:
      return "for a new cluster run 'kvorumctl cluster init' once, with all its controllers in "
             "--endpoints";
    case v1::INVALID_UPDATE_VERSION:
      return "somebody else wrote it; read it again and decide anew";
    case v1::INCONSISTENT_CLUSTER_ID:
      return "these endpoints belong to another cluster";
    default:
      break;
  }
  if (error.code == grpc::StatusCode::UNAVAILABLE) {
    return "check --endpoints (or KVORUM_ENDPOINTS) and that the controllers run";
  }
  if (error.code == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return "raise --timeout, or see 'kvorumctl status'";
  }
  return "";
}

}  // namespace

ExitCode ExitCodeFor(const CallError& error) {
  if (error.reason == v1::OUTCOME_UNKNOWN) {
    return ExitCode::kTimedOut;
  }
  switch (error.code) {
    case grpc::StatusCode::OK:
      return ExitCode::kOk;
    case grpc::StatusCode::NOT_FOUND:
      return ExitCode::kNotFound;
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::FAILED_PRECONDITION:
      return ExitCode::kConflict;
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return ExitCode::kUnavailable;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return ExitCode::kTimedOut;
    default:
      return ExitCode::kFailed;
  }
}

CallError ItemError(const v1::ItemStatus& status) {
  CallError error;
  error.code = static_cast<grpc::StatusCode>(status.code());
  error.reason_name = status.reason();
  v1::ErrorReason reason = v1::UNKNOWN;
  if (v1::ErrorReason_Parse(status.reason(), &reason)) {
    error.reason = reason;
  }
  error.outcome = reason == v1::OUTCOME_UNKNOWN ? Outcome::kUnknown : Outcome::kNotExecuted;
  error.message = status.message();
  return error;
}

void PrintError(std::ostream& err, const CallError& error) {
  err << "error: " << ToText(error) << "\n";
  const std::string_view advice = Advice(error);
  if (!advice.empty()) {
    err << "hint: " << advice << "\n";
  }
}

std::string ToJson(const google::protobuf::Message& message, bool on_one_line) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = !on_one_line;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  return status.ok() ? json : "{}";
}

std::string JsonString(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || c == '"' || c == '\\') {
      quoted += fmt::format("\\u{:04x}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

Table::Table(std::vector<std::string> headings) {
  for (std::string& heading : headings) {
    right_.push_back(heading.starts_with('>'));
    if (right_.back()) {
      heading.erase(0, 1);
    }
  }
  rows_.push_back(std::move(headings));
}

void Table::Add(std::vector<std::string> cells) {
  cells.resize(right_.size());
  rows_.push_back(std::move(cells));
}

void Table::Print(std::ostream& out) const {
  std::vector<size_t> widths(right_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += right_[i] ? fmt::format("{:>{}}", row[i], widths[i])
                        : fmt::format("{:<{}}", row[i], widths[i]);
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << "\n";
  }
}

std::string CountText(int64_t value) { return value < 0 ? "-" : fmt::format("{}", value); }

std::string AgeText(int64_t age_ms) {
  constexpr int64_t kSecondMs = 1000;
  constexpr int64_t kMinuteMs = 60 * kSecondMs;
  if (age_ms < 0) {
    return "-";
  }
  if (age_ms < kSecondMs) {
    return fmt::format("{} ms", age_ms);
  }
  return age_ms < kMinuteMs
             ? fmt::format("{:.1f} s", static_cast<double>(age_ms) / double{kSecondMs})
             : fmt::format("{:.1f} min", static_cast<double>(age_ms) / double{kMinuteMs});
}

std::string IdsText(const google::protobuf::RepeatedField<int32_t>& ids) {
  return ids.empty() ? "-" : fmt::format("{}", fmt::join(ids, ","));
}

std::string ReplicasText(const v1::PartitionInfo& partition) {
  std::string text;
  for (const int32_t broker : partition.replicas()) {
    text += fmt::format("{}{}{}", text.empty() ? "" : ",", broker,
                        broker == partition.leader() ? "*" : "");
  }
  return text;
}

std::string ElapsedText(std::chrono::steady_clock::duration elapsed) {
  const std::chrono::duration<double, std::milli> ms = elapsed;
  return fmt::format("{:.1f} ms", ms.count());
}

}  // namespace kvorum::client::cli
