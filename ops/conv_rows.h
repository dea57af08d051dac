// Parts of the convolutions' plain loops, which f64 runs: moments of columns in fixed partitions.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "tensor/thread_pool.h"

namespace enas {

// mean[c], variance[c] (biased) of y [rows x channels]: two passes, sums of partitions in order.
template <class T>
void column_moments(const T* y, int64_t rows, int64_t channels, T* mean, T* variance) {
  const int parts = chunk_count(rows, 64);
  std::vector<double> sums(static_cast<size_t>(parts * channels));
  std::vector<double> total(static_cast<size_t>(channels));
  for (const bool centered : {false, true}) {
    parallel_chunks(parts, [&](int part) {
      double* const sum = sums.data() + part * channels;
      std::fill_n(sum, channels, 0.0);
      for (int64_t r = rows * part / parts; r < rows * (part + 1) / parts; ++r) {
        for (int64_t c = 0; c < channels; ++c) {
          const double v = static_cast<double>(y[r * channels + c]);
          const double away = v - total[static_cast<size_t>(c)];
          sum[c] += centered ? away * away : v;
        }
      }
    });
    std::fill(total.begin(), total.end(), 0.0);
    for (int64_t i = 0; i < parts * channels; ++i)
      total[static_cast<size_t>(i % channels)] += sums[static_cast<size_t>(i)];
    for (double& t : total) t /= static_cast<double>(rows);
    std::transform(total.begin(), total.end(), centered ? variance : mean,
                   [](double t) { return static_cast<T>(t); });
  }
}

}  // namespace enas
