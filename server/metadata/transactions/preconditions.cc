#include "server/metadata/transactions/preconditions.h"

#include <fmt/format.h>

#include <optional>
#include <string>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/base/uuid.h"
#include "server/metadata/configs/config_keys.h"
#include "server/metadata/request_checks.h"

namespace kvorum {
namespace {

absl::Status Invalid(const std::string& message) {
  return MakeError(ErrorReason::kInvalidRequest, message);
}

absl::Status Failed(const std::string& message) {
  return MakeError(ErrorReason::kInvalidUpdateVersion, message + "; read again and decide anew");
}

absl::Status Check(const MetadataImage& image, const v1::Precondition::EntryVersion& entry) {
  if (entry.key().empty()) {
    return Invalid("the entry's key is empty");
  }
  if (entry.version() < 0) {
    return Invalid(fmt::format("version is {}; use a version, or 0 for a key that must not exist",
                               entry.version()));
  }
  const v1::EntryRecord* current = image.entries().Find(entry.key(), entry.namespace_());
  const int64_t version = current == nullptr ? 0 : current->version();
  if (version == entry.version()) {
    return absl::OkStatus();
  }
  return Failed(fmt::format("key {} is at version {} (0: absent) but {} was expected",
                            ShownText(entry.key()), version, entry.version()));
}

absl::Status Check(const MetadataImage& image, const v1::Precondition::TopicIs& topic) {
  if (topic.name().empty()) {
    return Invalid("the topic's name is empty");
  }
  const std::optional<Uuid> id = Uuid::Parse(topic.topic_id());
  if (!topic.topic_id().empty() && !id.has_value()) {
    return Invalid(
        fmt::format("topic_id of {} bytes is no UUID; give one, or nothing for a topic "
                    "that must not exist",
                    topic.topic_id().size()));
  }
  const Topic* current = image.topics().Find(std::string_view(topic.name()));
  if (current == nullptr) {
    return id.has_value() ? Failed(fmt::format("topic {} does not exist, but id {} was expected",
                                               ShownText(topic.name()), *id))
                          : absl::OkStatus();
  }
  if (id == current->id) {
    return absl::OkStatus();
  }
  return Failed(fmt::format("topic {} has id {}, but {} was expected", ShownText(topic.name()),
                            current->id, id.has_value() ? id->ToString() : "no such topic"));
}

absl::Status Check(const MetadataImage& image, const v1::Precondition::ConfigIs& config) {
  const ConfigKeyInfo* key = FindConfigKey(config.resource().type(), config.name());
  if (key == nullptr) {
    return Invalid(
        fmt::format("config {} is not known for this kind of resource", ShownText(config.name())));
  }
  const std::string* current =
      image.configs().Find({config.resource().type(), config.resource().name(), key->name});
  const bool holds =
      config.has_value() ? current != nullptr && *current == config.value() : current == nullptr;
  if (holds) {
    return absl::OkStatus();
  }
  return Failed(fmt::format("config '{}' of resource {} is {}, but {} was expected", key->name,
                            ShownText(config.resource().name()),
                            current == nullptr ? "not set" : ShownText(*current),
                            config.has_value() ? ShownText(config.value()) : "not set"));
}

absl::Status Check(const MetadataImage& image, const v1::Precondition::BrokerIs& broker) {
  KVORUM_RETURN_IF_ERROR(CheckBrokerId(broker.broker_id()));
  if (broker.broker_epoch() < -1) {
    return Invalid(
        fmt::format("broker_epoch is {}; use an epoch, or -1 for a broker that must not "
                    "be registered",
                    broker.broker_epoch()));
  }
  const Broker* current = image.brokers().Find(BrokerId{broker.broker_id()});
  const int64_t epoch = current == nullptr ? -1 : current->epoch.value();
  if (epoch == broker.broker_epoch()) {
    return absl::OkStatus();
  }
  return Failed(fmt::format("broker {} has epoch {} (-1: not registered), but {} was expected",
                            broker.broker_id(), epoch, broker.broker_epoch()));
}

}  // namespace

absl::Status CheckPrecondition(const MetadataImage& image, const v1::Precondition& precondition) {
  switch (precondition.condition_case()) {
    case v1::Precondition::kEntry:
      return Check(image, precondition.entry());
    case v1::Precondition::kTopic:
      return Check(image, precondition.topic());
    case v1::Precondition::kConfig:
      return Check(image, precondition.config());
    case v1::Precondition::kBroker:
      return Check(image, precondition.broker());
    case v1::Precondition::CONDITION_NOT_SET:
      break;
  }
  return Invalid(
      "it is empty, or of a kind that this version does not know; set entry, topic, config or "
      "broker");
}

}  // namespace kvorum
