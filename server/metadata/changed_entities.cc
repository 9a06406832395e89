#include "server/metadata/changed_entities.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

#include "server/base/crc32c.h"
#include "server/base/overloaded.h"
#include "server/base/uuid.h"
#include "server/metadata/quotas/quotas_image.h"
#include "server/metadata/record_visit.h"

namespace kvorum {
namespace {

// Seeds: equal names of two kinds are two entities.
enum Kind : uint64_t {
  kTopicId = 1,
  kTopicName,
  kConfigs,
  kQuota,
  kAccess,
  kUser,
  kFeature,
  kProducerIds,
  kBroker,
  kEntry,
};

EntityId BrokerEntity(int32_t id) { return Hash64(fmt::format("{}", id), kBroker); }

EntityId ConfigsEntity(v1::ConfigResourceType type, std::string_view resource) {
  return Hash64(resource, Hash64(fmt::format("{}", static_cast<int>(type)), kConfigs));
}

EntityId AccessEntity(const v1::AclBinding& binding) {
  return Hash64(binding.resource_name(),
                Hash64(fmt::format("{}/{}", static_cast<int>(binding.resource_type()),
                                   static_cast<int>(binding.pattern_type())),
                       kAccess));
}

EntityId EntryEntity(std::string_view name_space, std::string_view key) {
  return Hash64(key, Hash64(name_space, kEntry));
}

}  // namespace

void AddChangedEntities(const v1::MetadataRecord& record, const MetadataImage& before,
                        std::vector<EntityId>& entities) {
  const auto add = [&entities](EntityId entity) { entities.push_back(entity); };
  VisitRecord(
      record,
      Overloaded{
          [](const v1::NoOpRecord&) {},
          [](const v1::CompletedRequestRecord&) {},
          [](const v1::ExpireRequestsRecord&) {},
          [](const v1::WriteReasonRecord&) {},
          [&](const v1::RegisterBrokerRecord& inner) { add(BrokerEntity(inner.broker_id())); },
          [&](const v1::UnregisterBrokerRecord& inner) { add(BrokerEntity(inner.broker_id())); },
          [&](const v1::BrokerRegistrationChangeRecord& inner) {
            add(BrokerEntity(inner.broker_id()));
          },
          [&](const v1::TopicRecord& inner) {
            add(Hash64(inner.topic_id(), kTopicId));
            add(Hash64(inner.name(), kTopicName));
          },
          [&](const v1::RemoveTopicRecord& inner) {
            add(Hash64(inner.topic_id(), kTopicId));
            add(Hash64(inner.name(), kTopicName));
            add(ConfigsEntity(v1::CONFIG_RESOURCE_TYPE_TOPIC, inner.name()));
          },
          [&](const v1::PartitionRecord& inner) { add(Hash64(inner.topic_id(), kTopicId)); },
          [&](const v1::PartitionChangeRecord& inner) { add(Hash64(inner.topic_id(), kTopicId)); },
          [&](const v1::EntryRecord& inner) { add(EntryEntity(inner.namespace_(), inner.key())); },
          [&](const v1::RemoveEntryRecord& inner) {
            add(EntryEntity(inner.namespace_(), inner.key()));
          },
          [&](const v1::ConfigRecord& inner) {
            add(ConfigsEntity(inner.resource_type(), inner.resource_name()));
          },
          [&](const v1::RemoveConfigRecord& inner) {
            add(ConfigsEntity(inner.resource_type(), inner.resource_name()));
          },
          [&](const v1::ClientQuotaRecord& inner) {
            add(Hash64(QuotaEntityKey(inner.entity()), kQuota));
          },
          [&](const v1::RemoveClientQuotaRecord& inner) {
            add(Hash64(QuotaEntityKey(inner.entity()), kQuota));
          },
          [&](const v1::AccessControlEntryRecord& inner) { add(AccessEntity(inner.binding())); },
          [&](const v1::RemoveAccessControlEntryRecord& inner) {
            // One that the same commit makes and removes is known by the record that makes it.
            const std::optional<Uuid> id = Uuid::FromBytes(inner.id());
            const auto* found = id.has_value() ? before.acls().by_id.Find(*id) : nullptr;
            if (found != nullptr) {
              add(AccessEntity((*found)->binding()));
            }
          },
          [&](const v1::UserScramCredentialRecord& inner) { add(Hash64(inner.user(), kUser)); },
          [&](const v1::RemoveUserScramCredentialRecord& inner) {
            add(Hash64(inner.user(), kUser));
          },
          [&](const v1::FeatureLevelRecord& inner) { add(Hash64(inner.name(), kFeature)); },
          [&](const v1::ProducerIdsRecord&) { add(Hash64("", kProducerIds)); },
      });
}

}  // namespace kvorum
