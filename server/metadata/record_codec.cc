#include "server/metadata/record_codec.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>

#include "server/base/check.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/record_visit.h"

namespace kvorum {
namespace {

// What a record adds to a payload beyond its own bytes: a tag of up to two and a length of up to
// five.
constexpr size_t kRecordOverheadBytes = 7;

// Fields `records` and `private_records` of RecordBatchPayload, length-delimited.
constexpr uint32_t kRecordsTag = v1::RecordBatchPayload::kRecordsFieldNumber << 3 | 2;
constexpr uint32_t kPrivateRecordsTag = v1::RecordBatchPayload::kPrivateRecordsFieldNumber << 3 | 2;

size_t EncodedSize(const v1::MetadataRecord& record) {
  return record.ByteSizeLong() + kRecordOverheadBytes;
}

absl::Status UnknownContent(const v1::MetadataRecord& record, std::string_view what) {
  return MakeError(ErrorReason::kUnsupportedVersion,
                   fmt::format("record of kind {} has {} this version does not know; run the "
                               "version that wrote it, or a newer one",
                               static_cast<int>(record.record_case()), what));
}

// Of the message itself, not of those inside it.
bool HasUnknownFields(const google::protobuf::Message& message) {
  return !message.GetReflection()->GetUnknownFields(message).empty();
}

// Of the message and all those inside it.
bool HasUnknownFieldsWithin(const google::protobuf::Message& message) {
  if (HasUnknownFields(message)) {
    return true;
  }
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    }
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (HasUnknownFieldsWithin(field->is_repeated()
                                     ? reflection.GetRepeatedMessage(message, field, i)
                                     : reflection.GetMessage(message, field))) {
        return true;
      }
    }
  }
  return false;
}

// True if an enum field, here or within, has a value that is not of its enum.
bool HasUnknownEnumValuesWithin(const google::protobuf::Message& message) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
        if (HasUnknownEnumValuesWithin(field->is_repeated()
                                           ? reflection.GetRepeatedMessage(message, field, i)
                                           : reflection.GetMessage(message, field))) {
          return true;
        }
      } else if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_ENUM) {
        const int value = field->is_repeated() ? reflection.GetRepeatedEnumValue(message, field, i)
                                               : reflection.GetEnumValue(message, field);
        if (field->enum_type()->FindValueByNumber(value) == nullptr) {
          return true;
        }
      }
    }
  }
  return false;
}

// Partitions and topics come by the million and have one enum and no messages: checked without
// reflection on every field, as entries are.
template <typename Inner>
inline constexpr bool kIsFlat =
    std::is_same_v<Inner, v1::TopicRecord> || std::is_same_v<Inner, v1::PartitionRecord> ||
    std::is_same_v<Inner, v1::PartitionChangeRecord>;

template <typename Inner>
bool HasUnknownContent(const Inner& inner) {
  if constexpr (kIsFlat<Inner>) {
    return HasUnknownFields(inner);
  } else if constexpr (std::is_same_v<Inner, v1::EntryRecord>) {
    return HasUnknownFields(inner) || (inner.has_owner() && HasUnknownFields(inner.owner()));
  } else {
    return HasUnknownFieldsWithin(inner);
  }
}

template <typename Inner>
bool HasUnknownEnumValues(const Inner& inner) {
  if constexpr (requires { inner.leader_recovery_state(); }) {
    return !v1::LeaderRecoveryState_IsValid(inner.leader_recovery_state());
  } else {
    return !kIsFlat<Inner> && !std::is_same_v<Inner, v1::EntryRecord> &&
           HasUnknownEnumValuesWithin(inner);
  }
}

// One length-delimited field of a message.
struct Field {
  uint32_t tag = 0;
  std::string_view bytes;
};

// Takes the field at the front of `rest`; nullopt if there is none that is whole. Of a field of
// another wire type only the tag is told.
std::optional<Field> TakeField(std::string_view& rest) {
  constexpr uint32_t kWireTypeBits = 7;
  constexpr uint32_t kLengthDelimited = 2;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(rest.data()),
                                            static_cast<int>(rest.size()));
  Field field;
  uint32_t length = 0;
  field.tag = in.ReadTag();
  if (field.tag == 0 || field.tag >> 3 == 0) {
    return std::nullopt;
  }
  if ((field.tag & kWireTypeBits) != kLengthDelimited) {
    return field;
  }
  if (!in.ReadVarint32(&length)) {
    return std::nullopt;
  }
  rest.remove_prefix(static_cast<size_t>(in.CurrentPosition()));
  if (length > rest.size()) {
    return std::nullopt;
  }
  field.bytes = rest.substr(0, length);
  rest.remove_prefix(length);
  return field;
}

bool ParseFrom(std::string_view bytes, google::protobuf::MessageLite& message) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// Makes `record` what `bytes` say. If it is of their kind already, what it holds is used again: a
// record is a few allocations, and to parse it takes less time than those do.
bool ParseInto(std::string_view bytes, v1::MetadataRecord& record) {
  std::string_view rest = bytes;
  const std::optional<Field> only = TakeField(rest);
  const auto kind = static_cast<uint32_t>(record.record_case());
  if (!only.has_value() || !rest.empty() || kind == v1::MetadataRecord::RECORD_NOT_SET ||
      only->tag != (kind << 3 | 2)) {
    return ParseFrom(bytes, record);
  }
  return VisitRecord(record, [&only](const auto& inner) {
    return ParseFrom(only->bytes, const_cast<std::remove_cvref_t<decltype(inner)>&>(inner));
  });
}

absl::Status NoRecordBatch(std::string_view payload) {
  return MakeError(ErrorReason::kCorruptLog,
                   fmt::format("payload of {} bytes is no record batch", payload.size()));
}

}  // namespace

absl::Status CheckKnownRecord(const v1::MetadataRecord& record) {
  if (HasUnknownFields(record)) {
    return UnknownContent(record, "a kind");
  }
  if (record.record_case() == v1::MetadataRecord::RECORD_NOT_SET) {
    return MakeError(ErrorReason::kCorruptLog, "record without content");
  }
  return VisitRecord(record, [&record](const auto& inner) -> absl::Status {
    if (HasUnknownContent(inner)) {
      return UnknownContent(record, "a field");
    }
    if (HasUnknownEnumValues(inner)) {
      return UnknownContent(record, "an enum value");
    }
    return absl::OkStatus();
  });
}

absl::Status CheckFitsOneBatch(const std::vector<v1::MetadataRecord>& records) {
  const size_t count = static_cast<size_t>(std::count_if(
      records.begin(), records.end(), [](const auto& record) { return !IsPrivate(record); }));
  if (count > kMaxRecordsPerBatch) {
    return MakeError(ErrorReason::kPolicyViolation,
                     fmt::format("the request needs {} records but one batch holds at most {}; "
                                 "split the request",
                                 count, kMaxRecordsPerBatch));
  }
  size_t bytes = 0;
  for (const v1::MetadataRecord& record : records) {
    bytes += IsPrivate(record) ? 0 : EncodedSize(record);
  }
  if (bytes > kMaxBatchBytes) {
    return MakeError(ErrorReason::kPolicyViolation,
                     fmt::format("the request needs {} bytes of records but one batch holds at "
                                 "most {}; split the request",
                                 bytes, kMaxBatchBytes));
  }
  return absl::OkStatus();
}

std::string EncodeRecords(const std::vector<v1::MetadataRecord>& records) {
  KVORUM_CHECK(!records.empty(), "a batch without records");
  if (const absl::Status fits = CheckFitsOneBatch(records); !fits.ok()) {
    KVORUM_CHECK(false, "{}", fits.ToString());
  }
  // What a RecordBatchPayload of them serializes to, without a copy of each.
  std::string payload;
  size_t private_count = 0;
  {
    google::protobuf::io::StringOutputStream stream(&payload);
    google::protobuf::io::CodedOutputStream out(&stream);
    for (const v1::MetadataRecord& record : records) {
      // Offsets count through both in the order of the bytes.
      const bool is_private = IsPrivate(record);
      KVORUM_CHECK(is_private || private_count == 0, "a private record before a public one");
      private_count += is_private ? 1 : 0;
      out.WriteTag(is_private ? kPrivateRecordsTag : kRecordsTag);
      out.WriteVarint32(static_cast<uint32_t>(record.ByteSizeLong()));  // caches it, too
      record.SerializeWithCachedSizes(&out);
    }
  }
  KVORUM_CHECK(private_count <= kMaxPrivateRecordsPerBatch, "{} private records in a batch",
               private_count);
  return payload;
}

size_t PublicBytes(std::string_view payload) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(payload.data()),
                                            static_cast<int>(payload.size()));
  constexpr uint32_t kPublicTag = v1::RecordBatchPayload::kRecordsFieldNumber << 3 | 2;
  constexpr uint32_t kPrivateTag = v1::RecordBatchPayload::kPrivateRecordsFieldNumber << 3 | 2;
  size_t end = 0;
  uint32_t tag = 0;
  uint32_t length = 0;
  while ((tag = in.ReadTag()) == kPublicTag && in.ReadVarint32(&length) &&
         in.Skip(static_cast<int>(length))) {
    end = static_cast<size_t>(in.CurrentPosition());
  }
  KVORUM_CHECK(end == payload.size() || tag == kPrivateTag, "payload is malformed at byte {}", end);
  return end;
}

absl::Status VisitRecords(std::string_view payload,
                          absl::FunctionRef<void(v1::MetadataRecord& record)> visit) {
  constexpr size_t kMaxBytes = kMaxBatchBytes + kMaxPrivateBytes;
  if (payload.size() > kMaxBytes) {
    return MakeError(ErrorReason::kCorruptLog,
                     fmt::format("payload of {} bytes, over {}", payload.size(), kMaxBytes));
  }
  v1::MetadataRecord record;
  size_t count = 0;
  size_t private_count = 0;
  for (std::string_view rest = payload; !rest.empty();) {
    const std::optional<Field> field = TakeField(rest);
    if (!field.has_value()) {
      return NoRecordBatch(payload);
    }
    if (field->tag != kRecordsTag && field->tag != kPrivateRecordsTag) {
      return MakeError(ErrorReason::kUnsupportedVersion,
                       "payload has a field this version does not know; run the version that wrote "
                       "it, or a newer one");
    }
    const bool is_private = field->tag == kPrivateRecordsTag;
    if (!ParseInto(field->bytes, record) || (private_count > 0 && !is_private)) {
      return NoRecordBatch(payload);
    }
    private_count += is_private ? 1 : 0;
    count += is_private ? 0 : 1;
    if (count > kMaxRecordsPerBatch) {
      break;
    }
    KVORUM_RETURN_IF_ERROR(CheckKnownRecord(record));
    if (IsPrivate(record) != is_private) {
      return MakeError(ErrorReason::kCorruptLog,
                       fmt::format("record of kind {} among those of the other audience",
                                   static_cast<int>(record.record_case())));
    }
    visit(record);
  }
  if (count + private_count == 0 || count > kMaxRecordsPerBatch) {
    return MakeError(ErrorReason::kCorruptLog,
                     fmt::format("payload of {} records, not 1 to {}", count, kMaxRecordsPerBatch));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::MetadataRecord>> DecodeRecords(std::string_view payload) {
  std::vector<v1::MetadataRecord> records;
  KVORUM_RETURN_IF_ERROR(VisitRecords(
      payload, [&records](v1::MetadataRecord& record) { records.push_back(std::move(record)); }));
  return records;
}

std::vector<std::vector<v1::MetadataRecord>> SplitIntoBatches(
    std::vector<v1::MetadataRecord> records) {
  // From the back, so that the last batch is the full one: what belongs to the last record (the end
  // of a session) is in its commit.
  std::vector<size_t> starts;
  size_t count = 0;
  size_t bytes = 0;
  for (size_t i = records.size(); i-- > 0;) {
    // As CheckFitsOneBatch counts.
    const bool is_private = IsPrivate(records[i]);
    const size_t size = is_private ? 0 : EncodedSize(records[i]);
    if (starts.empty() || count == kMaxRecordsPerBatch || bytes + size > kMaxBatchBytes) {
      starts.push_back(i);
      count = 0;
      bytes = 0;
    }
    starts.back() = i;
    count += is_private ? 0 : 1;
    bytes += size;
  }
  std::vector<std::vector<v1::MetadataRecord>> batches;
  size_t end = 0;
  for (size_t i = starts.size(); i-- > 0;) {
    const size_t begin = end;
    end = i == 0 ? records.size() : starts[i - 1];
    batches.emplace_back(std::make_move_iterator(records.begin() + static_cast<ptrdiff_t>(begin)),
                         std::make_move_iterator(records.begin() + static_cast<ptrdiff_t>(end)));
  }
  return batches;
}

}  // namespace kvorum
