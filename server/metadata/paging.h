#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "kvorum/v1/common.pb.h"

namespace kvorum {

inline constexpr size_t kDefaultPageItems = 1'000;
inline constexpr size_t kMaxPageItems = 10'000;
inline constexpr size_t kMaxPageBytes = size_t{1} << 20;

// One page of a list in key order: where it starts and when it is full. `scope` names the list with
// its filters, so that a token is good for the list it came from only. Lives for one query.
class Page {
 public:
  // INVALID_REQUEST for a bad size or a token that is not of this list.
  static absl::StatusOr<Page> Open(const v1::PageRequest& request, std::string scope);

  // The last key of the page before; empty on the first page.
  const std::string& after() const { return after_; }

  // The same for lists whose keys are numbers >= 0; -1 on the first page.
  absl::StatusOr<int32_t> AfterNumber() const;

  // True if an item of `bytes` still goes on this page; counts it. The first always does.
  bool Admit(size_t bytes);

  // The reply's half, where `last_key` is the key of the last admitted item and more items follow.
  v1::PageResponse Continue(std::string_view last_key) const;

 private:
  Page(std::string scope, std::string after, size_t max_items)
      : scope_(std::move(scope)), after_(std::move(after)), max_items_(max_items) {}

  std::string scope_;
  std::string after_;
  size_t max_items_;
  size_t items_ = 0;
  size_t bytes_ = 0;
};

}  // namespace kvorum
