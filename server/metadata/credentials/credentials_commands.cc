#include "server/metadata/credentials/credentials_commands.h"

#include <fmt/format.h>

#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/metadata/item_status.h"
#include "server/metadata/paging.h"
#include "server/metadata/record_codec.h"
#include "server/metadata/request_checks.h"

namespace kvorum {
namespace {

using Deletion = v1::AlterUserScramCredentialsRequest::Deletion;
using Upsertion = v1::AlterUserScramCredentialsRequest::Upsertion;

absl::Status Unacceptable(std::string_view message) {
  return MakeError(ErrorReason::kUnacceptableCredential, message);
}

// Of the mechanism's hash; 0: not a mechanism that we have.
size_t KeyBytes(v1::ScramMechanism mechanism) {
  switch (mechanism) {
    case v1::SCRAM_MECHANISM_SHA_256:
      return 32;
    case v1::SCRAM_MECHANISM_SHA_512:
      return 64;
    default:
      return 0;
  }
}

// What deletions and upsertions share.
template <typename Change>
absl::Status ValidateChange(const Change& change) {
  if (change.user().empty() || change.user().size() > kMaxCredentialUserBytes ||
      !IsPrintableUtf8(change.user())) {
    return Unacceptable(fmt::format("user of {} bytes; give 1 to {} of printable UTF-8",
                                    change.user().size(), kMaxCredentialUserBytes));
  }
  if (KeyBytes(change.mechanism()) == 0) {
    return MakeError(ErrorReason::kUnsupportedSaslMechanism,
                     fmt::format("mechanism {} is unknown; use SHA_256 or SHA_512",
                                 static_cast<int>(change.mechanism())));
  }
  return absl::OkStatus();
}

absl::Status ValidateUpsertion(const Upsertion& upsertion) {
  KVORUM_RETURN_IF_ERROR(ValidateChange(upsertion));
  if (upsertion.iterations() < kMinScramIterations ||
      upsertion.iterations() > kMaxScramIterations) {
    return Unacceptable(fmt::format("{} iterations; use {} to {}", upsertion.iterations(),
                                    kMinScramIterations, kMaxScramIterations));
  }
  if (upsertion.salt().size() < kMinScramSaltBytes ||
      upsertion.salt().size() > kMaxScramSaltBytes) {
    return Unacceptable(fmt::format("a salt of {} bytes; use {} to {}", upsertion.salt().size(),
                                    kMinScramSaltBytes, kMaxScramSaltBytes));
  }
  const size_t key_bytes = KeyBytes(upsertion.mechanism());
  if (upsertion.stored_key().size() != key_bytes || upsertion.server_key().size() != key_bytes) {
    return Unacceptable(fmt::format("keys of {} and {} bytes; this mechanism's have {}",
                                    upsertion.stored_key().size(), upsertion.server_key().size(),
                                    key_bytes));
  }
  return absl::OkStatus();
}

// All that a request says of one user.
struct UserPlan {
  absl::Status status;
  std::set<int> mechanisms;
  std::vector<v1::MetadataRecord> records;
  int64_t growth = 0;

  void Update(const absl::Status& next) { status.Update(next); }
};

template <typename Change>
absl::Status CheckNotTwice(const Change& change, UserPlan& plan) {
  if (!plan.mechanisms.insert(change.mechanism()).second) {
    return MakeError(ErrorReason::kDuplicateResource,
                     fmt::format("user '{}' is changed twice for one mechanism in the request; "
                                 "change it once",
                                 change.user()));
  }
  return absl::OkStatus();
}

absl::Status PlanDeletion(const CredentialsImage& image, const Deletion& deletion, UserPlan& plan) {
  KVORUM_RETURN_IF_ERROR(ValidateChange(deletion));
  KVORUM_RETURN_IF_ERROR(CheckNotTwice(deletion, plan));
  if (!image.credentials.Contains(CredentialKey{deletion.user(), deletion.mechanism()})) {
    return MakeError(ErrorReason::kResourceNotFound,
                     fmt::format("user '{}' has no credential of this mechanism; describe the user "
                                 "to see those it has",
                                 deletion.user()));
  }
  v1::RemoveUserScramCredentialRecord& record =
      *plan.records.emplace_back().mutable_remove_user_scram_credential();
  record.set_user(deletion.user());
  record.set_mechanism(deletion.mechanism());
  --plan.growth;
  return absl::OkStatus();
}

absl::Status PlanUpsertion(const CredentialsImage& image, const Upsertion& upsertion,
                           UserPlan& plan) {
  KVORUM_RETURN_IF_ERROR(ValidateUpsertion(upsertion));
  KVORUM_RETURN_IF_ERROR(CheckNotTwice(upsertion, plan));
  v1::UserScramCredentialRecord record;
  record.set_user(upsertion.user());
  record.set_mechanism(upsertion.mechanism());
  record.set_salt(upsertion.salt());
  record.set_stored_key(upsertion.stored_key());
  record.set_server_key(upsertion.server_key());
  record.set_iterations(upsertion.iterations());
  const auto* current =
      image.credentials.Find(CredentialKey{upsertion.user(), upsertion.mechanism()});
  if (current == nullptr) {
    ++plan.growth;
  } else if ((*current)->SerializeAsString() == record.SerializeAsString()) {
    return absl::OkStatus();
  }
  *plan.records.emplace_back().mutable_user_scram_credential() = std::move(record);
  return absl::OkStatus();
}

v1::DescribeUserScramCredentialsResponse::Result DescribeUser(const CredentialsImage& image,
                                                              std::string_view user) {
  v1::DescribeUserScramCredentialsResponse::Result result;
  result.set_user(std::string(user));
  for (auto at = image.credentials.lower_bound(CredentialKey{user});
       at != image.credentials.end() && at->key.user == user; ++at) {
    v1::DescribeUserScramCredentialsResponse::Credential& credential = *result.add_credentials();
    credential.set_mechanism(at->key.mechanism);
    credential.set_iterations(at->value->iterations());
  }
  absl::Status status;
  if (result.credentials().empty()) {
    status = MakeError(ErrorReason::kResourceNotFound,
                       fmt::format("user {} has no credentials; set one first", ShownText(user)));
  }
  *result.mutable_status() = ToItemStatus(status);
  return result;
}

}  // namespace

absl::StatusOr<CommandResult<v1::AlterUserScramCredentialsResponse>> Execute(
    const CommandContext& context, const v1::AlterUserScramCredentialsRequest& request) {
  KVORUM_RETURN_IF_ERROR(CheckItemCount("deletions and upsertions",
                                        request.deletions_size() + request.upsertions_size(),
                                        kMaxCredentialsPerRequest));
  const CredentialsImage& image = context.image.credentials();
  std::vector<std::string_view> order;
  std::map<std::string_view, UserPlan> plans;
  const auto plan_of = [&](std::string_view user) -> UserPlan& {
    const auto [at, is_new] = plans.try_emplace(user);
    if (is_new) {
      order.push_back(user);
    }
    return at->second;
  };
  for (const Deletion& deletion : request.deletions()) {
    UserPlan& plan = plan_of(deletion.user());
    plan.Update(PlanDeletion(image, deletion, plan));
  }
  for (const Upsertion& upsertion : request.upsertions()) {
    UserPlan& plan = plan_of(upsertion.user());
    plan.Update(PlanUpsertion(image, upsertion, plan));
  }
  CommandResult<v1::AlterUserScramCredentialsResponse> result;
  auto count = static_cast<int64_t>(image.credentials.size());
  for (const std::string_view user : order) {
    UserPlan& plan = plans.at(user);
    if (plan.growth > 0 &&
        count + plan.growth > static_cast<int64_t>(context.limits.max_scram_credentials)) {
      plan.Update(MakeError(ErrorReason::kLimitExceeded,
                            fmt::format("there are {} credentials; the limit of the cluster is {}, "
                                        "delete some first",
                                        count, context.limits.max_scram_credentials)));
    }
    if (plan.status.ok()) {
      count += plan.growth;
      std::move(plan.records.begin(), plan.records.end(), std::back_inserter(result.records));
    }
    v1::AlterUserScramCredentialsResponse::Result& item = *result.response.add_results();
    item.set_user(std::string(user));
    *item.mutable_status() = ToItemStatus(plan.status);
  }
  if (request.all_or_nothing()) {
    RefuseAllIfAny(result);
  }
  KVORUM_RETURN_IF_ERROR(CheckFitsOneBatch(result.records));
  return result;
}

absl::StatusOr<v1::DescribeUserScramCredentialsResponse> Query(
    const QueryContext& context, const v1::DescribeUserScramCredentialsRequest& request) {
  const CredentialsImage& image = context.image.credentials();
  v1::DescribeUserScramCredentialsResponse response;
  if (!request.users().empty()) {
    KVORUM_RETURN_IF_ERROR(
        CheckItemCount("users", request.users_size(), kMaxCredentialsPerRequest));
    if (!request.page().page_token().empty()) {
      return MakeError(ErrorReason::kInvalidRequest,
                       "page.page_token is set beside users, which have no pages; leave it unset");
    }
    std::map<std::string_view, int> times;
    for (const std::string& user : request.users()) {
      ++times[user];
    }
    for (const std::string& user : request.users()) {
      v1::DescribeUserScramCredentialsResponse::Result& result = *response.add_results();
      if (times[user] == 1) {
        result = DescribeUser(image, user);
      } else {
        result.set_user(user);
        *result.mutable_status() = ToItemStatus(MakeError(
            ErrorReason::kDuplicateResource,
            fmt::format("user {} is named more than once; name it once", ShownText(user))));
      }
    }
    return response;
  }
  KVORUM_ASSIGN_OR_RETURN(Page page, Page::Open(request.page(), "credentials"));
  // A user's mechanisms have small numbers: the next user is behind them.
  const auto next_user = [&](std::string_view user) {
    return image.credentials.upper_bound(
        CredentialKey{user, static_cast<v1::ScramMechanism>(v1::ScramMechanism_MAX)});
  };
  for (auto next = page.after().empty() ? image.credentials.begin() : next_user(page.after());
       next != image.credentials.end(); next = next_user(next->key.user)) {
    v1::DescribeUserScramCredentialsResponse::Result result = DescribeUser(image, next->key.user);
    if (!page.Admit(result.ByteSizeLong())) {
      *response.mutable_page() =
          page.Continue(response.results(response.results_size() - 1).user());
      break;
    }
    *response.add_results() = std::move(result);
  }
  return response;
}

}  // namespace kvorum
