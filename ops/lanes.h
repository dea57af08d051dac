// Per-channel values expanded to the period lcm(C, 16), so that vectors of any instruction set read
// them in step with rows of C floats: the f32 kernels of normalisation and depthwise convolution.
#pragma once
#include <algorithm>
#include <cstdint>
#include <new>
#include <numeric>
#include <vector>

namespace enas {

// Vectors that start with a cache line: half of all loads would cross one otherwise.
template <class T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};
  LineAllocator() = default;
  template <class U>
  LineAllocator(const LineAllocator<U>&) {}  // NOLINT: containers convert allocators
  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kLine)); }
  void deallocate(T* p, size_t) { ::operator delete(p, kLine); }
  bool operator==(const LineAllocator&) const { return true; }
};
using LineFloats = std::vector<float, LineAllocator<float>>;

inline int64_t lane_period(int64_t channels) { return std::lcm(channels, int64_t{16}); }

// `of_channel` [rows][C] -> [rows][period].
inline LineFloats expand_lanes(const float* of_channel, int64_t rows, int64_t channels) {
  const int64_t period = lane_period(channels);
  LineFloats lanes(static_cast<size_t>(rows * period));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < period; i += channels) {
      std::copy_n(of_channel + r * channels, channels, lanes.data() + r * period + i);
    }
  }
  return lanes;
}
// Adds lanes [rows][period] to `of_channel` [rows][C], in order.
inline void fold_lanes(const float* lanes, int64_t rows, int64_t channels, float* of_channel) {
  const int64_t period = lane_period(channels);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < period; i += channels) {
      for (int64_t c = 0; c < channels; ++c)
        of_channel[r * channels + c] += lanes[r * period + i + c];
    }
  }
}

}  // namespace enas
