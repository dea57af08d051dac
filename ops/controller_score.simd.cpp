// Kernels of ops/controller_score.h, f32: raw pointers and sizes only. A row's sums do not depend
// on how many rows come with it.
#include "ops/cell_rows.h"
#include "ops/walk_rows.h"

namespace enas::ENAS_ISA_NAMESPACE {
namespace {

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

// kOuter elements of each row of dx [kRows, n] += z [kRows, columns] W^T.
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
  if (j < columns) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Floats row = load_tail(z + r * columns + j, columns - j, 0.0f);
#pragma GCC unroll 8
      for (int o = 0; o < kOuter; ++o)
        sums[r][o] += row * load_tail(w + o * columns + j, columns - j, 0.0f);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int o = 0; o < kOuter; ++o) dx[r * n + o] += sum_by_halves(sums[r][o]);
  }
}

template <int kRows>
inline void back_rows(const float* z, int64_t columns, const float* w, int64_t n, float* dx) {
  int64_t i = 0;
  for (; kRows == 1 && i + 8 <= n; i += 8)
    back_tile<kRows, 8>(z, columns, w + i * columns, n, dx + i);
  for (; i + 4 <= n; i += 4) back_tile<kRows, 4>(z, columns, w + i * columns, n, dx + i);
  for (; i < n; ++i) back_tile<kRows, 1>(z, columns, w + i * columns, n, dx + i);
}

template <int kRows>
inline void product_back(const float* z, int64_t rows, int64_t columns, const float* w, int64_t n,
                         float* dx) {
  for (; rows >= kRows; rows -= kRows, z += kRows * columns, dx += kRows * n)
    back_rows<kRows>(z, columns, w, n, dx);
  if constexpr (kRows > 1) {
    if (rows > 0) product_back<kRows - 1>(z, rows, columns, w, n, dx);
  }
}

inline Floats part(const float* p, int64_t n) {
  return n >= kWidth ? load(p) : load_tail(p, n, 0.0f);
}
inline void put(float* p, Floats v, int64_t n) { n >= kWidth ? store(p, v) : store_tail(p, v, n); }

}  // namespace

// dx [rows, n] += z [rows, columns] W^T, W [n, columns].
void score_product_back(const float* z, int64_t rows, int64_t columns, const float* w, int64_t n,
                        float* dx) {
  product_back<kWalkRows>(z, rows, columns, w, n, dx);
}

void score_lstm_back(const float* gates, const float* c, const float* c_next, const float* dh,
                     const float* dc_next, float* dz, float* dc, int64_t rows, int64_t n) {
  lstm_rows_backward(gates, c, c_next, dh, dc_next, dz, dc, false, rows, n);
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

// y += a x.
void score_axpy(float a, const float* x, float* y, int64_t n) {
  for (int64_t k = 0; k < n; k += kWidth)
    put(y + k, part(y + k, n - k) + a * part(x + k, n - k), n - k);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
