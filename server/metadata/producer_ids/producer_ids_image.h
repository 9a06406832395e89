#pragma once

#include <cstdint>
#include <optional>

#include "kvorum/v1/record.pb.h"

namespace kvorum {

// Which producer ids are given away. Immutable once shared (held as
// shared_ptr<const ProducerIdsImage>); any thread. Only ProducerIdsDelta makes new ones.
struct ProducerIdsImage {
  std::optional<v1::ProducerIdsRecord> last_block;  // nullopt: none yet
  uint64_t state_hash = 0;

  // The first id that nobody has.
  int64_t next_producer_id() const {
    return last_block.has_value() ? last_block->next_producer_id() : 0;
  }
};

// Turns an image back into its record, if there is one. Borrows the image.
class ProducerIdsCursor {
 public:
  explicit ProducerIdsCursor(const ProducerIdsImage& image) : next_(&image) {}

  // Sets `record` to the next one; false at the end.
  bool Next(v1::MetadataRecord& record);

 private:
  const ProducerIdsImage* next_;  // null: done
};

}  // namespace kvorum
