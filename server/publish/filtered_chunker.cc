#include "server/publish/filtered_chunker.h"

#include <utility>

#include "server/metadata/record_codec.h"

namespace kvorum::publish {

std::optional<std::string> FilteredChunker::Next() {
  std::string chunk = std::exchange(pending_, std::string());
  v1::MetadataRecord record;
  for (size_t records = 1; records < kMaxRecordsPerBatch && cursor_.Next(record);) {
    if (!filter_->WantsOfImage(*image_, record)) {
      continue;
    }
    v1::RecordBatchPayload payload;
    payload.add_records()->Swap(&record);
    std::string bytes = payload.SerializeAsString();
    if (!chunk.empty() && chunk.size() + bytes.size() > max_bytes_) {
      pending_ = std::move(bytes);
      return chunk;
    }
    chunk += bytes;
    ++records;
  }
  return chunk.empty() ? std::nullopt : std::optional(std::move(chunk));
}

}  // namespace kvorum::publish
