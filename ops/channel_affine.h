// A normalisation as the CPU's loops apply it: z = x factor + shift by channel, with
// factor = scale / sqrt(variance + epsilon) and shift = offset - mean factor, formed in double; and
// what backward makes of its two sums.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "ops/batch_norm.h"

namespace enas {

template <class T>
struct ChannelAffine {
  bool affine = false, relu = false;
  std::vector<T> factor, shift, mean, rstd;

  ChannelAffine() = default;
  explicit ChannelAffine(const NormValues& n) : relu(n.relu) {
    if (!n.mean.defined()) return;
    affine = true;
    const auto channels = static_cast<size_t>(n.mean.numel());
    factor.resize(channels), shift.resize(channels), mean.resize(channels), rstd.resize(channels);
    const T *m = n.mean.data<T>(), *v = n.variance.data<T>();
    const T *s = n.scale.data<T>(), *o = n.offset.data<T>();
    for (size_t c = 0; c < channels; ++c) {
      const double r = 1 / std::sqrt(static_cast<double>(v[c]) + n.epsilon);
      const double f = static_cast<double>(s[c]) * r;
      mean[c] = m[c], rstd[c] = static_cast<T>(r), factor[c] = static_cast<T>(f);
      shift[c] = static_cast<T>(static_cast<double>(o[c]) - static_cast<double>(m[c]) * f);
    }
  }
  T z(T x, size_t c) const { return affine ? x * factor[c] + shift[c] : x; }
  T operator()(T x, size_t c) const {
    const T value = z(x, c);
    return relu && !(value > 0) && value == value ? T(0) : value;
  }
  bool passes(T x, size_t c) const { return !relu || z(x, c) > 0; }
};

// The sums of dz and dz xhat of each channel, and the gradients that follow from them.
template <class T>
struct NormSums {
  std::vector<double> dz, dz_xhat;
  explicit NormSums(int64_t channels)
      : dz(static_cast<size_t>(channels), 0.0), dz_xhat(static_cast<size_t>(channels), 0.0) {}

  static void put(const GradOut& out, const std::vector<double>& values) {
    if (!out.wanted()) return;
    T* to = out.tensor->data<T>();
    for (size_t c = 0; c < values.size(); ++c) {
      to[c] = static_cast<T>(out.into == Into::add ? static_cast<double>(to[c]) + values[c]
                                                   : values[c]);
    }
  }
  void put_parameters(const NormGrads& grads) const {
    put(grads.dscale, dz_xhat), put(grads.doffset, dz);
  }
};

// dx = by_dz dz + by_x x + rest, by channel: the whole gradient of a normalisation.
template <class T>
struct NormBackward {
  std::vector<T> by_dz, by_x, rest;
  NormBackward(const ChannelAffine<T>& n, const NormSums<T>& sums, bool batch, int64_t count)
      : by_dz(n.factor), by_x(n.factor.size(), T(0)), rest(n.factor.size(), T(0)) {
    if (!batch) return;
    for (size_t c = 0; c < by_dz.size(); ++c) {
      const double f = static_cast<double>(n.factor[c]) / static_cast<double>(count);
      const double slope = -f * sums.dz_xhat[c] * static_cast<double>(n.rstd[c]);
      by_x[c] = static_cast<T>(slope);
      rest[c] = static_cast<T>(-f * sums.dz[c] - slope * static_cast<double>(n.mean[c]));
    }
  }
};

}  // namespace enas
