// Loops of ops/reduce.h for f32: vector sums over blocks, blocks added in double.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {
namespace {

constexpr int64_t kBlock = 4096;  // elements summed in float before the sum moves to double

template <class Term>
inline double blocked_sum(int64_t n, Term term) {
  double total = 0;
  for (int64_t start = 0; start < n; start += kBlock) {
    const int64_t end = start + kBlock < n ? start + kBlock : n;
    Floats partial[4];
    for (Floats& p : partial) p = splat(0.0f);
    int64_t i = start;
    for (; i + 4 * kWidth <= end; i += 4 * kWidth) {
      for (int k = 0; k < 4; ++k) partial[k] += term(i + k * kWidth, int64_t{kWidth});
    }
    for (; i < end; i += kWidth) partial[0] += term(i, end - i < kWidth ? end - i : kWidth);
    total += sum((partial[0] + partial[1]) + (partial[2] + partial[3]));
  }
  return total;
}

}  // namespace

double sum_range(const float* x, int64_t n) {
  return blocked_sum(n, [=](int64_t i, int64_t lanes) { return load_some(x + i, lanes); });
}
double sum_squares_range(const float* x, int64_t n) {
  return blocked_sum(n, [=](int64_t i, int64_t lanes) {
    const Floats v = load_some(x + i, lanes);
    return v * v;
  });
}
double sum_squared_difference_range(const float* a, const float* b, int64_t n) {
  return blocked_sum(n, [=](int64_t i, int64_t lanes) {
    const Floats d = load_some(a + i, lanes) - load_some(b + i, lanes);
    return d * d;
  });
}

// dx (+)= factor * x.
void add_scaled(const float* x, float factor, float* dx, int64_t n, bool add) {
  for (int64_t i = 0; i < n; ++i) dx[i] = add ? dx[i] + factor * x[i] : factor * x[i];
}
// dx (+)= factor * (a - b).
void add_scaled_difference(const float* a, const float* b, float factor, float* dx, int64_t n,
                           bool add) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = factor * (a[i] - b[i]);
    dx[i] = add ? dx[i] + g : g;
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
