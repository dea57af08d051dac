#include "ops/augment.h"

#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {

Tensor augment(const Tensor& images, const Tensor& indices, const AugmentOptions& options,
               const Random& random, int64_t first_draw) {
  constexpr int64_t kMost = 1 << 20;  // pixels a side, so that sums fit 32 bits
  check(images.rank() == 4 && images.size(3) == 3 && images.dtype() == DType::u8, "augment",
        "needs images [M, H, W, 3] of u8, got ", images.dtype(), " ", images.shape());
  check(images.size(1) <= kMost && images.size(2) <= kMost && options.pad >= 0 &&
            options.pad <= kMost && options.cutout >= 0 && options.cutout <= kMost,
        "augment", "sides, pad and cutout must be 0 to ", kMost, ", got ", images.shape(), ", ",
        options.pad, " and ", options.cutout);
  check(indices.rank() == 1 && indices.dtype() == DType::i32, "augment",
        "needs indices [N] of i32, got ", indices.dtype(), " ", indices.shape());
  for (const double deviation : options.deviation) {
    check(deviation > 0, "augment", "needs deviations above 0, got ", deviation);
  }
  Tensor y({indices.size(0), images.size(1), images.size(2), 3}, options.dtype, images.device());
  dispatch<cpu::augment_batch, cuda::augment_batch>(images, indices, options, random, first_draw,
                                                    y);
  return y;
}

namespace {

// One image; centre and scale of 255 times a pixel.
template <class T>
void augment_image(const uint8_t* in, const AugmentRule& rule, const AugmentDraw& d,
                   const T* centre, const T* scale, T* out) {
  for (int32_t y = 0; y < rule.height; ++y) {
    for (int32_t x = 0; x < rule.width; ++x, out += 3) {
      const int32_t from_y = y + d.down, from_x = (d.flip ? rule.width - 1 - x : x) + d.right;
      const bool outside =
          from_y < 0 || from_y >= rule.height || from_x < 0 || from_x >= rule.width;
      const bool cut = y >= d.top && y < d.bottom && x >= d.left && x < d.last;
      for (int c = 0; c < 3; ++c) {
        const int64_t at = (int64_t{from_y} * rule.width + from_x) * 3 + c;
        out[c] = outside || cut ? T(0) : (static_cast<T>(in[at]) - centre[c]) * scale[c];
      }
    }
  }
}

}  // namespace

void cpu::augment_batch(const Tensor& images, const Tensor& indices, const AugmentOptions& options,
                        const Random& random, int64_t first_draw, Tensor& y) {
  const AugmentRule rule = augment_rule(images, options);
  const int64_t count = images.size(0), pixels = images.size(1) * images.size(2);
  visit_real(y.dtype(), "augment", [&](auto tag) {
    using T = decltype(tag);
    const auto normal = augment_normal<T>(options);
    const auto* in = images.data<uint8_t>();
    const auto* index = indices.data<int32_t>();
    T* out = y.data<T>();
    parallel_for(indices.numel(), 8192 / (3 * pixels + 1), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        check(index[n] >= 0 && index[n] < count, ErrorKind::data, "augment", "index ", index[n],
              " at position ", n, " is not in [0, ", count, ")");
        augment_image(in + index[n] * pixels * 3, rule,
                      augment_draw(rule, random, first_draw + index[n]), normal.centre,
                      normal.scale, out + n * pixels * 3);
      }
    });
  });
}

}  // namespace enas
