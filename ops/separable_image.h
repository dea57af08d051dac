// One image of a depthwise or separable convolution for f32: the vector kernels of
// ops/depthwise_conv2d.simd.cpp and the register tiles of ops/panels.h over scratch that stays in
// L2. The same calls as PlainImage (ops/depthwise_image.h); letters as in ops/separable_conv.h:
//   a [H, W, C] the loaded image, d [K, K, C] and P [C, Cout] the weights, t = a d [H', W', C],
//   dt its gradient. a and dt lie in frames (ops/image_plan.h), per-channel values in lanes
//   (ops/lanes.h), P in panels.
#pragma once
#include "ops/channel_moments.h"
#include "ops/depthwise_image.h"
#include "ops/image_plan.h"
#include "ops/panels.h"

namespace enas {

ISA_SELECT(depthwise_rows, void(const ImagePlan* p, const float* frame, const float* weights,
                                int64_t first, int64_t last, float* out));
ISA_SELECT(depthwise_weights,
           void(const ImagePlan* p, const float* frame, const float* dt, float* lanes));
ISA_SELECT(depthwise_spread, void(const ImagePlan* p, const float* image, float* frame));
ISA_SELECT(depthwise_place_dt, void(const ImagePlan* p, const float* dt, float* dt_frame));
ISA_SELECT(depthwise_rows_back_stride2,
           void(const ImagePlan* p, const float* dt_frame, const float* weights, int64_t first,
                int64_t last, float* plane, float* da));

// Floats from the memory pool, which keeps them from op to op.
class FloatScratch {
 public:
  FloatScratch() = default;
  // `aligned`: the float that shall start a cache line.
  explicit FloatScratch(int64_t n, int64_t aligned = 0)
      : floats_({n + kLine}), begin_((kLine - aligned % kLine) % kLine) {}
  static FloatScratch zeros(int64_t n) {
    FloatScratch s(n);
    std::fill_n(s.data(), n, 0.0f);
    return s;
  }
  bool empty() const { return !floats_.defined(); }
  float* data() { return empty() ? nullptr : floats_.data<float>() + begin_; }

 private:
  static constexpr int64_t kLine = 16;  // floats
  Tensor floats_;
  int64_t begin_ = 0;
};

class FastImage {
 public:
  static bool serves(const ImageWindow& g) {
    return (g.kernel == 3 || g.kernel == 5) && (g.stride == 1 || g.stride == 2);
  }

  // Everything that is the same for all images: layouts, expanded and packed weights. w [K, K, C];
  // pointwise [C, out] or null; backward: P is packed transposed.
  struct Weights {
    Weights(const ImageWindow& g, const float* w, const float* pointwise, int64_t out,
            const NormLoops<float>& rule, bool backward)
        : load(rule), plan(plan_of(g)), transposed(transposed_plan(plan)), out_channels(out) {
      const int64_t k2 = g.kernel * g.kernel, c = g.channels;
      lanes = expand_lanes(w, k2, c);
      if (backward && g.stride == 1) {
        std::vector<float> flipped(static_cast<size_t>(g.weights()));
        for (int64_t t = 0; t < k2; ++t) {
          std::copy_n(w + (k2 - 1 - t) * c, c, flipped.data() + t * c);
        }
        flipped_lanes = expand_lanes(flipped.data(), k2, c);
      }
      if (pointwise == nullptr) return;
      packed.resize(static_cast<size_t>(backward ? panels_size(out, c) : panels_size(c, out)));
      if (backward) {  // the transposed matrix
        panels_pack(pointwise, 1, out, 0, out, out, c, packed.data());
      } else {
        panels_pack(pointwise, out, 1, 0, c, c, out, packed.data());
      }
    }
    const NormLoops<float>& load;
    ImagePlan plan, transposed;  // of forward; of the data gradient for stride 1
    int64_t out_channels;
    LineFloats lanes, flipped_lanes;  // of d [K K][period]; of d turned round, for stride 1
    LineFloats packed;                // panels of P, or with `backward` of its transpose
  };

  FastImage(const ImageWindow& g, const Weights& w)
      : g_(g),
        w_(w),
        block_rows_(4 * ((kBlockPixels - 1) / (4 * g.out_width) + 1)),
        frame_(w.plan.frame_rows * w.plan.frame_row + kSlack, w.plan.left * w.plan.channels),
        moments_(std::max<int64_t>(w.out_channels, 1)) {
    const ImagePlan& p = w.plan;
    if (g.stride == 1) {
      zero_border(frame_.data(), p.frame_rows, p.frame_row, p.top, g.height, p.left * p.channels,
                  g.width * p.channels);
    } else {  // planes: their borders are not one run
      std::fill_n(frame_.data(), p.frame_rows * p.frame_row + kSlack, 0.0f);
    }
  }

  // a = the normalised and rectified image x [H, W, C], into its frame.
  void activate(const float* x) {
    const ImagePlan& p = w_.plan;
    if (g_.stride == 2) {
      if (image_.empty()) image_ = FloatScratch(g_.size());
      w_.load.apply(x, 1, image_.data(), false, g_.height * g_.width);
      return depthwise_spread(&p, image_.data(), frame_.data());
    }
    float* to = frame_.data() + p.top * p.frame_row + p.left * p.channels;
    for (int64_t y = 0; y < p.height; ++y) {
      w_.load.apply(x + y * p.width * p.channels, 1, to + y * p.frame_row, false, p.width);
    }
  }
  // y [H', W', C] = t.
  void depthwise(float* y) { rows(0, g_.out_height, y); }
  // y [H', W', Cout] = t P, some rows at a time, so that t stays in L1; and moments [2][Cout] of y
  // where not null.
  void separable(float* y, float* moments) {
    const int64_t row = g_.out_width * w_.out_channels;
    for_each_block([&](int64_t first, int64_t last, const float* t) {
      product(t, (last - first) * g_.out_width, g_.channels, w_.out_channels, y + first * row,
              w_.out_channels);
      if (moments != nullptr) moments_.add(y + first * row, (last - first) * g_.out_width);
    });
    if (moments != nullptr) moments_.take(moments);
  }
  void set_output_gradient(const float* dt) {
    start_dt_frame();
    depthwise_place_dt(&w_.plan, dt, dt_frame_.data());
  }
  // dt = dy P^T goes straight into its frame, dP meets t block by block.
  void set_separable_gradient(const float* dy, bool dp) {
    const int64_t out = w_.out_channels, row = g_.out_width * out;
    if (dp) {
      if (outer_.empty()) outer_ = FloatScratch::zeros(g_.channels * out);
      for_each_block([&](int64_t first, int64_t last, const float* t) {
        const PanelPixels pixels{t,   g_.channels, 0, dy + first * row,
                                 out, 0,           1, (last - first) * g_.out_width};
        panels_outer(pixels, g_.channels, out, outer_.data(), out, true);
      });
    }
    start_dt_frame();
    for (int64_t y = 0; y < g_.out_height; ++y) {
      product(dy + y * row, g_.out_width, out, g_.channels, dt() + y * w_.plan.dt_row, g_.channels);
    }
  }
  void weight_gradient() {
    if (weight_lanes_.empty()) {
      weight_lanes_ = FloatScratch::zeros(g_.kernel * g_.kernel * w_.plan.period);
    }
    depthwise_weights(&w_.plan, frame_.data(), dt(), weight_lanes_.data());
  }
  void data_gradient(const float* x, float* dx, bool add, float* sums) {
    const int64_t row = g_.width * g_.channels;
    // Of a plain x the gradient of a is that of x, and nobody takes sums.
    const bool plain = !add && !w_.load.affine().affine && !w_.load.affine().relu;
    const int64_t step = plain ? g_.height : block_rows_;
    if (!plain && rows_.empty()) rows_ = FloatScratch(block_rows_ * row);
    if (g_.stride == 2 && plane_.empty())
      plane_ = FloatScratch((g_.width + 2) * g_.channels + kSlack);
    for (int64_t r = 0; r < g_.height; r += step) {
      const int64_t last = std::min(r + step, g_.height);
      float* const da = plain ? dx + r * row : rows_.data();
      if (g_.stride == 1) {
        depthwise_rows(&w_.transposed, dt_frame_.data(), w_.flipped_lanes.data(), r, last, da);
      } else {
        depthwise_rows_back_stride2(&w_.plan, dt_frame_.data(), w_.lanes.data(), r, last,
                                    plane_.data(), da);
      }
      if (!plain) w_.load.sums(x + r * row, da, 1, dx + r * row, add, (last - r) * g_.width, sums);
    }
  }
  // What the images gave: dd [K, K, C] and dP [C, Cout].
  std::vector<float> take_weight_gradient() {
    std::vector<float> dw(static_cast<size_t>(weight_lanes_.empty() ? 0 : g_.weights()));
    if (!dw.empty()) {
      fold_lanes(weight_lanes_.data(), g_.kernel * g_.kernel, g_.channels, dw.data());
    }
    return dw;
  }
  std::vector<float> take_pointwise_gradient() {
    const int64_t n = outer_.empty() ? 0 : g_.channels * w_.out_channels;
    return std::vector<float>(outer_.data(), outer_.data() + n);
  }

 private:
  static constexpr int64_t kSlack = 32;        // floats that a last vector may touch
  static constexpr int64_t kBlockPixels = 64;  // or more, that stay in L1 from kernel to kernel

  void rows(int64_t first, int64_t last, float* out) {
    depthwise_rows(&w_.plan, frame_.data(), w_.lanes.data(), first, last, out);
  }
  template <class F>
  void for_each_block(F&& f) {
    if (t_.empty()) t_ = FloatScratch(block_rows_ * g_.out_width * g_.channels);
    for (int64_t r = 0; r < g_.out_height; r += block_rows_) {
      const int64_t last = std::min(r + block_rows_, g_.out_height);
      rows(r, last, t_.data());
      f(r, last, t_.data());
    }
  }
  // c [rows, n], ldc floats apart, = a [rows, k] times the packed weights.
  void product(const float* a, int64_t rows, int64_t k, int64_t n, float* c, int64_t ldc) const {
    const PanelRun run{a, k, k};
    panels_multiply(&run, 1, rows, w_.packed.data(), n, c, ldc, false);
  }
  // The first of dt's values in its frame.
  float* dt() {
    const ImagePlan& p = w_.plan;
    return dt_frame_.data() + p.dt_top * p.dt_row + p.dt_left * p.channels;
  }
  void start_dt_frame() {
    if (!dt_frame_.empty()) return;
    const ImagePlan& p = w_.plan;
    dt_frame_ = FloatScratch(p.dt_rows * p.dt_row + kSlack, p.dt_left * p.channels);
    zero_border(dt_frame_.data(), p.dt_rows, p.dt_row, p.dt_top, g_.out_height,
                p.dt_left * p.channels, g_.out_width * p.channels);
  }
  // Zeroes what is around `n` floats at `left` of the rows [top, top + height), and the slack.
  static void zero_border(float* frame, int64_t rows, int64_t row, int64_t top, int64_t height,
                          int64_t left, int64_t n) {
    std::fill_n(frame, top * row + left, 0.0f);
    for (int64_t y = top; y + 1 < top + height; ++y) {
      std::fill_n(frame + y * row + left + n, row - n, 0.0f);
    }
    float* const last = frame + (top + height - 1) * row + left + n;
    std::fill(last, frame + rows * row + kSlack, 0.0f);
  }
  static ImagePlan plan_of(const ImageWindow& g);
  // The data gradient for stride 1 is a convolution of the dt frame with flipped weights.
  static ImagePlan transposed_plan(const ImagePlan& forward);

  const ImageWindow& g_;
  const Weights& w_;
  int64_t block_rows_;
  FloatScratch frame_, t_, image_;        // a; block_rows_ rows of t; stride 2: a as it lies
  FloatScratch dt_frame_, rows_, plane_;  // dt; rows of da; stride 2: pixels of one parity of a row
  FloatScratch weight_lanes_, outer_;     // sums over the images: dd by lanes, dP
  RunningMoments moments_;
};

inline ImagePlan FastImage::plan_of(const ImageWindow& g) {
  ImagePlan p{};
  p.height = g.height, p.width = g.width, p.channels = g.channels;
  p.out_height = g.out_height, p.out_width = g.out_width;
  p.kernel = g.kernel, p.stride = g.stride, p.top = g.top, p.left = g.left;
  const int64_t wide =
      std::max((g.out_width - 1) * g.stride + g.kernel, g.left + g.width) + g.stride - 1;
  const auto lines = [](int64_t floats) { return (floats + 15) / 16 * 16; };  // whole ones
  p.plane = lines(wide / g.stride * g.channels);
  p.frame_row = p.plane * g.stride;
  p.frame_rows = std::max((g.out_height - 1) * g.stride + g.kernel, g.top + g.height);
  p.period = lane_period(g.channels);
  const auto extent = [&](int64_t before, int64_t out, int64_t edge, int64_t in) {
    return g.stride == 1 ? in + g.kernel - 1
                         : std::max(before + out, (edge + in - 1) / 2 + before + 1);
  };
  p.dt_top = g.stride == 1 ? g.kernel - 1 - g.top : (g.kernel - 1) / 2;
  p.dt_left = g.stride == 1 ? g.kernel - 1 - g.left : (g.kernel - 1) / 2;
  p.dt_rows = extent(p.dt_top, g.out_height, g.top, g.height);
  p.dt_row = lines(extent(p.dt_left, g.out_width, g.left, g.width) * g.channels);
  return p;
}

inline ImagePlan FastImage::transposed_plan(const ImagePlan& forward) {
  ImagePlan p = forward;
  p.frame_row = p.plane = forward.dt_row;
  p.out_height = forward.height, p.out_width = forward.width;
  return p;
}

}  // namespace enas
