#include "server/metadata/item_status.h"

#include <fmt/format.h>

#include <string>

#include "server/base/errors.h"

namespace kvorum {

v1::ItemStatus ToItemStatus(const absl::Status& status) {
  v1::ItemStatus item;
  if (!status.ok()) {
    item.set_code(static_cast<int32_t>(status.code()));
    item.set_reason(std::string(GetErrorInfo(GetErrorReason(status)).name));
    item.set_message(std::string(status.message()));
  }
  return item;
}

v1::ItemStatus NotExecutedItemStatus() {
  return ToItemStatus(
      MakeError(ErrorReason::kInvalidRequest,
                "not executed: all_or_nothing is set and another item was refused; correct that "
                "item, or unset all_or_nothing"));
}

absl::Status CheckItemCount(std::string_view what, int count, int limit) {
  if (count == 0) {
    return MakeError(ErrorReason::kInvalidRequest,
                     fmt::format("{} are missing; name 1 to {}", what, limit));
  }
  if (count > limit) {
    return MakeError(ErrorReason::kPolicyViolation,
                     fmt::format("the request has {} {}; the limit is {}, split the request", count,
                                 what, limit));
  }
  return absl::OkStatus();
}

}  // namespace kvorum
