// Folders of images: train/CLASS/*.png|jpg and, if there is one, test/CLASS/*. Classes and files
// are sorted by name, digits by their value (2 before 10); images of several sizes
// are handed on as their files have them.
#pragma once
#include <string>
#include <string_view>

#include "data/image_source.h"

namespace enas {

// By name, runs of digits by value; a total order.
bool numeric_less(std::string_view a, std::string_view b);

// Whether there is a folder `train` with a folder in it.
bool has_image_folder(const std::string& folder);

// A seeded tenth of each class, at least one image, stands last in train: held out.
ImageSource load_image_folder(const std::string& folder, uint64_t seed);

}  // namespace enas
