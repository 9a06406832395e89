#include "server/publish/encode_update.h"

#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "server/base/check.h"
#include "server/metadata/record_codec.h"

namespace kvorum::publish {
namespace {

using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

// Most bytes a commit adds to its records: two tags with lengths, and all fields of v1::Commit.
constexpr size_t kMaxCommitHeadBytes = 80;
// And what each record of a filtered commit adds: a tag with its length, and its offset.
constexpr size_t kMaxItemHeadBytes = 20;

constexpr uint8_t Tag(int field) { return static_cast<uint8_t>((field << 3) | 2); }

void PutTag(std::string& out, int field, size_t length) {
  uint8_t bytes[16];
  bytes[0] = Tag(field);
  const uint8_t* end =
      CodedOutputStream::WriteVarint64ToArray(static_cast<uint64_t>(length), bytes + 1);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(end - bytes));
}

// Head of a MetadataUpdate whose field `field` is `message` followed by `payload_size` more bytes.
std::string Wrap(int field, const std::string& message, size_t payload_size) {
  std::string inner;
  PutTag(inner, field, message.size() + payload_size);
  inner.append(message);
  std::string head;
  PutTag(head, v1::SubscribeResponse::kUpdatesFieldNumber, inner.size() + payload_size);
  head.append(inner);
  return head;
}

EncodedUpdate MakeEncoded(std::string head, SharedBytes payload) {
  return {std::make_shared<const std::string>(std::move(head)), std::move(payload)};
}

// Cuts the wire form of a repeated field between its elements, at about `max_bytes` a part.
std::vector<SharedBytes> SplitPayload(const std::string& payload, size_t max_bytes) {
  std::vector<SharedBytes> parts;
  CodedInputStream in(reinterpret_cast<const uint8_t*>(payload.data()),
                      static_cast<int>(payload.size()));
  size_t part_start = 0;
  size_t end = 0;  // of the last whole element
  while (end < payload.size()) {
    const uint32_t tag = in.ReadTag();
    uint32_t length = 0;
    KVORUM_CHECK((tag & 7) == 2 && in.ReadVarint32(&length) && in.Skip(static_cast<int>(length)),
                 "committed payload is malformed at byte {}", end);
    const auto next = static_cast<size_t>(in.CurrentPosition());
    if (next - part_start > max_bytes && end > part_start) {
      parts.push_back(
          std::make_shared<const std::string>(payload.substr(part_start, end - part_start)));
      part_start = end;
    }
    end = next;
  }
  parts.push_back(std::make_shared<const std::string>(payload.substr(part_start)));
  return parts;
}

// The batch's own bytes, unless controllers keep a part of them for themselves.
SharedBytes WithoutPrivate(const SharedBytes& payload) {
  const size_t bytes = payload == nullptr ? 0 : PublicBytes(*payload);
  if (bytes == 0) {
    return nullptr;
  }
  return bytes == payload->size() ? payload
                                  : std::make_shared<const std::string>(payload->substr(0, bytes));
}

}  // namespace

void EncodedUpdate::AppendTo(Delivery& delivery) const {
  delivery.push_back(head);
  if (payload) {
    delivery.push_back(payload);
  }
}

EncodedUpdate EncodeUpdate(const v1::MetadataUpdate& update) {
  const std::string message = update.SerializeAsString();
  std::string head;
  PutTag(head, v1::SubscribeResponse::kUpdatesFieldNumber, message.size());
  head.append(message);
  return MakeEncoded(std::move(head), nullptr);
}

std::vector<EncodedUpdate> EncodeCommit(const CommittedUpdate& update, uint64_t generation,
                                        size_t max_bytes) {
  v1::Commit commit;
  commit.set_from(update.from.value());
  commit.mutable_to()->set_generation(generation);
  commit.mutable_to()->set_epoch(update.epoch.value());
  commit.mutable_to()->set_offset(update.to.value());
  std::vector<SharedBytes> payloads;
  const SharedBytes payload = WithoutPrivate(update.payload);
  if (payload && payload->size() + kMaxCommitHeadBytes > max_bytes) {
    payloads = SplitPayload(*payload, max_bytes - std::min(max_bytes, kMaxCommitHeadBytes));
  } else {
    payloads.push_back(payload);
  }
  std::vector<EncodedUpdate> parts;
  parts.reserve(payloads.size());
  for (size_t i = 0; i < payloads.size(); ++i) {
    if (payloads.size() > 1) {
      commit.set_part(static_cast<uint32_t>(i));
      commit.set_part_count(static_cast<uint32_t>(payloads.size()));
    }
    parts.push_back(
        MakeEncoded(Wrap(v1::MetadataUpdate::kCommitFieldNumber, commit.SerializeAsString(),
                         payloads[i] ? payloads[i]->size() : 0),
                    payloads[i]));
  }
  return parts;
}

std::vector<EncodedUpdate> EncodeFilteredCommit(v1::Commit commit, size_t max_bytes) {
  v1::Commit empty;
  *empty.mutable_to() = commit.to();
  empty.set_from(commit.from());
  std::vector<v1::Commit> parts{empty};
  size_t bytes = 0;
  // The part that takes `more` bytes beside what it has.
  const auto part_for = [&](size_t more) -> v1::Commit& {
    more += kMaxItemHeadBytes;
    if (bytes > 0 && bytes + more + kMaxCommitHeadBytes > max_bytes) {
      parts.push_back(empty);
      bytes = 0;
    }
    bytes += more;
    return parts.back();
  };
  for (v1::LeftScope& left : *commit.mutable_left_scope()) {
    *part_for(left.ByteSizeLong()).add_left_scope() = std::move(left);
  }
  for (int i = 0; i < commit.records_size(); ++i) {
    v1::MetadataRecord& record = *commit.mutable_records(i);
    v1::Commit& part = part_for(record.ByteSizeLong());
    *part.add_records() = std::move(record);
    part.add_offsets(commit.offsets(i));
  }
  std::vector<EncodedUpdate> encoded;
  for (size_t i = 0; i < parts.size(); ++i) {
    v1::MetadataUpdate update;
    *update.mutable_commit() = std::move(parts[i]);
    if (parts.size() > 1) {
      update.mutable_commit()->set_part(static_cast<uint32_t>(i));
      update.mutable_commit()->set_part_count(static_cast<uint32_t>(parts.size()));
    }
    encoded.push_back(EncodeUpdate(update));
  }
  return encoded;
}

EncodedUpdate EncodeSnapshotChunk(std::string chunk) {
  auto payload = std::make_shared<const std::string>(std::move(chunk));
  std::string head = Wrap(v1::MetadataUpdate::kSnapshotChunkFieldNumber, "", payload->size());
  return MakeEncoded(std::move(head), std::move(payload));
}

}  // namespace kvorum::publish
