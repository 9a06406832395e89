#pragma once

#include "absl/status/status.h"
#include "kvorum/v1/metadata.pb.h"
#include "server/metadata/metadata_image.h"

namespace kvorum {

// OK if `precondition` holds in `image`. Else INVALID_UPDATE_VERSION, with what is there instead;
// INVALID_REQUEST if it says nothing that could hold.
absl::Status CheckPrecondition(const MetadataImage& image, const v1::Precondition& precondition);

}  // namespace kvorum
