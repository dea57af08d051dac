// Kernels of ops/controller_score.h, f32: raw pointers and sizes only. A row's sums do not depend
// on how many rows come with it.
#include "ops/cell_rows.h"

namespace enas::ENAS_ISA_NAMESPACE {
namespace {

constexpr int kMostRows = 4;

// The sum of the lanes, by halves: a third of the chain of `sum`.
inline float sum_by_halves(Floats v) {
#if defined(__AVX512F__)
  typedef float Eight __attribute__((vector_size(32)));
  const Eight e = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                  __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
#elif defined(__AVX2__)
  const Floats e = v;
#endif
  typedef float Four __attribute__((vector_size(16)));
#if defined(__AVX2__)
  const Four f =
      __builtin_shufflevector(e, e, 0, 1, 2, 3) + __builtin_shufflevector(e, e, 4, 5, 6, 7);
#else
  const Four f = v;
#endif
  return (f[0] + f[2]) + (f[1] + f[3]);
}

template <int kRows, int kVectors>
inline void product_tile(const float* x, int64_t n, const float* w, int64_t columns, float* y) {
  Floats sums[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[r][v] = load(y + r * columns + v * kWidth);
  }
  for (int64_t i = 0; i < n; ++i, w += columns) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Floats weight = load(w + v * kWidth);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sums[r][v] += x[r * n + i] * weight;
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) store(y + r * columns + v * kWidth, sums[r][v]);
  }
}

template <int kRows>
inline void product_rows(const float* x, int64_t n, const float* w, int64_t columns, float* y) {
  constexpr int kVectors = kRows == 1 ? 8 : 4;
  // A ragged end is a whole vector that overlaps its neighbour: computed first, stored last.
  const int64_t ragged = columns % kWidth, end = columns - kWidth;
  float late[kRows][kWidth] = {};
  if (ragged != 0 && end >= 0) {
    for (int r = 0; r < kRows; ++r) {
      Floats sums = load(y + r * columns + end);
      for (int64_t i = 0; i < n; ++i) sums += x[r * n + i] * load(w + i * columns + end);
      store(late[r], sums);
    }
  }
  int64_t j = 0;
  for (; j + kVectors * kWidth <= columns; j += kVectors * kWidth)
    product_tile<kRows, kVectors>(x, n, w + j, columns, y + j);
  for (; j + 2 * kWidth <= columns; j += 2 * kWidth)
    product_tile<kRows, 2>(x, n, w + j, columns, y + j);
  for (; j + kWidth <= columns; j += kWidth) product_tile<kRows, 1>(x, n, w + j, columns, y + j);
  if (ragged == 0) return;
  for (int r = 0; r < kRows; ++r) {
    if (end >= 0) {
      store(y + r * columns + end, load(late[r]));
      continue;
    }
    for (int64_t k = 0; k < columns; ++k)
      for (int64_t i = 0; i < n; ++i) y[r * columns + k] += x[r * n + i] * w[i * columns + k];
  }
}

// dx [kRows, n] += z [kRows, columns] W^T, kOuter rows of W at a time.
template <int kRows, int kOuter>
inline void back_tile(const float* z, int64_t columns, const float* w, int64_t n, float* dx) {
  Floats sums[kRows][kOuter];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int o = 0; o < kOuter; ++o) sums[r][o] = Floats{};
  }
  int64_t j = 0;
  for (; j + kWidth <= columns; j += kWidth) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Floats row = load(z + r * columns + j);
#pragma GCC unroll 8
      for (int o = 0; o < kOuter; ++o) sums[r][o] += row * load(w + o * columns + j);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int o = 0; o < kOuter; ++o) {
      float total = sum_by_halves(sums[r][o]);
      for (int64_t k = j; k < columns; ++k) total += z[r * columns + k] * w[o * columns + k];
      dx[r * n + o] += total;
    }
  }
}

template <int kRows>
inline void back_rows(const float* z, int64_t columns, const float* w, int64_t n, float* dx) {
  constexpr int kOuter = kRows == 1 ? 8 : 4;
  int64_t i = 0;
  for (; i + kOuter <= n; i += kOuter)
    back_tile<kRows, kOuter>(z, columns, w + i * columns, n, dx + i);
  for (; i < n; ++i) back_tile<kRows, 1>(z, columns, w + i * columns, n, dx + i);
}

inline Floats part(const float* p, int64_t n) {
  return n >= kWidth ? load(p) : load_tail(p, n, 0.0f);
}
inline void put(float* p, Floats v, int64_t n) { n >= kWidth ? store(p, v) : store_tail(p, v, n); }

}  // namespace

// y [rows, columns] += x [rows, n] W, W [n, columns].
void score_product(const float* x, int64_t rows, int64_t n, const float* w, int64_t columns,
                   float* y) {
  int64_t r = 0;
  for (; r + kMostRows <= rows; r += kMostRows)
    product_rows<kMostRows>(x + r * n, n, w, columns, y + r * columns);
  if (rows - r == 3) return product_rows<3>(x + r * n, n, w, columns, y + r * columns);
  if (rows - r == 2) return product_rows<2>(x + r * n, n, w, columns, y + r * columns);
  if (rows - r == 1) return product_rows<1>(x + r * n, n, w, columns, y + r * columns);
}

// dx [rows, n] += z [rows, columns] W^T, W [n, columns].
void score_product_back(const float* z, int64_t rows, int64_t columns, const float* w, int64_t n,
                        float* dx) {
  int64_t r = 0;
  for (; r + kMostRows <= rows; r += kMostRows)
    back_rows<kMostRows>(z + r * columns, columns, w, n, dx + r * n);
  if (rows - r == 3) return back_rows<3>(z + r * columns, columns, w, n, dx + r * n);
  if (rows - r == 2) return back_rows<2>(z + r * columns, columns, w, n, dx + r * n);
  if (rows - r == 1) return back_rows<1>(z + r * columns, columns, w, n, dx + r * n);
}

void score_lstm(const float* c, float* z, float* h_next, float* c_next, int64_t rows, int64_t n) {
  lstm_rows(c, z, h_next, c_next, rows, n);
}
void score_lstm_back(const float* gates, const float* c, const float* c_next, const float* dh,
                     const float* dc_next, float* dz, float* dc, int64_t rows, int64_t n) {
  lstm_rows_backward(gates, c, c_next, dh, dc_next, dz, dc, false, rows, n);
}

// t = tanh(key + query), key null: zero; returns v . t.
float score_attention(const float* key, const float* query, const float* v, float* t, int64_t n) {
  Floats total = Floats{};
  for (int64_t k = 0; k < n; k += kWidth) {
    const int64_t left = n - k;
    const Floats at = part(query + k, left);
    const Floats y = tanh(key != nullptr ? at + part(key + k, left) : at);
    put(t + k, y, left);
    total += part(v + k, left) * y;
  }
  return sum_by_halves(total);
}

// With upstream g of v . t: dkey (where not null) and dquery += g v (1 - t^2), dv += g t.
void score_attention_back(const float* t, const float* v, float g, float* dkey, float* dquery,
                          float* dv, int64_t n) {
  for (int64_t k = 0; k < n; k += kWidth) {
    const int64_t left = n - k;
    const Floats y = part(t + k, left), dt = g * part(v + k, left) * (1.0f - y * y);
    put(dquery + k, part(dquery + k, left) + dt, left);
    if (dkey != nullptr) put(dkey + k, part(dkey + k, left) + dt, left);
    put(dv + k, part(dv + k, left) + g * y, left);
  }
}

float score_dot(const float* a, const float* b, int64_t n) {
  Floats total = Floats{};
  for (int64_t k = 0; k < n; k += kWidth) total += part(a + k, n - k) * part(b + k, n - k);
  return sum_by_halves(total);
}

// y += a x.
void score_axpy(float a, const float* x, float* y, int64_t n) {
  for (int64_t k = 0; k < n; k += kWidth)
    put(y + k, part(y + k, n - k) + a * part(x + k, n - k), n - k);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
