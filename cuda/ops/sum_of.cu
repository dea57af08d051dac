// Kernels of ops/sum_of.h. The addresses of the terms travel as the kernel's parameter.
#include "ops/sum_of.h"

#include <memory>

#include "cuda/channels.cuh"

namespace enas::cuda {
namespace {

constexpr int kMost = 16;  // terms a launch
template <class T>
struct Terms {
  const T* x[kMost];
  const T* keep[kMost];
  LoadRule<T> rule[kMost];
  int count;
  bool goes_on;     // the sum starts from y
  int64_t example;  // rows of one
  T* y;

  // y at element i of a row and channel, stored.
  __device__ T first(int64_t i, int64_t row, int channel) const {
    T sum = goes_on ? y[i] : T(0);
    for (int k = 0; k < count; ++k) {
      const T value = rule[k](x[k][i], channel);
      sum += keep[k] != nullptr ? keep[k][row / example] * value : value;
    }
    y[i] = sum;
    return sum;
  }
  __device__ T again(int64_t i) const { return y[i]; }
};
static_assert(sizeof(Terms<float>) <= 3900, "parameters of a launch are at most 4 KiB");

template <class T>
__global__ void sum_terms(const Terms<T> terms, int channels, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    terms.first(i, i / channels, static_cast<int>(i % channels));
  }
}

}  // namespace

// More terms than fit a launch: the next one goes on from the sum in y.
void sum_of_forward(Tensor& y, std::span<const TermValues> all, ChannelStats& stats) {
  visit_real(y.dtype(), "sum_of", [&](auto tag) {
    using T = decltype(tag);
    const int64_t channels = y.size(-1), rows = y.numel() / channels;
    for (size_t first = 0; first < all.size(); first += kMost) {
      const std::span<const TermValues> part =
          all.subspan(first, std::min<size_t>(kMost, all.size() - first));
      std::vector<std::unique_ptr<LoadTable<T>>> tables;
      Terms<T> terms{};
      terms.count = static_cast<int>(part.size());
      terms.goes_on = first > 0;
      terms.example = rows / y.size(0);
      terms.y = y.data<T>();
      for (size_t k = 0; k < part.size(); ++k) {
        tables.push_back(std::make_unique<LoadTable<T>>("sum_of", part[k].norm, channels));
        terms.x[k] = part[k].x.template data<T>();
        terms.keep[k] = part[k].keep.defined() ? part[k].keep.template data<T>() : nullptr;
        terms.rule[k] = tables.back()->rule();
      }
      const bool last = first + kMost >= all.size();
      if (last && stats.mean.defined()) {
        launch_moments<T>("sum_of", terms, rows, channels, stats);
      } else {
        launch("sum_of", sum_terms<T>, map_launch(y.numel()), terms, static_cast<int>(channels),
               y.numel());
      }
    }
  });
}

}  // namespace enas::cuda
