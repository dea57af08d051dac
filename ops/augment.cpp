#include "ops/augment.h"

#include <algorithm>
#include <vector>

#include "tensor/dispatch.h"
#include "tensor/isa.h"
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

ISA_SELECT(augment_run, void(const uint8_t* in, const float* centre, const float* scale, float* out,
                             int64_t values));

namespace {

// out = (in - centre) * scale over a run of pixels.
void normalise(const uint8_t* in, const AugmentNormal<float>& normal, float* out, int64_t values) {
  augment_run(in, normal.centre, normal.scale, out, values);
}
void normalise(const uint8_t* in, const AugmentNormal<double>& normal, double* out,
               int64_t values) {
  for (int64_t i = 0; i < values; ++i)
    out[i] = (static_cast<double>(in[i]) - normal.centre[i % 3]) * normal.scale[i % 3];
}

// One image, by rows: what comes from inside the image is one run of pixels, its ends are 0. A
// flipped row is made in `line`, 3 * width values, and turned round.
template <class T>
void augment_image(const uint8_t* in, const AugmentRule& rule, const AugmentDraw& d,
                   const AugmentNormal<T>& normal, T* out, T* line) {
  const int64_t width = rule.width;
  const int64_t begin = std::clamp<int64_t>(-d.right, 0, width);
  const int64_t end = std::clamp<int64_t>(width - d.right, begin, width);
  for (int64_t y = 0; y < rule.height; ++y, out += 3 * width) {
    const int64_t from = y + d.down;
    if (from < 0 || from >= rule.height) {
      std::fill_n(out, 3 * width, T(0));
      continue;
    }
    T* const to = d.flip ? line : out;
    std::fill_n(to, 3 * begin, T(0));
    if (begin < end) {
      normalise(in + (from * width + begin + d.right) * 3, normal, to + 3 * begin,
                3 * (end - begin));
    }
    std::fill_n(to + 3 * end, 3 * (width - end), T(0));
    for (int64_t x = 0; d.flip && x < width; ++x)
      std::copy_n(line + 3 * (width - 1 - x), 3, out + 3 * x);
    if (y < d.top || y >= d.bottom) continue;
    const int64_t left = std::max<int64_t>(d.left, 0), last = std::min<int64_t>(d.last, width);
    std::fill_n(out + 3 * left, 3 * (last - left), T(0));
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
      std::vector<T> line(static_cast<size_t>(3 * rule.width));
      for (int64_t n = begin; n < end; ++n) {
        check(index[n] >= 0 && index[n] < count, ErrorKind::data, "augment", "index ", index[n],
              " at position ", n, " is not in [0, ", count, ")");
        augment_image(in + index[n] * pixels * 3, rule,
                      augment_draw(rule, random, first_draw + index[n]), normal,
                      out + n * pixels * 3, line.data());
      }
    });
  });
}

}  // namespace enas
