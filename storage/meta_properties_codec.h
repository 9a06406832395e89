#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/meta_properties.h"

namespace kvorum {

// The text of meta.properties: `key=value` lines, one `initial.voter` line per voter, and a CRC32C
// of everything above it as the last line, so that an edited or damaged file is noticed.

// InvalidArgument for values the text cannot hold.
absl::StatusOr<std::string> EncodeMetaProperties(const MetaProperties& properties);

// FailedPrecondition for a newer format, DataLoss for anything else wrong. The messages do not name
// the file.
absl::StatusOr<MetaProperties> DecodeMetaProperties(std::string_view text);

}  // namespace kvorum
