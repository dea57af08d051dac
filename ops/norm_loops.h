// Loops over rows of a normalisation: plain ones for f64 (gradient checks), vectors of the flat
// period (ops/flat_period.simd.h) for f32, whose per-channel values are expanded to the period once
// an op. Parts of ops/batch_norm.h, ops/sum_of.h and ops/separable_conv.h.
#pragma once
#include "ops/channel_affine.h"

namespace enas {

template <class T>
class NormLoops {
 public:
  NormLoops(ChannelAffine<T> affine, int64_t channels)
      : affine_(std::move(affine)), channels_(static_cast<size_t>(channels)) {}
  const ChannelAffine<T>& affine() const { return affine_; }

  // y (+)= keep * normalised x, of whole rows.
  void apply(const T* x, T keep, T* y, bool add, int64_t rows) const {
    each(rows, [&](size_t i, size_t c) {
      const T value = keep * affine_(x[i], c);
      y[i] = add ? y[i] + value : value;
    });
  }
  // sums [2][C] += dz, dz (x - mean), with dz = keep dy where z passes.
  void sums(const T* x, const T* dy, T keep, int64_t rows, T* sums) const {
    each(rows, [&](size_t i, size_t c) {
      if (!affine_.passes(x[i], c)) return;
      const T dz = keep * dy[i];
      sums[c] += dz;
      sums[channels_ + c] += dz * (x[i] - affine_.mean[c]);
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

}  // namespace enas
