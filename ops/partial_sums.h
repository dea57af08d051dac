// Gradients of weights by partitions: each of a fixed number of partitions of the batch sums for
// itself, then the partial sums are added in order. The same bits for any number of threads.
#pragma once
#include <algorithm>

#include "autograd/tape.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {

// to (+)= the sum of `parts` arrays of n floats, `stride` floats apart, in order.
ISA_SELECT(sum_parts, void(const float* partial, int64_t parts, int64_t stride, float* to,
                           int64_t n, bool add));

// f32. The number of partitions depends on sizes alone.
class PartialSums {
 public:
  // `units`: what can be parted (rows or images); `work`: multiply-adds; `size`: floats of a sum.
  PartialSums(int64_t work, int64_t units, int64_t size)
      : parts_(static_cast<int>(std::clamp<int64_t>(
            std::min(work / std::max<int64_t>(256 * size, 1 << 18), units), 1, kMostParts))),
        size_(size),
        partial_({parts_ * size}),
        data_(partial_.data<float>()) {}

  int parts() const { return parts_; }
  float* part(int64_t i) const { return data_ + i * size_; }
  // A partition without units still has a sum.
  void clear_if(bool empty, int64_t i) const {
    if (empty) std::fill_n(part(i), size_, 0.0f);
  }
  // Floats [at, at + to.numel()) of the whole sum.
  void add_up(int64_t at, Tensor& to, Into into) const {
    constexpr int64_t kGrain = 8192;
    float* const out = to.data<float>();
    parallel_for(to.numel(), kGrain / parts_, [&](int64_t begin, int64_t end) {
      sum_parts(data_ + at + begin, parts_, size_, out + begin, end - begin, into == Into::add);
    });
  }

 private:
  static constexpr int64_t kMostParts = 16;
  int parts_;
  int64_t size_;
  Tensor partial_;
  float* data_;
};

}  // namespace enas
