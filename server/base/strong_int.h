#pragma once

#include <fmt/core.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>

namespace kvorum {

// An integer with a name: `Offset{5} + Epoch{1}` does not compile. Arithmetic with the raw type is
// allowed (`offset + 1`), and the difference of two values of one type is raw. Plain value; any
// thread.
template <typename Tag, typename Rep>
class StrongInt {
 public:
  using ValueType = Rep;

  constexpr StrongInt() = default;
  constexpr explicit StrongInt(Rep value) : value_(value) {}

  constexpr Rep value() const { return value_; }

  friend constexpr auto operator<=>(StrongInt, StrongInt) = default;

  constexpr StrongInt& operator++() {
    ++value_;
    return *this;
  }
  constexpr StrongInt& operator+=(Rep delta) {
    value_ += delta;
    return *this;
  }
  friend constexpr StrongInt operator+(StrongInt a, Rep b) {
    return StrongInt(static_cast<Rep>(a.value_ + b));
  }
  friend constexpr StrongInt operator-(StrongInt a, Rep b) {
    return StrongInt(static_cast<Rep>(a.value_ - b));
  }
  friend constexpr Rep operator-(StrongInt a, StrongInt b) {
    return static_cast<Rep>(a.value_ - b.value_);
  }
  friend std::ostream& operator<<(std::ostream& out, StrongInt v) { return out << v.value_; }

 private:
  Rep value_ = 0;
};

}  // namespace kvorum

template <typename Tag, typename Rep>
struct std::hash<kvorum::StrongInt<Tag, Rep>> {
  size_t operator()(kvorum::StrongInt<Tag, Rep> v) const { return std::hash<Rep>()(v.value()); }
};

template <typename Tag, typename Rep>
struct fmt::formatter<kvorum::StrongInt<Tag, Rep>> : fmt::formatter<Rep> {
  template <typename Context>
  auto format(kvorum::StrongInt<Tag, Rep> v, Context& context) const {
    return fmt::formatter<Rep>::format(v.value(), context);
  }
};
