#pragma once

#include <string>
#include <string_view>

#include "kvorum/v1/record.pb.h"

namespace kvorum::client {

// The record's kind in kebab case, for example "partition-change"; "unknown" when there is none.
std::string RecordKind(const v1::MetadataRecord& record);

// "kind field=value …" in one line, for people. Values longer than 64 bytes are cut; the keys of
// credentials are left out.
std::string RecordText(const v1::MetadataRecord& record);

// An enum's value without the enum's name: "SHA_256" for "SCRAM_MECHANISM_SHA_256".
std::string EnumText(const std::string& name);

// "USER="alice" CLIENT_ID=(default)".
std::string QuotaEntityText(const google::protobuf::RepeatedPtrField<v1::QuotaEntity>& entity);

// "ALLOW "User:alice" READ LITERAL TOPIC on "orders" from "*"".
std::string AclText(const v1::AclBinding& binding);

// Takes out a credential's salt and keys: for whoever prints a whole record.
void HideSecrets(v1::MetadataRecord& record);

// Printable, quoted, on one line; cut after 64 bytes.
std::string ValueText(std::string_view value);

// 16 bytes as a UUID; anything else in hexadecimal.
std::string IdText(const std::string& bytes);

}  // namespace kvorum::client
