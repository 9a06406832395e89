#pragma once

// KVORUM_MUTANT(name): true in the one build that tests the tests, while the bug called `name` is
// wanted; the constant false in every other, where the compiler removes what depends on it. The
// names, and what each breaks, are the rows of tests/sim/mutants.txt.
#ifdef KVORUM_MUTANTS

#include <string_view>

namespace kvorum {

// Set once at start, before threads; else the environment's KVORUM_MUTANT counts.
void SelectMutant(std::string_view name);
bool IsSelectedMutant(std::string_view name);

}  // namespace kvorum

#define KVORUM_MUTANT(name)                                   \
  ([] {                                                       \
    static const bool on = ::kvorum::IsSelectedMutant(#name); \
    return on;                                                \
  }())

#else

#define KVORUM_MUTANT(name) false

#endif
