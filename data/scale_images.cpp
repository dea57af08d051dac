#include "data/scale_images.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/stb_image.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

// An axis of `from` pixels becomes `to`: in units of 1 / (from * to) pixel j covers [j from,
// (j + 1) from), source pixel i [i to, (i + 1) to).
struct Axis {
  int64_t from, to;
  int64_t first(int64_t j) const { return j * from / to; }
  int64_t last(int64_t j) const { return ((j + 1) * from - 1) / to; }
  uint64_t share(int64_t j, int64_t i) const {
    return static_cast<uint64_t>(std::min((j + 1) * from, (i + 1) * to) -
                                 std::max(j * from, i * to));
  }
};

void scale_pixel(const uint8_t* in, const Axis& rows, const Axis& columns, int64_t y, int64_t x,
                 uint8_t* out) {
  const auto whole = static_cast<uint64_t>(rows.from) * static_cast<uint64_t>(columns.from);
  uint64_t sum[3] = {};
  for (int64_t i = rows.first(y); i <= rows.last(y); ++i) {
    for (int64_t j = columns.first(x); j <= columns.last(x); ++j) {
      const uint64_t share = rows.share(y, i) * columns.share(x, j);
      const uint8_t* pixel = in + (i * columns.from + j) * 3;
      for (int c = 0; c < 3; ++c) sum[c] += share * pixel[c];
    }
  }
  for (int c = 0; c < 3; ++c) out[c] = static_cast<uint8_t>((2 * sum[c] + whole) / (2 * whole));
}

}  // namespace

Tensor scale_images(const Tensor& images, int64_t height, int64_t width) {
  check(images.rank() == 4 && images.size(3) == 3 && images.dtype() == DType::u8, "scale_images",
        "expected u8 [N, H, W, 3], got ", images.shape());
  check(height > 0 && width > 0, "scale_images", "expected a size above 0, got ", width, "x",
        height);
  const Axis rows{images.size(1), height}, columns{images.size(2), width};
  Tensor result({images.size(0), height, width, 3}, DType::u8);
  const uint8_t* in = images.data<uint8_t>();
  auto* out = result.data<uint8_t>();
  parallel_for(images.size(0), 1 + 2000 / (height * width), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const uint8_t* from = in + n * rows.from * columns.from * 3;
      uint8_t* to = out + n * height * width * 3;
      for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x, to += 3) scale_pixel(from, rows, columns, y, x, to);
    }
  });
  return result;
}

namespace {

Tensor decoded(const std::vector<EncodedImage>& images, int64_t size) {
  const auto n = static_cast<int64_t>(images.size());
  Tensor result({n, size, size, 3}, DType::u8);
  for (int64_t i = 0; i < n; ++i) {
    const EncodedImage& image = images[static_cast<size_t>(i)];
    Tensor pixels({1, image.height, image.width, 3}, DType::u8);
    decode_image(image.bytes, image.path, {image.height, image.width}, pixels.data<uint8_t>());
    result.slice(i, i + 1).copy_from(scale_images(pixels, size, size));
  }
  return result;
}

}  // namespace

ImageData scaled_to(const ImageData& data, int64_t size) {
  ImageData scaled = data;
  scaled.scaled = true;
  scaled.description += fmt::format(", scaled to {} x {}", size, size);
  const int64_t kept = data.train.size(), all = data.all.size();
  const auto part = [&](const ImageSet& set, const std::vector<EncodedImage> EncodedImages::*of) {
    return data.encoded ? decoded(*data.encoded.*of, size) : scale_images(set.images, size, size);
  };
  scaled.encoded = nullptr;
  scaled.all.images = part(data.all, &EncodedImages::all);
  scaled.train.images = scaled.all.images.slice(0, kept);
  if (data.valid.size() > 0) scaled.valid.images = scaled.all.images.slice(kept, all);
  if (data.test.size() > 0) scaled.test.images = part(data.test, &EncodedImages::test);
  scaled.moments = channel_moments(scaled.train.images);
  return scaled;
}

}  // namespace enas
