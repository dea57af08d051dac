// Target: an image file. What has a size decodes to that many bytes, or is refused, and to the same
// bytes again.
#include <vector>

#include "data/stb_image.h"
#include "tests/fuzz/fuzz.h"

namespace enas {
namespace {

// Large ones take too long under the sanitizers; their headers are looked at all the same.
constexpr int64_t kMostPixels = 1 << 16;

bool decodes(std::string_view bytes, const ImageSize& size, std::vector<uint8_t>& pixels) {
  pixels.assign(static_cast<size_t>(size.height * size.width * 3), 0);
  return accepts(ErrorKind::data, [&] { decode_image(bytes, "input", size, pixels.data()); });
}

}  // namespace
}  // namespace enas

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enas;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  ImageSize found;
  if (!accepts(ErrorKind::data, [&] { found = image_size(bytes, "input"); })) return 0;
  require(found.height >= 1 && found.height <= 4096 && found.width >= 1 && found.width <= 4096,
          "a size is in range");
  if (found.height * found.width > kMostPixels) return 0;
  std::vector<uint8_t> pixels, again;
  if (!decodes(bytes, found, pixels)) return 0;
  require(decodes(bytes, found, again) && again == pixels, "decoding is a function of the file");
  return 0;
}
