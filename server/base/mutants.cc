#include "server/base/mutants.h"

#ifdef KVORUM_MUTANTS

#include <cstdlib>
#include <string>

namespace kvorum {
namespace {

std::string& Selected() {
  static std::string name = [] {
    const char* wanted = std::getenv("KVORUM_MUTANT");
    return std::string(wanted == nullptr ? "" : wanted);
  }();
  return name;
}

}  // namespace

void SelectMutant(std::string_view name) { Selected() = name; }

bool IsSelectedMutant(std::string_view name) { return Selected() == name; }

}  // namespace kvorum

#endif
