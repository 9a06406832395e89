#include "server/metadata/metadata_delta.h"

#include "server/base/overloaded.h"
#include "server/metadata/record_visit.h"

namespace kvorum {

static_assert(Domain<BrokersDelta>);
static_assert(Domain<TopicsDelta>);
static_assert(Domain<EntriesDelta>);

MetadataDelta::MetadataDelta(const MetadataImage& base)
    : brokers_(base.shared_brokers()),
      topics_(base.shared_topics()),
      entries_(base.shared_entries()) {}

void MetadataDelta::Replay(const v1::MetadataRecord& record, Offset offset) {
  VisitRecord(
      record,
      Overloaded{
          [](const v1::NoOpRecord&) {},
          [&](const v1::RegisterBrokerRecord& inner) { brokers_.Replay(inner, offset); },
          [&](const v1::UnregisterBrokerRecord& inner) { brokers_.Replay(inner, offset); },
          [&](const v1::BrokerRegistrationChangeRecord& inner) { brokers_.Replay(inner, offset); },
          [&](const v1::TopicRecord& inner) { topics_.Replay(inner, offset); },
          [&](const v1::RemoveTopicRecord& inner) { topics_.Replay(inner, offset); },
          [&](const v1::PartitionRecord& inner) { topics_.Replay(inner, offset); },
          [&](const v1::PartitionChangeRecord& inner) { topics_.Replay(inner, offset); },
          [&](const v1::EntryRecord& inner) { entries_.Replay(inner, offset); },
          [&](const v1::RemoveEntryRecord& inner) { entries_.Replay(inner, offset); },
      });
}

std::shared_ptr<const MetadataImage> MetadataDelta::Apply(const Provenance& provenance) const {
  return std::make_shared<const MetadataImage>(provenance, brokers_.Apply(), topics_.Apply(),
                                               entries_.Apply());
}

}  // namespace kvorum
