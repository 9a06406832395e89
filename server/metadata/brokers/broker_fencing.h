#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "kvorum/v1/record.pb.h"
#include "server/base/ids.h"
#include "server/metadata/metadata_image.h"
#include "server/metadata/topics/partition_moves.h"

namespace kvorum {

// Decisions on a broker's session, as records. Pure; the controller calls them on heartbeats and
// time-outs. None of these results need be atomic: they may be cut at any point.

// OK if `epoch` is that of the broker's present registration. Else BROKER_ID_NOT_REGISTERED or
// STALE_BROKER_EPOCH.
absl::Status CheckBrokerEpoch(const BrokersImage& brokers, BrokerId id, BrokerEpoch epoch);

// True if a broker that has applied everything below `applied_offset` has seen its own
// registration, and so may be unfenced (KIP-631).
bool IsCaughtUp(const Broker& broker, Offset applied_offset);

// Takes the broker out of in-sync replicas and leadership, then marks it fenced, in this order so
// that no prefix leaves a fenced leader. Empty if it is fenced or not registered. In steps, the
// first from PartitionKey() on, each planned on an image that holds those before it; the last one
// also has what ends the session, as it is of one commit. Or all of it at once.
SweepStep FenceBroker(const MetadataImage& image, BrokerId id, const PartitionKey& from,
                      size_t max_changes);
std::vector<v1::MetadataRecord> FenceBroker(const MetadataImage& image, BrokerId id);

// Marks the broker unfenced, then elects it where no one leads and it may. Empty if it is unfenced
// or not registered.
std::vector<v1::MetadataRecord> UnfenceBroker(const MetadataImage& image, BrokerId id);

// Marks the broker as on its way out, and takes it out of in-sync replicas and leadership; the rest
// of that if it is marked already. Empty if there is nothing left to do, or it is fenced.
std::vector<v1::MetadataRecord> BeginControlledShutdown(const MetadataImage& image, BrokerId id);

// Marks the broker drained and moves leaders away from it, or marks it undrained. Empty if it is so
// already and nothing can move. REQUIRES: it is registered.
std::vector<v1::MetadataRecord> DrainBroker(const MetadataImage& image, BrokerId id);
std::vector<v1::MetadataRecord> UndrainBroker(const MetadataImage& image, BrokerId id);

// Notes which of the broker's log directories are offline. Empty if that is known.
// REQUIRES: it is registered, and they are its own.
std::vector<v1::MetadataRecord> SetOfflineLogDirs(const MetadataImage& image, BrokerId id,
                                                  const std::vector<Uuid>& offline);

}  // namespace kvorum
