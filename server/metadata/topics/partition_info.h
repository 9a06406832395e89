#pragma once

#include <cstdint>

#include "kvorum/v1/topic.pb.h"
#include "server/metadata/topics/topics_image.h"

namespace kvorum {

// The partition as replies show it.
v1::PartitionInfo ToPartitionInfo(int32_t index, const Partition& partition);

}  // namespace kvorum
