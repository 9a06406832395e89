#pragma once

#include <string>

#include "server/metadata/metadata_image.h"

namespace kvorum {

// The image as a tree for people, one entity per line, in the order of image_writer: state dumps
// and tests. Values of entries are shown by size. Equal images give equal text.
std::string ToText(const MetadataImage& image);

}  // namespace kvorum
