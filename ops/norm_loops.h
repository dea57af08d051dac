// Loops over rows of a normalisation: plain ones for f64 (gradient checks), vectors for f32, whose
// per-channel values are expanded to a period once an op (ops/lanes.h). Parts of ops/batch_norm.h,
// ops/sum_of.h, ops/depthwise_conv2d.h and ops/separable_conv.h.
#pragma once
#include "ops/channel_affine.h"
#include "ops/lanes.h"
#include "ops/norm_lanes.h"
#include "tensor/isa.h"

namespace enas {

template <class T>
class NormLoops {
 public:
  NormLoops(ChannelAffine<T> affine, int64_t channels)
      : affine_(std::move(affine)), channels_(static_cast<size_t>(channels)) {}
  const ChannelAffine<T>& affine() const { return affine_; }

  // y (+)= keep * f(x), of whole rows.
  void apply(const T* x, T keep, T* y, bool add, int64_t rows) const {
    each(rows, [&](size_t i, size_t c) {
      const T value = keep * affine_(x[i], c);
      y[i] = add ? y[i] + value : value;
    });
  }
  // Elements of the sums below.
  size_t sums_size() const { return 2 * channels_; }
  // sums += dz, dz (x - mean) by channel, with dz = keep dy where z passes; dz (+)= it, where not
  // null.
  void sums(const T* x, const T* dy, T keep, T* dz, bool add, int64_t rows, T* sums) const {
    each(rows, [&](size_t i, size_t c) {
      const T passed = affine_.passes(x[i], c) ? keep * dy[i] : T(0);
      sums[c] += passed;
      sums[channels_ + c] += passed * (affine_.affine ? x[i] - affine_.mean[c] : x[i]);
      if (dz != nullptr) dz[i] = add ? dz[i] + passed : passed;
    });
  }
  // Adds such sums to the whole, in double.
  void join(const T* sums, NormSums<T>& whole) const {
    for (size_t c = 0; c < channels_; ++c) {
      whole.dz[c] += static_cast<double>(sums[c]);
      whole.dz_xhat[c] +=
          static_cast<double>(sums[channels_ + c]) * static_cast<double>(affine_.rstd[c]);
    }
  }
  // (x, dy, keep, dx, add, rows): dx (+)= by_dz dz + by_x x + rest.
  auto backward(const NormBackward<T>& rule) const {
    return [this, rule](const T* x, const T* dy, T keep, T* dx, bool add, int64_t rows) {
      each(rows, [&](size_t i, size_t c) {
        const T dz = affine_.passes(x[i], c) ? keep * dy[i] : T(0);
        const T value = rule.by_dz[c] * dz + rule.by_x[c] * x[i] + rule.rest[c];
        dx[i] = add ? dx[i] + value : value;
      });
    };
  }

 private:
  template <class F>
  void each(int64_t rows, F&& f) const {
    for (size_t r = 0, i = 0; r < static_cast<size_t>(rows); ++r) {
      for (size_t c = 0; c < channels_; ++c, ++i) f(i, c);
    }
  }
  ChannelAffine<T> affine_;
  size_t channels_;
};

ISA_SELECT(norm_apply,
           void(const float* x, const NormLanes* l, float keep, float* y, bool add, int64_t n));
ISA_SELECT(norm_sums, void(const float* x, const float* dy, const NormLanes* l, float keep,
                           float* dz, bool add, int64_t n, float* sums));
ISA_SELECT(norm_backward, void(const float* x, const float* dy, const NormLanes* l, float keep,
                               float* dx, bool add, int64_t n));

template <>
class NormLoops<float> {
 public:
  NormLoops(ChannelAffine<float> affine, int64_t channels)
      : affine_(std::move(affine)), channels_(channels), period_(lane_period(channels)) {
    if (!affine_.affine) return;
    factor_ = expanded(affine_.factor), shift_ = expanded(affine_.shift);
    mean_ = expanded(affine_.mean);
  }
  const ChannelAffine<float>& affine() const { return affine_; }

  void apply(const float* x, float keep, float* y, bool add, int64_t rows) const {
    const NormLanes l = lanes();
    norm_apply(x, &l, keep, y, add, rows * channels_);
  }
  size_t sums_size() const { return static_cast<size_t>(2 * period_); }
  void sums(const float* x, const float* dy, float keep, float* dz, bool add, int64_t rows,
            float* sums) const {
    constexpr int64_t kBlock = 4096;  // floats: what lies in L1 while groups of lanes pass over it
    const NormLanes l = lanes();
    const int64_t block = std::max<int64_t>(kBlock / channels_, 1);
    for (int64_t r = 0; r < rows; r += block) {
      const int64_t at = r * channels_, n = std::min(block, rows - r) * channels_;
      norm_sums(x + at, dy + at, &l, keep, dz != nullptr ? dz + at : nullptr, add, n, sums);
    }
  }
  void join(const float* sums, NormSums<float>& whole) const {
    for (int64_t i = 0; i < period_; ++i) {
      const auto c = static_cast<size_t>(i % channels_);
      whole.dz[c] += static_cast<double>(sums[i]);
      whole.dz_xhat[c] +=
          static_cast<double>(sums[period_ + i]) * static_cast<double>(affine_.rstd[c]);
    }
  }
  auto backward(const NormBackward<float>& rule) const {
    return [l = lanes(), n = channels_, by_dz = expanded(rule.by_dz), by_x = expanded(rule.by_x),
            rest = expanded(rule.rest)](const float* x, const float* dy, float keep, float* dx,
                                        bool add, int64_t rows) {
      NormLanes all = l;
      all.by_dz = by_dz.data(), all.by_x = by_x.data(), all.rest = rest.data();
      norm_backward(x, dy, &all, keep, dx, add, rows * n);
    };
  }

 private:
  LineFloats expanded(const std::vector<float>& of_channel) const {
    return expand_lanes(of_channel.data(), 1, channels_);
  }
  NormLanes lanes() const {
    return {factor_.data(), shift_.data(), mean_.data(),   nullptr,     nullptr,
            nullptr,        period_,       affine_.affine, affine_.relu};
  }
  ChannelAffine<float> affine_;
  int64_t channels_, period_;
  LineFloats factor_, shift_, mean_;
};

}  // namespace enas
