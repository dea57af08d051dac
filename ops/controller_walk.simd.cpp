// Kernels of ops/controller_walk.h: in double, on weights of f32 or f64. Raw pointers and sizes
// only. A row's sums do not depend on how many rows come with it.
#include "ops/doubles.simd.h"
#include "ops/walk_rows.h"

namespace enas::ENAS_ISA_NAMESPACE {
namespace {

constexpr int kSums = kWidth == 16 ? 20 : 10;  // vectors of sums that leave registers for the rest
constexpr int most_vectors(int rows) {
  return kSums / rows > 10 ? 10 : kSums / rows > 1 ? kSums / rows : 1;
}

template <int kRows, int kVectors, class T>
inline void product_tile(const double* x, int64_t n, const T* w, int64_t columns,
                         const double* from, double* y) {
  Doubles sums[kRows][kVectors];
#pragma GCC unroll 10
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 10
    for (int v = 0; v < kVectors; ++v)
      sums[r][v] = from ? load_doubles(from + r * columns + v * kDoubles) : Doubles{};
  }
  for (int64_t i = 0; i < n; ++i, w += columns) {
#pragma GCC unroll 10
    for (int v = 0; v < kVectors; ++v) {
      const Doubles weight = load_doubles(w + v * kDoubles);
#pragma GCC unroll 10
      for (int r = 0; r < kRows; ++r) sums[r][v] += splat(x[r * n + i]) * weight;
    }
  }
#pragma GCC unroll 10
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 10
    for (int v = 0; v < kVectors; ++v) store(y + r * columns + v * kDoubles, sums[r][v]);
  }
}

// In tiles of `vectors` <= kVectors vectors; the last one overlaps its neighbour.
template <int kRows, int kVectors, class T>
inline void product_tiles(const double* x, int64_t n, const T* w, int64_t columns,
                          const double* from, double* y, int64_t vectors) {
  if constexpr (kVectors > 1) {
    if (vectors < kVectors)
      return product_tiles<kRows, kVectors - 1>(x, n, w, columns, from, y, vectors);
  }
  constexpr int64_t width = kVectors * kDoubles;
  for (int64_t j = 0; j < columns; j += width) {
    const int64_t at = j + width <= columns ? j : columns - width;
    product_tile<kRows, kVectors>(x, n, w + at, columns, from ? from + at : nullptr, y + at);
  }
}

template <int kRows, class T>
inline void product_rows(const double* x, int64_t n, const T* w, int64_t columns,
                         const double* from, double* y) {
  if (columns < kDoubles) {
    for (int64_t j = 0; j < kRows * columns; ++j) {
      double total = from ? from[j] : 0;
      for (int64_t i = 0; i < n; ++i)
        total += x[j / columns * n + i] * static_cast<double>(w[i * columns + j % columns]);
      y[j] = total;
    }
    return;
  }
  constexpr int kMost = most_vectors(kRows);
  const int64_t whole = columns / kDoubles, all = (columns + kDoubles - 1) / kDoubles;
  const int64_t tiles = (all + kMost - 1) / kMost, vectors = (all + tiles - 1) / tiles;
  product_tiles<kRows, kMost>(x, n, w, columns, from, y, vectors < whole ? vectors : whole);
}

template <int kRows, class T>
inline void product(const double* x, int64_t rows, int64_t n, const T* w, int64_t columns,
                    const double* from, double* y) {
  for (; rows >= kRows; rows -= kRows, x += kRows * n, y += kRows * columns) {
    product_rows<kRows>(x, n, w, columns, from, y);
    from = from ? from + kRows * columns : nullptr;
  }
  if constexpr (kRows > 1) {
    if (rows > 0) product<kRows - 1>(x, rows, n, w, columns, from, y);
  }
}

// Calls f(k, count) for the blocks of [0, n): whole vectors, the last of which overlaps its
// neighbour, or fewer than a vector.
template <class F>
inline void each_block(int64_t n, F f) {
  if (n < kDoubles) return f(int64_t{0}, n);
  for (int64_t k = 0; k + kDoubles <= n; k += kDoubles) f(k, int64_t{kDoubles});
  if (n % kDoubles != 0) f(n - kDoubles, int64_t{kDoubles});
}
inline Doubles part(const double* p, int64_t n) {
  return n >= kDoubles ? load_doubles(p) : load_tail(p, n);
}
template <class T>
inline void put(T* p, Doubles v, int64_t n) {
  n >= kDoubles ? store(p, v) : store_tail(p, v, n);
}

template <class T>
inline void gates(const double* z, const double* c, double* h_next, double* c_next, int64_t n,
                  T* kept_gates, T* kept_h, T* kept_c) {
  each_block(n, [=](int64_t k, int64_t count) {
    const Doubles i = sigmoid(part(z + k, count)), f = sigmoid(part(z + n + k, count));
    const Doubles o = sigmoid(part(z + 2 * n + k, count)), g = tanh(part(z + 3 * n + k, count));
    const Doubles cell = i * g + f * part(c + k, count), h = o * tanh(cell);
    put(c_next + k, cell, count);
    put(h_next + k, h, count);
    if (kept_gates == nullptr) return;
    put(kept_gates + k, i, count);
    put(kept_gates + n + k, f, count);
    put(kept_gates + 2 * n + k, o, count);
    put(kept_gates + 3 * n + k, g, count);
    put(kept_h + k, h, count);
    put(kept_c + k, cell, count);
  });
}

template <class T>
inline double attention(const double* key, const double* query, const double* v, int64_t n,
                        T* kept) {
  Doubles total = {};
  for (int64_t k = 0; k < n; k += kDoubles) {
    const int64_t left = n - k;
    const Doubles at = part(query + k, left);
    const Doubles t = tanh(key ? at + part(key + k, left) : at);
    total += part(v + k, left) * t;
    if (kept) put(kept + k, t, left);
  }
  return sum(total);
}

}  // namespace

// y [rows, columns] = from + x [rows, n] W, W [n, columns]; from null: zero. y is not from.
void walk_product(const double* x, int64_t rows, int64_t n, const float* w, int64_t columns,
                  const double* from, double* y) {
  product<kWalkRows>(x, rows, n, w, columns, from, y);
}
void walk_product_f64(const double* x, int64_t rows, int64_t n, const double* w, int64_t columns,
                      const double* from, double* y) {
  product<1>(x, rows, n, w, columns, from, y);
}

// One LSTM step behind its product z [4n] = i f o g; c_next is not c. kept_*: all null, or where
// the gates, h and c go too.
void walk_gates(const double* z, const double* c, double* h_next, double* c_next, int64_t n,
                float* kept_gates, float* kept_h, float* kept_c) {
  gates(z, c, h_next, c_next, n, kept_gates, kept_h, kept_c);
}
void walk_gates_f64(const double* z, const double* c, double* h_next, double* c_next, int64_t n,
                    double* kept_gates, double* kept_h, double* kept_c) {
  gates(z, c, h_next, c_next, n, kept_gates, kept_h, kept_c);
}

// v . tanh(key + query), [n] each; key null: zero. kept: null, or where the tanh go too.
double walk_attention(const double* key, const double* query, const double* v, int64_t n,
                      float* kept) {
  return attention(key, query, v, n, kept);
}
double walk_attention_f64(const double* key, const double* query, const double* v, int64_t n,
                          double* kept) {
  return attention(key, query, v, n, kept);
}

double walk_dot(const double* a, const double* b, int64_t n) {
  Doubles total = {};
  for (int64_t k = 0; k < n; k += kDoubles) total += part(a + k, n - k) * part(b + k, n - k);
  return sum(total);
}

// y += a x.
void walk_axpy(double a, const double* x, double* y, int64_t n) {
  for (int64_t k = 0; k < n; k += kDoubles)
    put(y + k, part(y + k, n - k) + splat(a) * part(x + k, n - k), n - k);
}

// Of products [n]: values C tanh(product / T), and slopes d value / d product.
void walk_bound(const double* products, int64_t n, double temperature, double constant,
                double* values, double* slopes) {
  for (int64_t k = 0; k < n; k += kDoubles) {
    const Doubles t = tanh(part(products + k, n - k) / splat(temperature));
    put(values + k, splat(constant) * t, n - k);
    put(slopes + k, splat(constant / temperature) * (1.0 - t * t), n - k);
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
