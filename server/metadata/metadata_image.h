#pragma once

#include <cstdint>
#include <memory>

#include "server/metadata/brokers/brokers_image.h"
#include "server/metadata/entries/entries_image.h"
#include "server/metadata/provenance.h"
#include "server/metadata/topics/topics_image.h"

namespace kvorum {

// The whole metadata at one position of the log: one immutable image per domain, shared with the
// images before and after where nothing changed. Copies are cheap. Any thread.
class MetadataImage {
 public:
  // The image of the empty log.
  MetadataImage();
  MetadataImage(const Provenance& provenance, std::shared_ptr<const BrokersImage> brokers,
                std::shared_ptr<const TopicsImage> topics,
                std::shared_ptr<const EntriesImage> entries);

  // Shared, so that whoever holds an image holds it in the same way.
  static std::shared_ptr<const MetadataImage> Empty();

  const Provenance& provenance() const { return provenance_; }
  const BrokersImage& brokers() const { return *brokers_; }
  const TopicsImage& topics() const { return *topics_; }
  const EntriesImage& entries() const { return *entries_; }

  const std::shared_ptr<const BrokersImage>& shared_brokers() const { return brokers_; }
  const std::shared_ptr<const TopicsImage>& shared_topics() const { return topics_; }
  const std::shared_ptr<const EntriesImage>& shared_entries() const { return entries_; }

  // Sum over all entities of a hash of each, kept by the deltas: O(1). Equal on all nodes that have
  // applied the same log; says nothing of the provenance.
  uint64_t StateHash() const;

 private:
  Provenance provenance_;
  std::shared_ptr<const BrokersImage> brokers_;
  std::shared_ptr<const TopicsImage> topics_;
  std::shared_ptr<const EntriesImage> entries_;
};

}  // namespace kvorum
