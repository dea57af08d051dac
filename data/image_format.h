// What is checked of a PNG and a JPEG before the library sees them: their frames of chunks and
// segments, and what stb_image 2.27 is known not to check itself.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace enas {

inline constexpr int kLongestSide = 4096;

bool is_png(std::string_view bytes);
bool is_jpeg(std::string_view bytes);

struct ImageSize {
  int64_t height = 0, width = 0;
  bool operator==(const ImageSize&) const = default;
};

// From the header alone. Refuses (kind data) one that is not there, and a side outside
// 1..kLongestSide.
ImageSize png_size(std::string_view bytes, const std::string& name);

// The PNG with nothing but header, palette, pixels in one piece, and end: the palette filled up to
// 256 colours with black, for the library would take what lies on its stack; checksums 0, for it
// does not look at them. Refuses (kind data) broken frames and chunks that a reader must know and
// this one does not.
std::string plain_png(std::string_view bytes, const std::string& name);

// Refuses (kind data) segments that do not fit the file, Huffman tables of more than 256 codes
// (the library would write beyond its own), more than 100 scans, and a missing end: what was cut
// short would decode to grey.
void check_jpeg(std::string_view bytes, const std::string& name);

}  // namespace enas
