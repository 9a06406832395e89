#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "kvorum/v1/feature.pb.h"
#include "server/metadata/command.h"

namespace kvorum {

inline constexpr int kMaxFeaturesPerRequest = 100;  // also of one broker's registration
inline constexpr size_t kMaxFeatureNameBytes = 249;
inline constexpr int32_t kMaxFeatureLevel = 32'767;  // Kafka's: signed 16 bits

// All or nothing: a refused item refuses all. INVALID_UPDATE_VERSION for an unknown feature, a
// level out of range, an unmet dependency, or a downgrade that is not asked for or loses metadata.
absl::StatusOr<CommandResult<v1::UpdateFeaturesResponse>> Execute(
    const CommandContext& context, const v1::UpdateFeaturesRequest& request);

// Finalized levels and what the brokers support, by name.
absl::StatusOr<v1::DescribeFeaturesResponse> Query(const QueryContext& context,
                                                   const v1::DescribeFeaturesRequest& request);

using SupportedFeatures = google::protobuf::RepeatedPtrField<v1::SupportedFeature>;

// OK if what a broker says it supports is sound. Else INVALID_REQUEST.
absl::Status ValidateSupportedFeatures(const SupportedFeatures& features);

// OK if a broker that supports `features` can work at the finalized levels. Else
// UNSUPPORTED_VERSION. A broker that says nothing of metadata.version is not asked about it.
absl::Status CheckSupportsFinalized(const FeaturesImage& image, const SupportedFeatures& features);

// What a new cluster's log begins with: it is at the newest level from the start.
std::vector<v1::MetadataRecord> BootstrapRecords(int32_t metadata_level);

}  // namespace kvorum
