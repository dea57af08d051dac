// What a reader of one form of data set hands to image_set.cpp: whole parts, not yet split.
#pragma once
#include <string>
#include <vector>

#include "data/image_set.h"

namespace enas {

struct ImageSource {
  std::string what;  // form and place, for the description
  std::vector<std::string> warnings, classes;
  ImageSet train, test;  // of train the last held_out images are held out
  int64_t held_out = 0;
  std::shared_ptr<const EncodedImages> encoded;  // instead of pixels, as in ImageData
};

// The whole file. Refuses (kind data) what read_file does, and pipes and devices, for which it
// would wait.
std::string read_data_file(const std::string& path, uint64_t max_bytes);

// Refuses (kind data) a name that is empty, longer than 255 bytes, not UTF-8, or has control
// characters: it goes to terminals and files.
void check_class_name(std::string_view name, const std::string& where);

}  // namespace enas
