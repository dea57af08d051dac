// One image of a depthwise or separable convolution for f32: the vector kernels of
// ops/depthwise_conv2d.simd.cpp and ops/separable_conv.simd.cpp over scratch that stays in L2. The
// same calls as PlainImage (ops/depthwise_image.h).
#pragma once
#include "ops/depthwise_image.h"
#include "ops/image_plan.h"

namespace enas {

ISA_SELECT(depthwise_rows, void(const ImagePlan* p, const float* frame, const float* weights,
                                int64_t first, int64_t last, float* out));
ISA_SELECT(depthwise_weights,
           void(const ImagePlan* p, const float* frame, const float* dt, float* lanes));
ISA_SELECT(depthwise_spread, void(const ImagePlan* p, const float* image, float* frame));
ISA_SELECT(depthwise_counter, void(const ImagePlan* p, const float* dt, float* counter));
ISA_SELECT(depthwise_rows_back2,
           void(const ImagePlan* p, const float* counter, const float* weights, int64_t first,
                int64_t last, float* plane, float* da));
ISA_SELECT(pack_pointwise,
           void(const float* w, int64_t k, int64_t n, bool transposed, float* packed));
ISA_SELECT(pointwise_product,
           void(const float* a, int64_t rows, int64_t k, const float* packed, int64_t n, float* c));
ISA_SELECT(pointwise_outer, void(const float* a, const float* b, int64_t pixels, int64_t k,
                                 int64_t n, float* last_row, float* sums));

// Floats from the memory pool, which keeps them from op to op.
class FloatScratch {
 public:
  FloatScratch() = default;
  explicit FloatScratch(int64_t n) : floats_({n}) {}
  static FloatScratch zeros(int64_t n) {
    FloatScratch s(n);
    std::fill_n(s.data(), n, 0.0f);
    return s;
  }
  bool empty() const { return !floats_.defined(); }
  float* data() { return static_cast<float*>(floats_.raw()); }

 private:
  Tensor floats_;
};

class FastImage {
 public:
  static bool serves(const ImageWindow& g) {
    return (g.kernel == 3 || g.kernel == 5) && (g.stride == 1 || g.stride == 2);
  }

  // Everything that is the same for all images: layouts, expanded and packed weights.
  struct Weights {
    Weights(const ImageWindow& g, const float* w, const float* pointwise, int64_t out,
            const NormLoops<float>& rule)
        : load(rule), forward(plan_of(g)), backward(counter_plan(forward)), out_channels(out) {
      const int64_t k2 = g.kernel * g.kernel;
      lanes = expand_lanes(w, k2, g.channels);
      std::vector<float> flipped(static_cast<size_t>(g.weights()));
      for (int64_t t = 0; t < k2; ++t) {
        std::copy_n(w + (k2 - 1 - t) * g.channels, g.channels, flipped.data() + t * g.channels);
      }
      if (g.stride == 1) flipped_lanes = expand_lanes(flipped.data(), k2, g.channels);
      if (pointwise == nullptr) return;
      const auto size = [](int64_t rows, int64_t n) {
        return static_cast<size_t>(rows * ((n + 7) / 8 * 8));
      };
      packed.resize(size(g.channels, out)), transposed.resize(size(out, g.channels));
      pack_pointwise(pointwise, g.channels, out, false, packed.data());
      pack_pointwise(pointwise, out, g.channels, true, transposed.data());
    }
    const NormLoops<float>& load;
    ImagePlan forward, backward;
    int64_t out_channels;
    std::vector<float> lanes, flipped_lanes, packed, transposed;
  };

  FastImage(const ImageWindow& g, const Weights& w)
      : g_(g),
        w_(w),
        frame_(FloatScratch::zeros(w.forward.frame_rows * w.forward.frame_row + kSlack)),
        t_(g.out_size()) {}

  void activate(const float* x) {
    const ImagePlan& p = w_.forward;
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
  void depthwise(float* y) {
    depthwise_rows(&w_.forward, frame_.data(), w_.lanes.data(), 0, g_.out_height, y);
  }
  // Some rows at a time, so that t stays in L1.
  void separable(float* y) {
    for (int64_t r = 0; r < g_.out_height; r += kBlockRows) {
      const int64_t last = std::min(r + kBlockRows, g_.out_height);
      depthwise_rows(&w_.forward, frame_.data(), w_.lanes.data(), r, last, t_.data());
      pointwise_product(t_.data(), (last - r) * g_.out_width, g_.channels, w_.packed.data(),
                        w_.out_channels, y + r * g_.out_width * w_.out_channels);
    }
  }
  void set_output_gradient(const float* dt) { dt_ = dt; }
  void set_separable_gradient(const float* dy, bool dp) {
    const int64_t out = w_.out_channels;
    if (dp) {
      depthwise(t_.data());
      if (outer_.empty()) outer_ = FloatScratch::zeros((g_.channels + 1) * ((out + 7) / 8 * 8));
      float* last_row = outer_.data() + g_.channels * ((out + 7) / 8 * 8);
      pointwise_outer(t_.data(), dy, g_.out_pixels(), g_.channels, out, last_row, outer_.data());
    }
    pointwise_product(dy, g_.out_pixels(), out, w_.transposed.data(), g_.channels, t_.data());
    dt_ = t_.data();
  }
  void weight_gradient() {
    if (weight_lanes_.empty()) {
      weight_lanes_ = FloatScratch::zeros(g_.kernel * g_.kernel * w_.forward.period);
    }
    depthwise_weights(&w_.forward, frame_.data(), dt_, weight_lanes_.data());
  }
  void data_gradient(const float* x, float* dx, bool add, float* sums) {
    const ImagePlan& p = w_.backward;
    if (counter_.empty()) {
      counter_ = FloatScratch::zeros(p.counter_rows * p.counter_row + kSlack);
      rows_ = FloatScratch(kBlockRows * g_.width * g_.channels);
      plane_ = FloatScratch((g_.width + 2) * g_.channels);
    }
    depthwise_counter(&w_.forward, dt_, counter_.data());
    const int64_t row = g_.width * g_.channels;
    for (int64_t r = 0; r < g_.height; r += kBlockRows) {
      const int64_t last = std::min(r + kBlockRows, g_.height);
      if (g_.stride == 1) {
        depthwise_rows(&p, counter_.data(), w_.flipped_lanes.data(), r, last, rows_.data());
      } else {
        depthwise_rows_back2(&w_.forward, counter_.data(), w_.lanes.data(), r, last, plane_.data(),
                             rows_.data());
      }
      w_.load.sums(x + r * row, rows_.data(), 1, dx + r * row, add, (last - r) * g_.width, sums);
    }
  }
  // What the images gave: [K, K, C] and [C, Cout].
  std::vector<float> take_weight_gradient() {
    std::vector<float> dw(static_cast<size_t>(weight_lanes_.empty() ? 0 : g_.weights()));
    if (!dw.empty()) {
      fold_lanes(weight_lanes_.data(), g_.kernel * g_.kernel, g_.channels, dw.data());
    }
    return dw;
  }
  std::vector<float> take_pointwise_gradient() {
    const int64_t out = w_.out_channels, stride = (out + 7) / 8 * 8;
    std::vector<float> dp(static_cast<size_t>(outer_.empty() ? 0 : g_.channels * out));
    for (int64_t c = 0; c < g_.channels && !dp.empty(); ++c) {
      std::copy_n(outer_.data() + c * stride, out, dp.data() + c * out);
    }
    return dp;
  }

 private:
  static constexpr int64_t kBlockRows = 4, kSlack = 32;  // floats that a last vector may touch

  static ImagePlan plan_of(const ImageWindow& g) {
    ImagePlan p{g.height,
                g.width,
                g.channels,
                g.out_height,
                g.out_width,
                g.kernel,
                g.stride,
                g.top,
                g.left,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0};
    const int64_t wide =
        std::max((g.out_width - 1) * g.stride + g.kernel, g.left + g.width) + g.stride - 1;
    p.plane = wide / g.stride * g.channels;
    p.frame_row = p.plane * g.stride;
    p.frame_rows = std::max((g.out_height - 1) * g.stride + g.kernel, g.top + g.height);
    p.period = lane_period(g.channels);
    const auto extent = [&](int64_t before, int64_t out, int64_t edge, int64_t in) {
      return g.stride == 1 ? in + g.kernel - 1
                           : std::max(before + out, (edge + in - 1) / 2 + before + 1);
    };
    p.counter_top = g.stride == 1 ? g.kernel - 1 - g.top : (g.kernel - 1) / 2;
    p.counter_left = g.stride == 1 ? g.kernel - 1 - g.left : (g.kernel - 1) / 2;
    p.counter_rows = extent(p.counter_top, g.out_height, g.top, g.height);
    p.counter_row = extent(p.counter_left, g.out_width, g.left, g.width) * g.channels;
    return p;
  }
  // The data gradient for stride 1 is a convolution of the counter frame with flipped weights.
  static ImagePlan counter_plan(const ImagePlan& forward) {
    ImagePlan p = forward;
    p.frame_row = p.plane = forward.counter_row;
    p.out_height = forward.height, p.out_width = forward.width;
    return p;
  }

  const ImageWindow& g_;
  const Weights& w_;
  FloatScratch frame_, t_, image_, counter_, rows_, plane_, weight_lanes_, outer_;
  const float* dt_ = nullptr;
};

}  // namespace enas
