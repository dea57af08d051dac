// Images of a batch out of the whole set: padded crop, horizontal flip, normalisation and cutout in
// one pass (docs/method.md sections 2.3 and 3.4).
//   out = (in / 255 - mean) / deviation; pixels from outside the image and inside the cutout are 0
#pragma once
#include <array>

#include "tensor/philox.h"
#include "tensor/tensor.h"

namespace enas {

struct AugmentOptions {
  int64_t pad = 4;      // the crop is moved by up to so many pixels each way; 0: not moved
  bool flip = true;     // left and right are exchanged in one image of two
  int64_t cutout = 0;   // side of the square, centred on a uniform pixel and clipped; 0: none
  bool corner = false;  // instead, a uniform pixel is the square's upper left corner
  std::array<double, 3> mean = {0, 0, 0}, deviation = {1, 1, 1};  // of in / 255, by channel
  DType dtype = DType::f32;                                       // of the result; f32 or f64

  // Normalisation alone: for evaluation.
  AugmentOptions plain() const {
    AugmentOptions o = *this;
    o.pad = 0, o.flip = false, o.cutout = 0;
    return o;
  }
};

// images [M, H, W, 3] u8, indices [N] i32 in [0, M) -> [N, H, W, 3]. Image i of the set has the
// draws of (random, first_draw + i), wherever in whichever batch it stands: with the epoch in
// random.step they are a function of (seed, epoch, image). Out of range is an Error.
// No gradient.
Tensor augment(const Tensor& images, const Tensor& indices, const AugmentOptions& options,
               const Random& random, int64_t first_draw = 0);

// Where an image's pixels come from: out(y, x) = in(y + down, x + right) or, flipped, in(y + down,
// W - 1 - x + right); 0 outside, and 0 for y in [top, bottom) with x in [left, last).
struct AugmentDraw {
  int32_t down, right;
  bool flip;
  int32_t top, bottom, left, last;
};
struct AugmentRule {  // what the draw needs of shape and options, as a kernel's parameter
  int32_t height, width, pad, cutout;
  bool flip, corner;
};
inline AugmentRule augment_rule(const Tensor& images, const AugmentOptions& o) {
  const auto narrow = [](int64_t v) { return static_cast<int32_t>(v); };
  return {narrow(images.size(1)),
          narrow(images.size(2)),
          narrow(o.pad),
          narrow(o.cutout),
          o.flip,
          o.corner};
}
// out = (in - centre) * scale: the same rounding on every device.
template <class T>
struct AugmentNormal {
  T centre[3], scale[3];
};
template <class T>
AugmentNormal<T> augment_normal(const AugmentOptions& o) {
  AugmentNormal<T> normal;
  for (size_t c = 0; c < 3; ++c) {
    normal.centre[c] = static_cast<T>(255 * o.mean[c]);
    normal.scale[c] = static_cast<T>(1 / (255 * o.deviation[c]));
  }
  return normal;
}
ENAS_HD inline AugmentDraw augment_draw(const AugmentRule& rule, const Random& random,
                                        int64_t draw) {
  const PhiloxBlock crop = random.block(2 * static_cast<uint64_t>(draw));
  const PhiloxBlock square = random.block(2 * static_cast<uint64_t>(draw) + 1);
  const auto below = [](int32_t n, uint32_t bits) {
    return static_cast<int32_t>(static_cast<uint64_t>(bits) * static_cast<uint64_t>(n) >> 32);
  };
  AugmentDraw d{};
  d.down = below(2 * rule.pad + 1, crop.word[0]) - rule.pad;
  d.right = below(2 * rule.pad + 1, crop.word[1]) - rule.pad;
  d.flip = rule.flip && crop.word[2] >> 31 != 0;
  if (rule.cutout > 0) {
    const int32_t before = rule.corner ? 0 : rule.cutout / 2;
    d.top = below(rule.height, square.word[0]) - before;
    d.left = below(rule.width, square.word[1]) - before;
    d.bottom = d.top + rule.cutout, d.last = d.left + rule.cutout;
  }
  return d;
}

namespace cpu {
void augment_batch(const Tensor& images, const Tensor& indices, const AugmentOptions& options,
                   const Random& random, int64_t first_draw, Tensor& y);
}  // namespace cpu
namespace cuda {
void augment_batch(const Tensor& images, const Tensor& indices, const AugmentOptions& options,
                   const Random& random, int64_t first_draw, Tensor& y);
}  // namespace cuda

}  // namespace enas
