#pragma once

#include <string>
#include <string_view>

#include "kvorum/v1/record.pb.h"

namespace kvorum::client {

// The record's kind in kebab case, for example "partition-change"; "unknown" when there is none.
std::string RecordKind(const v1::MetadataRecord& record);

// "kind field=value …" in one line, for people. Values longer than 64 bytes are cut.
std::string RecordText(const v1::MetadataRecord& record);

// Printable, quoted, on one line; cut after 64 bytes.
std::string ValueText(std::string_view value);

// 16 bytes as a UUID; anything else in hexadecimal.
std::string IdText(const std::string& bytes);

}  // namespace kvorum::client
