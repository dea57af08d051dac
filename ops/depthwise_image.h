// One image of a depthwise convolution, by plain loops: what f64 and unusual kernels run. Part of
// ops/depthwise_conv2d.h and ops/separable_conv.h, whose drivers (ops/separable_driver.h) take this
// or the vector form (ops/separable_image.h).
#pragma once
#include <algorithm>

#include "ops/channel_moments.h"
#include "ops/norm_loops.h"
#include "ops/window2d.h"

namespace enas {

struct ImageWindow {
  int64_t images, height, width, channels, out_height, out_width, kernel, stride, top, left;
  int64_t size() const { return height * width * channels; }
  int64_t out_pixels() const { return out_height * out_width; }
  int64_t out_size() const { return out_pixels() * channels; }
  int64_t weights() const { return kernel * kernel * channels; }
};
inline ImageWindow image_window(const Shape& x, const Window2d& w) {
  return {x[0],           x[1],     x[2],     x[3],           w.output(x[1]),
          w.output(x[2]), w.kernel, w.stride, w.before(x[1]), w.before(x[2])};
}
// Refuses what is no depthwise convolution of x [N, H, W, C] by w [K, K, C].
inline void check_depthwise(const char* op, const Tensor& x, const Tensor& w,
                            const Window2d& window) {
  check(x.rank() == 4 && x.numel() > 0, op, "needs images [N, H, W, C], got ", x.shape());
  check(w.shape() == Shape{window.kernel, window.kernel, x.size(3)}, op, "needs weights [",
        window.kernel, ", ", window.kernel, ", ", x.size(3), "] for x ", x.shape(), ", got ",
        w.shape());
  check(w.dtype() == x.dtype(), op, "x is ", x.dtype(), ", the weights are ", w.dtype());
  check(w.device() == x.device(), op, "x and weights on different devices; move them to one");
}

// The work of one image for one thread, with the buffers it needs. Order of calls: activate, then
// depthwise or weight_gradient; set_output_gradient, then weight_gradient and data_gradient.
template <class T>
class PlainImage {
 public:
  // w [K, K, C]; pointwise [C, Cout] or null.
  struct Weights {
    Weights(const ImageWindow&, const T* w, const T* p, int64_t out, const NormLoops<T>& rule,
            bool /*backward*/)
        : depthwise(w), pointwise(p), out_channels(out), load(rule) {}
    const T *depthwise, *pointwise;
    int64_t out_channels;
    const NormLoops<T>& load;
  };
  PlainImage(const ImageWindow& g, const Weights& w)
      : g_(g),
        w_(w),
        a_(static_cast<size_t>(g.size())),
        t_(static_cast<size_t>(g.out_size())),
        dt_(static_cast<size_t>(g.out_size())) {}

  // a = the normalised and rectified image x.
  void activate(const T* x) { w_.load.apply(x, T(1), a_.data(), false, g_.height * g_.width); }
  // y [H', W', C] = a convolved.
  void depthwise(T* y) {
    std::fill_n(y, g_.out_size(), T(0));
    for_each_tap([&](size_t out, size_t in, size_t w) { y[out] += a_[in] * w_.depthwise[w]; });
  }
  // y [H', W', Cout] = (a convolved) P, and its moments [2][Cout] where not null.
  void separable(T* y, T* moments) {
    depthwise(t_.data());
    std::fill_n(y, g_.out_pixels() * w_.out_channels, T(0));
    for_each_product([&](size_t t, size_t p, size_t o) { y[o] += t_[t] * w_.pointwise[p]; });
    if (moments != nullptr) block_moments(y, g_.out_pixels(), w_.out_channels, moments);
  }
  void set_output_gradient(const T* dt) { std::copy_n(dt, dt_.size(), dt_.begin()); }
  // From dy [H', W', Cout]; with `dp` adds t^T dy to what take_pointwise_gradient() hands out.
  void set_separable_gradient(const T* dy, bool dp) {
    std::fill(dt_.begin(), dt_.end(), T(0));
    for_each_product([&](size_t t, size_t p, size_t o) { dt_[t] += dy[o] * w_.pointwise[p]; });
    if (!dp) return;
    depthwise(t_.data());
    dp_.resize(static_cast<size_t>(g_.channels * w_.out_channels));
    for_each_product([&](size_t t, size_t p, size_t o) { dp_[p] += t_[t] * dy[o]; });
  }
  // Adds a * dt to the weight gradient that take_weight_gradient() hands out.
  void weight_gradient() {
    dw_.resize(static_cast<size_t>(g_.weights()));
    for_each_tap([&](size_t out, size_t in, size_t w) { dw_[w] += a_[in] * dt_[out]; });
  }
  std::vector<T> take_weight_gradient() { return std::move(dw_); }
  std::vector<T> take_pointwise_gradient() { return std::move(dp_); }
  // dx (+)= the gradient of z where it passes, and its sums (NormLoops::sums).
  void data_gradient(const T* x, T* dx, bool add, T* sums) {
    std::fill(a_.begin(), a_.end(), T(0));
    for_each_tap([&](size_t out, size_t in, size_t w) { a_[in] += dt_[out] * w_.depthwise[w]; });
    w_.load.sums(x, a_.data(), T(1), dx, add, g_.height * g_.width, sums);
  }

 private:
  size_t channels() const { return static_cast<size_t>(g_.channels); }
  template <class F>
  void for_each_tap(F&& f) const {
    size_t out = 0;
    for (int64_t i = 0; i < g_.out_height; ++i) {
      for (int64_t j = 0; j < g_.out_width; ++j, out += channels()) {
        for (int64_t t = 0; t < g_.kernel * g_.kernel; ++t) {
          const int64_t r = i * g_.stride - g_.top + t / g_.kernel;
          const int64_t q = j * g_.stride - g_.left + t % g_.kernel;
          if (r < 0 || r >= g_.height || q < 0 || q >= g_.width) continue;
          const auto in = static_cast<size_t>((r * g_.width + q) * g_.channels);
          const auto w = static_cast<size_t>(t) * channels();
          for (size_t c = 0; c < channels(); ++c) f(out + c, in + c, w + c);
        }
      }
    }
  }
  template <class F>
  void for_each_product(F&& f) const {
    const auto out = static_cast<size_t>(w_.out_channels);
    for (size_t t = 0, row = 0; t < t_.size(); row += out) {
      for (size_t c = 0; c < channels(); ++c, ++t) {
        for (size_t o = 0; o < out; ++o) f(t, c * out + o, row + o);
      }
    }
  }

  const ImageWindow& g_;
  const Weights& w_;
  std::vector<T> a_, t_, dt_, dw_, dp_;
};

}  // namespace enas
