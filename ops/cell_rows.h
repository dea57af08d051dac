// Row loops of the recurrent cells behind their products, one source for every path: with
// ENAS_ISA_NAMESPACE defined (a *.simd.cpp) on the vectors of tensor/simd.h in f32, else number by
// number. Formulas: ops/highway_cell.h, ops/plain_cell.h, ops/lstm_cell.h. Internal to ops/.
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
  T get(const T* p) const {
    return *p;
  }
  template <class T>
  void put(T* p, T v) const {
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

// s, y [rows, n]; z [rows, 2n] = [h | t] in, [f(h) | sigmoid(t)] out.
template <class T>
inline void highway_rows(Activation activation, const T* carry, T* z, T* y, int64_t rows,
                         int64_t n) {
  visit_activation(activation, [=](auto f) {
    for (int64_t r = 0; r < rows; ++r) {
      const T* s_row = carry + r * n;
      T *h_row = z + 2 * r * n, *t_row = h_row + n, *y_row = y + r * n;
      each_block(n, [=](int64_t i, auto& at) {
        const auto s = at.get(s_row + i);
        const auto h = f.f(at.get(h_row + i), 0.0f);
        const auto gate = sigmoid(at.get(t_row + i));
        at.put(h_row + i, h);
        at.put(t_row + i, gate);
        at.put(y_row + i, s + gate * (h - s));
      });
    }
  });
}

// gates: what highway_rows left in z. dz [rows, 2n]; ds [rows, n] gets the carry's part, or null.
template <class T>
inline void highway_rows_backward(Activation activation, const T* gates, const T* carry,
                                  const T* dy, T* dz, T* ds, bool add, int64_t rows, int64_t n) {
  visit_activation(activation, [=](auto f) {
    for (int64_t r = 0; r < rows; ++r) {
      const T *h_row = gates + 2 * r * n, *s_row = carry + r * n, *dy_row = dy + r * n;
      T *dh_row = dz + 2 * r * n, *ds_row = ds + r * n;
      each_block(n, [=](int64_t i, auto& at) {
        const auto h = at.get(h_row + i), gate = at.get(h_row + n + i), up = at.get(dy_row + i);
        at.put(dh_row + i, f.df(h, up * gate, 0.0f));
        at.put(dh_row + n + i, Sigmoid::df(gate, up * (h - at.get(s_row + i)), 0.0f));
        if (ds == nullptr) return;
        const auto passed = up * (1.0f - gate);
        at.put(ds_row + i, add ? at.get(ds_row + i) + passed : passed);
      });
    }
  });
}

// c, h_next, c_next [rows, n]; z [rows, 4n] = [i f o g] in, their activations out.
template <class T>
inline void lstm_rows(const T* c, T* z, T* h_next, T* c_next, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, z += 4 * n, c += n, h_next += n, c_next += n) {
    each_block(n, [=](int64_t j, auto& at) {
      const auto i = sigmoid(at.get(z + j)), f = sigmoid(at.get(z + n + j));
      const auto o = sigmoid(at.get(z + 2 * n + j)), g = tanh(at.get(z + 3 * n + j));
      const auto next = i * g + f * at.get(c + j);
      at.put(z + j, i);
      at.put(z + n + j, f);
      at.put(z + 2 * n + j, o);
      at.put(z + 3 * n + j, g);
      at.put(c_next + j, next);
      at.put(h_next + j, o * tanh(next));
    });
  }
}

// dh, dc_next: either may be null. dc [rows, n] gets sigmoid(f) times the cell's gradient, or null.
template <class T>
inline void lstm_rows_backward(const T* gates, const T* c, const T* c_next, const T* dh,
                               const T* dc_next, T* dz, T* dc, bool add, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* z = gates + 4 * r * n;
    T* dz_row = dz + 4 * r * n;
    const int64_t row = r * n;
    each_block(n, [=](int64_t j, auto& at) {
      const auto i = at.get(z + j), f = at.get(z + n + j), o = at.get(z + 2 * n + j);
      const auto g = at.get(z + 3 * n + j), cell = tanh(at.get(c_next + row + j));
      const auto zero = i - i;
      const auto up = dh == nullptr ? zero : at.get(dh + row + j);
      // The cell's gradient: its own and what came through h' = o tanh(c').
      const auto through = Tanh::df(cell, up * o, 0.0f);
      const auto down = dc_next == nullptr ? through : through + at.get(dc_next + row + j);
      at.put(dz_row + j, Sigmoid::df(i, down * g, 0.0f));
      at.put(dz_row + n + j, Sigmoid::df(f, down * at.get(c + row + j), 0.0f));
      at.put(dz_row + 2 * n + j, Sigmoid::df(o, up * cell, 0.0f));
      at.put(dz_row + 3 * n + j, Tanh::df(g, down * i, 0.0f));
      if (dc == nullptr) return;
      at.put(dc + row + j, add ? at.get(dc + row + j) + down * f : down * f);
    });
  }
}

}  // namespace enas::ENAS_FUNCTORS
