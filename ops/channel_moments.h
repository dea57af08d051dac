// Pieces of channel statistics, for ops/channel_stats.h and for epilogues of convolutions: each
// block of rows leaves its own mean and sum of squared deviations (two visits while it is in
// cache), and blocks are joined in order, in double:
//   d = mean_b - mean;  mean += d n_b / n;  M2 += M2_b + d^2 n_a n_b / n
// (Chan, Golub, LeVeque 1979). No difference of large squares, and the same bits for any number of
// threads where the blocks depend on the shape alone.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "ops/lanes.h"
#include "tensor/isa.h"

namespace enas {

// moments [2][C]: mean and M2 of x [rows, C], rows >= 1.
ISA_SELECT(moments_of_rows, void(const float* x, int64_t rows, int64_t channels, float* moments));

inline void block_moments(const float* x, int64_t rows, int64_t channels, float* moments) {
  moments_of_rows(x, rows, channels, moments);
}
// The plain loop: f64, for gradient checks.
inline void block_moments(const double* x, int64_t rows, int64_t channels, double* moments) {
  double *mean = moments, *square = moments + channels;
  std::fill_n(moments, 2 * channels, 0.0);
  for (int64_t i = 0; i < rows * channels; ++i) mean[i % channels] += x[i];
  for (int64_t c = 0; c < channels; ++c) mean[c] /= static_cast<double>(rows);
  for (int64_t i = 0; i < rows * channels; ++i) {
    const double d = x[i] - mean[i % channels];
    square[i % channels] += d * d;
  }
}

ISA_SELECT(shifted_sums,
           void(const float* x, int64_t n, int64_t period, const float* shift, float* sums));

// Moments of rows that come piece by piece, each visited once while it is in L1: deviations from
// the mean of the first piece, so that squares stay small.
class RunningMoments {
 public:
  explicit RunningMoments(int64_t channels)
      : channels_(channels),
        period_(lane_period(channels)),
        sums_(static_cast<size_t>(2 * period_)) {}
  void add(const float* x, int64_t rows) {
    if (rows_ == 0) {
      std::vector<float> first(static_cast<size_t>(2 * channels_));
      moments_of_rows(x, rows, channels_, first.data());
      shift_ = expand_lanes(first.data(), 1, channels_);
    }
    shifted_sums(x, rows * channels_, period_, shift_.data(), sums_.data());
    rows_ += rows;
  }
  // The moments of all rows since the last call.
  void take(float* moments) {
    std::fill_n(moments, 2 * channels_, 0.0f);
    fold_lanes(sums_.data(), 2, channels_, moments);
    const auto rows = static_cast<float>(rows_);
    for (int64_t c = 0; c < channels_; ++c) {
      const float mean = moments[c] / rows;
      moments[channels_ + c] = std::max(moments[channels_ + c] - moments[c] * mean, 0.0f);
      moments[c] = shift_[static_cast<size_t>(c)] + mean;
    }
    std::fill(sums_.begin(), sums_.end(), 0.0f);
    rows_ = 0;
  }

 private:
  int64_t channels_, period_, rows_ = 0;
  LineFloats sums_, shift_;
};

// Joins the moments [blocks][2][C] of blocks of `block` rows, the last one of what is left of
// `rows`.
template <class T>
void join_moments(const T* moments, int64_t rows, int64_t block, int64_t channels, T* mean,
                  T* variance) {
  std::vector<double> total(static_cast<size_t>(2 * channels), 0.0);
  double *centre = total.data(), *square = centre + channels;
  for (int64_t begin = 0; begin < rows; begin += block, moments += 2 * channels) {
    const auto before = static_cast<double>(begin);
    const auto n = static_cast<double>(std::min(block, rows - begin));
    for (int64_t c = 0; c < channels; ++c) {
      const double d = static_cast<double>(moments[c]) - centre[c];
      centre[c] += d * (n / (before + n));
      square[c] += static_cast<double>(moments[channels + c]) + d * d * (before * n / (before + n));
    }
  }
  for (int64_t c = 0; c < channels; ++c) {
    mean[c] = static_cast<T>(centre[c]);
    variance[c] = static_cast<T>(square[c] / static_cast<double>(rows));
  }
}

}  // namespace enas
