#pragma once

#include <fmt/core.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

namespace kvorum {

class Random;

// A 128-bit identifier (RFC 4122 version 4 when drawn by us): directory ids, incarnations, topic
// ids, cluster ids. All zero means "absent". Plain value; any thread.
class Uuid {
 public:
  static constexpr size_t kBytes = 16;

  constexpr Uuid() = default;
  constexpr explicit Uuid(const std::array<uint8_t, kBytes>& bytes) : bytes_(bytes) {}

  // Draws a version 4 UUID from `random`, so that simulated runs repeat.
  static Uuid FromRandom(Random& random);

  // Parses the 36-character form "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"; nullopt if it is none.
  static std::optional<Uuid> Parse(std::string_view text);

  // From exactly kBytes raw bytes (the form used in protobuf messages); nullopt on another size.
  static std::optional<Uuid> FromBytes(std::string_view bytes);

  std::string ToString() const;
  std::string ToBytes() const;
  bool is_zero() const { return *this == Uuid(); }

  friend constexpr auto operator<=>(const Uuid&, const Uuid&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Uuid& id) {
    return out << id.ToString();
  }

 private:
  std::array<uint8_t, kBytes> bytes_{};
};

}  // namespace kvorum

template <>
struct fmt::formatter<kvorum::Uuid> : fmt::formatter<std::string> {
  template <typename Context>
  auto format(const kvorum::Uuid& id, Context& context) const {
    return fmt::formatter<std::string>::format(id.ToString(), context);
  }
};
