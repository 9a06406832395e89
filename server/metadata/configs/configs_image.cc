#include "server/metadata/configs/configs_image.h"

namespace kvorum {

ConfigsCursor::ConfigsCursor(const ConfigsImage& image) : next_(image.configs.begin()) {}

bool ConfigsCursor::Next(v1::MetadataRecord& record) {
  if (next_ == decltype(next_)()) {
    return false;
  }
  *record.mutable_config() = *next_->value;
  ++next_;
  return true;
}

}  // namespace kvorum
