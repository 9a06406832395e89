#pragma once

#include <google/protobuf/message.h>

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "client/status.h"
#include "kvorum/v1/common.pb.h"
#include "kvorum/v1/topic.pb.h"

namespace kvorum::client::cli {

// Of every kvorumctl command; scripts rely on them.
enum class ExitCode : int {
  kOk = 0,
  kFailed = 1,       // refused for a reason of its own, or broken
  kUsage = 2,        // the command line is wrong; nothing was sent
  kNotFound = 3,     // also: unknown topic, broker, key
  kConflict = 4,     // exists already, or a precondition or version does not hold
  kUnavailable = 5,  // no controller reachable, no leader, or overloaded; nothing was carried out
  kTimedOut = 6,     // no answer in time; a write may or may not have been carried out
  kUnhealthy = 7,    // `status` found no active controller
};

enum class OutputFormat { kTable, kJson };

ExitCode ExitCodeFor(const CallError& error);

// A failed item of a batch as an error of its own. REQUIRES: status.code() != 0.
CallError ItemError(const v1::ItemStatus& status);

// Reason, message and what to do, on two lines.
void PrintError(std::ostream& err, const CallError& error);

// Protobuf JSON with the field names of the .proto files and all fields present.
std::string ToJson(const google::protobuf::Message& message, bool on_one_line);

// Quoted and escaped as a JSON string.
std::string JsonString(const std::string& text);

// Rows under fixed headings, columns as wide as their widest cell, two spaces apart.
class Table {
 public:
  // A heading that starts with '>' is of numbers: right-aligned, without the sign.
  explicit Table(std::vector<std::string> headings);

  // REQUIRES: as many cells as headings.
  void Add(std::vector<std::string> cells);
  void Print(std::ostream& out) const;

 private:
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;  // the first one: headings
};

// "-" when negative: the answering node does not know.
std::string CountText(int64_t value);
// "12 ms", "3.4 s", "2.0 min", or "-".
std::string AgeText(int64_t age_ms);
// "1,2,3"; "-" if there are none.
std::string IdsText(const google::protobuf::RepeatedField<int32_t>& ids);
// Replicas in order of preference, the leader marked.
std::string ReplicasText(const v1::PartitionInfo& partition);
std::string ElapsedText(std::chrono::steady_clock::duration elapsed);

}  // namespace kvorum::client::cli
