#include "tests/integration/demo_broker_process.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <signal.h>

#include <filesystem>
#include <utility>

namespace kvorum::testing {

std::optional<google::protobuf::Struct> ParseJson(const std::string& text) {
  google::protobuf::Struct document;
  return google::protobuf::util::JsonStringToMessage(text, &document).ok()
             ? std::optional(std::move(document))
             : std::nullopt;
}

DemoBrokerProcess::DemoBrokerProcess(const Cluster& cluster, int32_t id, std::string rack)
    : id_(id),
      rack_(std::move(rack)),
      endpoints_(cluster.endpoints()),
      directory_(cluster.path()) {}

void DemoBrokerProcess::Start() {
  const std::string state_file = fmt::format("{}/broker-{}.json", directory_, id_);
  std::filesystem::remove(state_file);  // of the life before
  process_ = Process({Cluster::BinaryPath("demo_broker"), "--id", std::to_string(id_),
                      "--endpoints", endpoints_, "--rack", rack_, "--heartbeat-interval-ms", "100",
                      "--print-updates", "false", "--state-file", state_file},
                     fmt::format("{}/broker-{}.log", directory_, id_));
}

void DemoBrokerProcess::Kill() {
  process_.Signal(SIGKILL);
  process_.Wait();
}

int DemoBrokerProcess::Stop() {
  process_.Signal(SIGTERM);
  return process_.Wait();
}

std::optional<google::protobuf::Struct> DemoBrokerProcess::State() const {
  return ParseJson(ReadFile(fmt::format("{}/broker-{}.json", directory_, id_)));
}

double DemoBrokerProcess::Number(const std::string& key) const {
  const auto state = State();
  const auto* fields = state.has_value() ? &state->fields() : nullptr;
  return fields != nullptr && fields->contains(key) ? fields->at(key).number_value() : -1;
}

std::string DemoBrokerProcess::Text(const std::string& key) const {
  const auto state = State();
  const auto* fields = state.has_value() ? &state->fields() : nullptr;
  return fields != nullptr && fields->contains(key) ? fields->at(key).string_value() : "";
}

bool DemoBrokerProcess::Flag(const std::string& key) const {
  const auto state = State();
  const auto* fields = state.has_value() ? &state->fields() : nullptr;
  return fields != nullptr && fields->contains(key) && fields->at(key).bool_value();
}

bool DemoBrokerProcess::AwaitUnfenced() const {
  return Eventually([this] { return Number("broker_epoch") >= 0 && !Flag("fenced"); });
}

bool DemoBrokerProcess::AwaitOffset(int64_t offset) const {
  return Eventually([&] { return Number("offset") >= static_cast<double>(offset); });
}

std::string DemoBrokerProcess::ReadLog() const {
  return ReadFile(fmt::format("{}/broker-{}.log", directory_, id_));
}

}  // namespace kvorum::testing
