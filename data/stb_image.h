// PNG and JPEG as RGB bytes, from memory, by stb_image behind a fence: no other format and no file
// access is compiled in, frames and size are checked before anything is decoded (image_format.h),
// and what the decoder allocates is counted, limited, cleared and given back, also where it gives
// up.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "data/image_format.h"

namespace enas {

// Refuses (kind data, naming the file) what is neither PNG nor JPEG, a broken header, and a side
// above 4,096 pixels.
ImageSize image_size(std::string_view bytes, const std::string& name);

// Writes height * width * 3 bytes, row-major RGB; grey becomes three equal channels, transparency
// is dropped. `expected` is image_size's answer. Refuses (kind data) a damaged or truncated image,
// and one whose decoding needs more than 64 MiB and twice the file.
void decode_image(std::string_view bytes, const std::string& name, const ImageSize& expected,
                  uint8_t* rgb);

}  // namespace enas
