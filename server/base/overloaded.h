#pragma once

namespace kvorum {

// std::visit(Overloaded{[](const A&) {…}, [](const B&) {…}}, variant): exhaustive, no default.
template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
// clang 14 needs the guide spelled out.
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace kvorum
