// Row loops of the recurrent cells behind their products, one source for every path: with
// ENAS_ISA_NAMESPACE defined (a *.simd.cpp) on the vectors of tensor/simd.h in f32, else number by
// number; the kernels of cuda/ops/ call the *_at functions, a thread a column. Formulas:
// ops/highway_cell.h, ops/plain_cell.h, ops/lstm_cell.h. Internal to ops/ and cuda/ops/.
#pragma once
#include "ops/activation.h"
#include "ops/pointwise_functors.h"

namespace enas::ENAS_FUNCTORS {

// each_block(n, f) calls f(c, access) for blocks that cover columns [0, n).
#ifdef ENAS_ISA_NAMESPACE
struct Whole {
  Floats get(const float* p) const { return load(p); }
  void put(float* p, Floats v) const { store(p, v); }
};
struct Part {
  int64_t n;
  Floats get(const float* p) const { return load_tail(p, n, 0.0f); }
  void put(float* p, Floats v) const { store_tail(p, v, n); }
};
// Holds its results back until flush().
struct Late {
  Floats values[6];
  float* places[6];
  int count = 0;
  Floats get(const float* p) const { return load(p); }
  void put(float* p, Floats v) {
    values[count] = v;
    places[count++] = p;
  }
  void flush() const {
    for (int i = 0; i < count; ++i) store(places[i], values[i]);
  }
};
// A ragged end is a whole vector that overlaps its neighbour. It is computed first and stored last,
// so that the loops may work in place: both give the shared columns the same bits.
template <class F>
inline void each_block(int64_t n, F f) {
  const int64_t body = n / kWidth * kWidth;
  if (body == 0) {
    Part part{n};
    return f(int64_t{0}, part);
  }
  Late late;
  if (body < n) f(n - kWidth, late);
  Whole whole;
  for (int64_t c = 0; c < body; c += kWidth) f(c, whole);
  late.flush();
}
#else
struct One {
  template <class T>
  ENAS_HD T get(const T* p) const {
    return *p;
  }
  template <class T>
  ENAS_HD void put(T* p, T v) const {
    *p = v;
  }
};
template <class F>
inline void each_block(int64_t n, F f) {
  One one;
  for (int64_t c = 0; c < n; ++c) f(c, one);
}
#endif

struct Identity {
  template <class T, class P>
  ENAS_HD static T f(T x, P) {
    return x;
  }
  template <class T, class P>
  ENAS_HD static T df(T, T dy, P) {
    return dy;
  }
};

template <class F>
inline void visit_activation(Activation activation, F f) {
  switch (activation) {
    case Activation::tanh:
      return f(Tanh{});
    case Activation::relu:
      return f(Relu{});
    case Activation::sigmoid:
      return f(Sigmoid{});
    case Activation::identity:
      return f(Identity{});
  }
}

// z [rows, n]: f in place.
template <class T>
inline void activation_rows(Activation activation, T* z, int64_t n) {
  visit_activation(activation, [=](auto f) {
    each_block(n, [=](int64_t i, auto& at) { at.put(z + i, f.f(at.get(z + i), 0.0f)); });
  });
}

template <class T>
inline void activation_rows_backward(Activation activation, const T* y, const T* dy, T* dz,
                                     int64_t n) {
  visit_activation(activation, [=](auto f) {
    each_block(
        n, [=](int64_t i, auto& at) { at.put(dz + i, f.df(at.get(y + i), at.get(dy + i), 0.0f)); });
  });
}

// Below, X_at is columns i, i + 1, ... of one row, as many as `at` holds, and X_rows all of them.

// s, y [n]; h_in, t_in [n]; z [2n] gets [f(h) | sigmoid(t)] and may hold h_in and t_in, or is null.
template <class F, class T, class At>
ENAS_HD inline void highway_from(F f, const T* carry, const T* h_in, const T* t_in, T* z, T* y,
                                 int64_t n, int64_t i, At& at) {
  const auto s = at.get(carry + i);
  const auto h = f.f(at.get(h_in + i), 0.0f);
  const auto gate = sigmoid(at.get(t_in + i));
  if (z != nullptr) {
    at.put(z + i, h);
    at.put(z + n + i, gate);
  }
  at.put(y + i, s + gate * (h - s));
}

// z [2n] = [h | t] in, [f(h) | sigmoid(t)] out.
template <class F, class T, class At>
ENAS_HD inline void highway_at(F f, const T* carry, T* z, T* y, int64_t n, int64_t i, At& at) {
  highway_from(f, carry, z, z + n, z, y, n, i, at);
}

template <class T>
inline void highway_rows(Activation activation, const T* carry, T* z, T* y, int64_t rows,
                         int64_t n) {
  visit_activation(activation, [=](auto f) {
    for (int64_t r = 0; r < rows; ++r) {
      const T* s_row = carry + r * n;
      T *z_row = z + 2 * r * n, *y_row = y + r * n;
      each_block(n, [=](int64_t i, auto& at) { highway_at(f, s_row, z_row, y_row, n, i, at); });
    }
  });
}

// gates: what highway_at left in z. dz [2n]; ds [n] gets the carry's part, or null.
template <class F, class T, class At>
ENAS_HD inline void highway_back_at(F f, const T* gates, const T* carry, const T* dy, T* dz, T* ds,
                                    bool add, int64_t n, int64_t i, At& at) {
  const auto h = at.get(gates + i), gate = at.get(gates + n + i), up = at.get(dy + i);
  at.put(dz + i, f.df(h, up * gate, 0.0f));
  at.put(dz + n + i, Sigmoid::df(gate, up * (h - at.get(carry + i)), 0.0f));
  if (ds == nullptr) return;
  const auto passed = up * (1.0f - gate);
  at.put(ds + i, add ? at.get(ds + i) + passed : passed);
}

template <class T>
inline void highway_rows_backward(Activation activation, const T* gates, const T* carry,
                                  const T* dy, T* dz, T* ds, bool add, int64_t rows, int64_t n) {
  visit_activation(activation, [=](auto f) {
    for (int64_t r = 0; r < rows; ++r) {
      const T *gate_row = gates + 2 * r * n, *s_row = carry + r * n, *dy_row = dy + r * n;
      T *dz_row = dz + 2 * r * n, *ds_row = ds != nullptr ? ds + r * n : nullptr;
      each_block(n, [=](int64_t i, auto& at) {
        highway_back_at(f, gate_row, s_row, dy_row, dz_row, ds_row, add, n, i, at);
      });
    }
  });
}

// c, h_next, c_next [n]; z [4n] = [i f o g] in, their activations out.
template <class T, class At>
ENAS_HD inline void lstm_at(const T* c, T* z, T* h_next, T* c_next, int64_t n, int64_t j, At& at) {
  const auto i = sigmoid(at.get(z + j)), f = sigmoid(at.get(z + n + j));
  const auto o = sigmoid(at.get(z + 2 * n + j)), g = tanh(at.get(z + 3 * n + j));
  const auto next = i * g + f * at.get(c + j);
  at.put(z + j, i);
  at.put(z + n + j, f);
  at.put(z + 2 * n + j, o);
  at.put(z + 3 * n + j, g);
  at.put(c_next + j, next);
  at.put(h_next + j, o * tanh(next));
}

template <class T>
inline void lstm_rows(const T* c, T* z, T* h_next, T* c_next, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, z += 4 * n, c += n, h_next += n, c_next += n) {
    each_block(n, [=](int64_t j, auto& at) { lstm_at(c, z, h_next, c_next, n, j, at); });
  }
}

// dh, dc_next: either may be null. dc [n] gets sigmoid(f) times the cell's gradient, or null.
template <class T, class At>
ENAS_HD inline void lstm_back_at(const T* gates, const T* c, const T* c_next, const T* dh,
                                 const T* dc_next, T* dz, T* dc, bool add, int64_t n, int64_t j,
                                 At& at) {
  const auto i = at.get(gates + j), f = at.get(gates + n + j), o = at.get(gates + 2 * n + j);
  const auto g = at.get(gates + 3 * n + j), cell = tanh(at.get(c_next + j));
  const auto zero = i - i;
  const auto up = dh == nullptr ? zero : at.get(dh + j);
  // The cell's gradient: its own and what came through h' = o tanh(c').
  const auto through = Tanh::df(cell, up * o, 0.0f);
  const auto down = dc_next == nullptr ? through : through + at.get(dc_next + j);
  at.put(dz + j, Sigmoid::df(i, down * g, 0.0f));
  at.put(dz + n + j, Sigmoid::df(f, down * at.get(c + j), 0.0f));
  at.put(dz + 2 * n + j, Sigmoid::df(o, up * cell, 0.0f));
  at.put(dz + 3 * n + j, Tanh::df(g, down * i, 0.0f));
  if (dc == nullptr) return;
  at.put(dc + j, add ? at.get(dc + j) + down * f : down * f);
}

template <class T>
inline void lstm_rows_backward(const T* gates, const T* c, const T* c_next, const T* dh,
                               const T* dc_next, T* dz, T* dc, bool add, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    const auto row = [=](auto* p, int64_t width) { return p != nullptr ? p + r * width : p; };
    const T *gate_row = row(gates, 4 * n), *c_row = row(c, n), *next_row = row(c_next, n);
    const T *dh_row = row(dh, n), *dc_next_row = row(dc_next, n);
    T *dz_row = row(dz, 4 * n), *dc_row = row(dc, n);
    each_block(n, [=](int64_t j, auto& at) {
      lstm_back_at(gate_row, c_row, next_row, dh_row, dc_next_row, dz_row, dc_row, add, n, j, at);
    });
  }
}

}  // namespace enas::ENAS_FUNCTORS
