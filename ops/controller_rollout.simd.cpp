// Kernels of ops/controller_rollout.h: all in double. Raw pointers and sizes only.
#include "ops/doubles.simd.h"

namespace enas::ENAS_ISA_NAMESPACE {
namespace {

// `kVectors` vectors of columns of y = y + x W; each sum runs in the order of x.
template <int kVectors>
void product_tile(const double* x, int64_t n, const double* w, int64_t columns, double* y) {
  Doubles sums[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) sums[v] = load_doubles(y + v * kDoubles);
  for (int64_t i = 0; i < n; ++i, w += columns) {
    const Doubles a = splat(x[i]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[v] += a * load_doubles(w + v * kDoubles);
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) store(y + v * kDoubles, sums[v]);
}

}  // namespace

// y [columns] += x W, W [n, columns]. A ragged end is a whole vector that overlaps its neighbour:
// computed first, stored last.
void rollout_product(const double* x, int64_t n, const double* w, int64_t columns, double* y) {
  const int64_t end = columns - kDoubles;
  if (end < 0) {
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t i = 0; i < n; ++i) y[j] += x[i] * w[i * columns + j];
    return;
  }
  Doubles late = load_doubles(y + end);
  const bool ragged = columns % kDoubles != 0;
  for (int64_t i = 0; ragged && i < n; ++i)
    late += splat(x[i]) * load_doubles(w + i * columns + end);
  int64_t j = 0;
  for (; j + 8 * kDoubles <= columns; j += 8 * kDoubles)
    product_tile<8>(x, n, w + j, columns, y + j);
  for (; j + 4 * kDoubles <= columns; j += 4 * kDoubles)
    product_tile<4>(x, n, w + j, columns, y + j);
  for (; j + kDoubles <= columns; j += kDoubles) product_tile<1>(x, n, w + j, columns, y + j);
  if (ragged) store(y + end, late);
}

void rollout_widen(const float* x, double* y, int64_t n) {
  int64_t i = 0;
  for (; i + kDoubles <= n; i += kDoubles) store(y + i, load_doubles(x + i));
  for (; i < n; ++i) y[i] = static_cast<double>(x[i]);
}

namespace {

// The vector at p, or its first n elements and zeros.
Doubles part(const double* p, int64_t n) {
  if (n >= kDoubles) return load_doubles(p);
  Doubles v = splat(0.0);
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
void put(double* p, Doubles v, int64_t n) {
  if (n >= kDoubles) return store(p, v);
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
}

}  // namespace

// One LSTM step behind its product z [4n] = i f o g: c and h [n] in place.
void rollout_gates(const double* z, double* c, double* h, int64_t n) {
  for (int64_t k = 0; k < n; k += kDoubles) {
    const int64_t left = n - k;
    const Doubles i = sigmoid(part(z + k, left)), f = sigmoid(part(z + n + k, left));
    const Doubles o = sigmoid(part(z + 2 * n + k, left)), g = tanh(part(z + 3 * n + k, left));
    const Doubles cell = i * g + f * part(c + k, left);
    put(c + k, cell, left);
    put(h + k, o * tanh(cell), left);
  }
}

// v . tanh(key + query), [n] each.
double rollout_attention(const double* key, const double* query, const double* v, int64_t n) {
  Doubles total = splat(0.0);
  for (int64_t k = 0; k < n; k += kDoubles) {
    const int64_t left = n - k;
    total += part(v + k, left) * tanh(part(key + k, left) + part(query + k, left));
  }
  return sum(total);
}

double rollout_dot(const double* a, const double* b, int64_t n) {
  Doubles total = splat(0.0);
  for (int64_t k = 0; k < n; k += kDoubles) total += part(a + k, n - k) * part(b + k, n - k);
  return sum(total);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
