#pragma once

#include <cstdint>
#include <memory>

#include "server/metadata/acls/acls_image.h"
#include "server/metadata/brokers/brokers_image.h"
#include "server/metadata/configs/configs_image.h"
#include "server/metadata/credentials/credentials_image.h"
#include "server/metadata/entries/entries_image.h"
#include "server/metadata/features/features_image.h"
#include "server/metadata/producer_ids/producer_ids_image.h"
#include "server/metadata/provenance.h"
#include "server/metadata/quotas/quotas_image.h"
#include "server/metadata/requests/requests_image.h"
#include "server/metadata/topics/topics_image.h"

namespace kvorum {

// One immutable image per domain. Plain value; a new one is that of the empty log.
struct DomainImages {
  std::shared_ptr<const FeaturesImage> features = std::make_shared<const FeaturesImage>();
  std::shared_ptr<const BrokersImage> brokers = std::make_shared<const BrokersImage>();
  std::shared_ptr<const TopicsImage> topics = std::make_shared<const TopicsImage>();
  std::shared_ptr<const ConfigsImage> configs = std::make_shared<const ConfigsImage>();
  std::shared_ptr<const QuotasImage> quotas = std::make_shared<const QuotasImage>();
  std::shared_ptr<const ProducerIdsImage> producer_ids = std::make_shared<const ProducerIdsImage>();
  std::shared_ptr<const AclsImage> acls = std::make_shared<const AclsImage>();
  std::shared_ptr<const CredentialsImage> credentials = std::make_shared<const CredentialsImage>();
  std::shared_ptr<const EntriesImage> entries = std::make_shared<const EntriesImage>();
  std::shared_ptr<const RequestsImage> requests = std::make_shared<const RequestsImage>();
};

// The whole metadata at one position of the log: its domains' images, shared with the metadata
// before and after where nothing changed. Copies are cheap. Any thread.
class MetadataImage {
 public:
  // The image of the empty log.
  MetadataImage() = default;
  MetadataImage(const Provenance& provenance, DomainImages domains);

  // Shared, so that whoever holds an image holds it in the same way.
  static std::shared_ptr<const MetadataImage> Empty();

  const Provenance& provenance() const { return provenance_; }
  const FeaturesImage& features() const { return *domains_.features; }
  const BrokersImage& brokers() const { return *domains_.brokers; }
  const TopicsImage& topics() const { return *domains_.topics; }
  const ConfigsImage& configs() const { return *domains_.configs; }
  const QuotasImage& quotas() const { return *domains_.quotas; }
  const ProducerIdsImage& producer_ids() const { return *domains_.producer_ids; }
  const AclsImage& acls() const { return *domains_.acls; }
  const CredentialsImage& credentials() const { return *domains_.credentials; }
  const EntriesImage& entries() const { return *domains_.entries; }
  const RequestsImage& requests() const { return *domains_.requests; }

  const DomainImages& domains() const { return domains_; }

  // Sum over all entities of a hash of each, kept by the deltas: O(1). Equal on all nodes that have
  // applied the same log; says nothing of the provenance.
  uint64_t StateHash() const;

 private:
  Provenance provenance_;
  DomainImages domains_;
};

}  // namespace kvorum
