#include "server/metadata/metadata_delta.h"

#include <charconv>
#include <system_error>
#include <utility>

#include "server/base/check.h"
#include "server/base/overloaded.h"
#include "server/metadata/configs/config_keys.h"
#include "server/metadata/record_visit.h"

namespace kvorum {

static_assert(Domain<FeaturesDelta>);
static_assert(Domain<BrokersDelta>);
static_assert(Domain<TopicsDelta>);
static_assert(Domain<ConfigsDelta>);
static_assert(Domain<QuotasDelta>);
static_assert(Domain<ProducerIdsDelta>);
static_assert(Domain<AclsDelta>);
static_assert(Domain<CredentialsDelta>);
static_assert(Domain<EntriesDelta>);
static_assert(Domain<RequestsDelta>);

MetadataDelta::MetadataDelta(const MetadataImage& base)
    : features_(base.domains().features),
      brokers_(base.domains().brokers),
      topics_(base.domains().topics),
      configs_(base.domains().configs),
      quotas_(base.domains().quotas),
      producer_ids_(base.domains().producer_ids),
      acls_(base.domains().acls),
      credentials_(base.domains().credentials),
      entries_(base.domains().entries),
      requests_(base.domains().requests) {}

template <typename Record>
void MetadataDelta::FollowMinInsync(const Record& record, const std::string* value, Offset offset) {
  if (record.name() != kMinInsyncReplicas) {
    return;
  }
  int32_t number = 0;
  if (value != nullptr) {
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
    KVORUM_CHECK(error == std::errc() && number > 0, "offset {}: {}", offset,
                 record.ShortDebugString());
  }
  if (record.resource_type() == v1::CONFIG_RESOURCE_TYPE_TOPIC) {
    topics_.SetMinInsyncConfig(record.resource_name(), number);
  } else if (record.resource_type() == v1::CONFIG_RESOURCE_TYPE_BROKER &&
             record.resource_name().empty()) {
    topics_.SetDefaultMinInsync(number);
  }
}

void MetadataDelta::Replay(const v1::MetadataRecord& record, Offset offset) {
  VisitRecord(
      record,
      Overloaded{
          [](const v1::NoOpRecord&) {},
          [&](const v1::RegisterBrokerRecord& inner) {
            const Broker* before = brokers_.image().Find(BrokerId{inner.broker_id()});
            const bool is_new_session =
                before != nullptr && before->epoch != BrokerEpoch{inner.broker_epoch()};
            brokers_.Replay(inner, offset);
            if (is_new_session) {
              entries_.CheckOwnsNothing(BrokerId{inner.broker_id()}, offset);
            }
          },
          [&](const v1::UnregisterBrokerRecord& inner) {
            brokers_.Replay(inner, offset);
            entries_.CheckOwnsNothing(BrokerId{inner.broker_id()}, offset);
          },
          [&](const v1::BrokerRegistrationChangeRecord& inner) {
            brokers_.Replay(inner, offset);
            if (inner.fenced()) {
              entries_.CheckOwnsNothing(BrokerId{inner.broker_id()}, offset);
            }
          },
          [&](const v1::TopicRecord& inner) { topics_.Replay(inner, offset); },
          [&](const v1::RemoveTopicRecord& inner) {
            topics_.Replay(inner, offset);
            configs_.Replay(inner, offset, topics_.image());
          },
          [&](const v1::PartitionRecord& inner) { topics_.Replay(inner, offset); },
          [&](const v1::PartitionChangeRecord& inner) { topics_.Replay(inner, offset); },
          [&](const v1::EntryRecord& inner) { entries_.Replay(inner, offset, brokers_.image()); },
          [&](const v1::RemoveEntryRecord& inner) { entries_.Replay(inner, offset); },
          [&](const v1::ConfigRecord& inner) {
            configs_.Replay(inner, offset, topics_.image());
            FollowMinInsync(inner, &inner.value(), offset);
          },
          [&](const v1::RemoveConfigRecord& inner) {
            configs_.Replay(inner, offset);
            FollowMinInsync(inner, nullptr, offset);
          },
          [&](const v1::ClientQuotaRecord& inner) { quotas_.Replay(inner, offset); },
          [&](const v1::RemoveClientQuotaRecord& inner) { quotas_.Replay(inner, offset); },
          [&](const v1::AccessControlEntryRecord& inner) { acls_.Replay(inner, offset); },
          [&](const v1::RemoveAccessControlEntryRecord& inner) { acls_.Replay(inner, offset); },
          [&](const v1::UserScramCredentialRecord& inner) { credentials_.Replay(inner, offset); },
          [&](const v1::RemoveUserScramCredentialRecord& inner) {
            credentials_.Replay(inner, offset);
          },
          [&](const v1::FeatureLevelRecord& inner) { features_.Replay(inner, offset); },
          [&](const v1::ProducerIdsRecord& inner) { producer_ids_.Replay(inner, offset); },
          [&](const v1::CompletedRequestRecord& inner) { requests_.Replay(inner, offset); },
          [&](const v1::ExpireRequestsRecord& inner) { requests_.Replay(inner, offset); },
          [](const v1::WriteReasonRecord&) {},
      });
}

void MetadataDelta::Replay(v1::MetadataRecord&& record, Offset offset) {
  if (record.has_entry()) {
    entries_.Replay(std::move(*record.mutable_entry()), offset, brokers_.image());
  } else {
    Replay(std::as_const(record), offset);
  }
}

std::shared_ptr<const MetadataImage> MetadataDelta::Apply(const Provenance& provenance) const {
  DomainImages domains;
  domains.features = features_.Apply();
  domains.brokers = brokers_.Apply();
  domains.topics = topics_.Apply();
  domains.configs = configs_.Apply();
  domains.quotas = quotas_.Apply();
  domains.producer_ids = producer_ids_.Apply();
  domains.acls = acls_.Apply();
  domains.credentials = credentials_.Apply();
  domains.entries = entries_.Apply();
  domains.requests = requests_.Apply();
  return std::make_shared<const MetadataImage>(provenance, std::move(domains));
}

}  // namespace kvorum
