// Vector loops of ops/pointwise.h for f32. Undefined `saved` operands arrive as dy: read, not used.
#include "ops/pointwise_functors.h"

namespace enas::ENAS_ISA_NAMESPACE {
namespace {

// f(i, n): the vector at i of n lanes, n < kWidth only at the end.
template <class Load, class F>
inline void each(int64_t n, float* out, bool add, Load load_at, F f) {
  const int64_t body = n / kWidth * kWidth;
  for (int64_t i = 0; i < body; i += kWidth) {
    const Floats y = f(i, load_at);
    store(out + i, add ? load(out + i) + y : y);
  }
  if (body == n) return;
  const int64_t rest = n - body;
  const auto tail = [rest](const float* p) { return load_tail(p, rest, 1.0f); };
  const Floats y = f(body, tail);
  store_tail(out + body, add ? tail(out + body) + y : y, rest);
}

constexpr auto kWhole = [](const float* p) { return load(p); };

}  // namespace

void pointwise_unary(Unary op, double parameter, const float* x, float* y, int64_t n) {
  const float p = static_cast<float>(parameter);
  visit_functor(op, [=](auto functor) {
    each(n, y, false, kWhole,
         [=](int64_t i, auto at) { return decltype(functor)::f(at(x + i), p); });
  });
}

void pointwise_unary_backward(Unary op, double parameter, const float* saved, const float* dy,
                              float* dx, int64_t n, bool add) {
  const float p = static_cast<float>(parameter);
  visit_functor(op, [=](auto functor) {
    each(n, dx, add, kWhole,
         [=](int64_t i, auto at) { return decltype(functor)::df(at(saved + i), at(dy + i), p); });
  });
}

void pointwise_binary(Binary op, const float* a, const float* b, float* y, int64_t n) {
  visit_functor(op, [=](auto functor) {
    each(n, y, false, kWhole,
         [=](int64_t i, auto at) { return decltype(functor)::f(at(a + i), at(b + i)); });
  });
}

void pointwise_binary_da(Binary op, const float* b, const float* dy, float* da, int64_t n,
                         bool add) {
  visit_functor(op, [=](auto functor) {
    each(n, da, add, kWhole,
         [=](int64_t i, auto at) { return decltype(functor)::da(at(b + i), at(dy + i)); });
  });
}

void pointwise_binary_db(Binary op, const float* a, const float* b, const float* dy, float* db,
                         int64_t n, bool add) {
  visit_functor(op, [=](auto functor) {
    each(n, db, add, kWhole, [=](int64_t i, auto at) {
      return decltype(functor)::db(at(a + i), at(b + i), at(dy + i));
    });
  });
}

void add_row_rows(const float* x, const float* row, float* y, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    each(columns, y, false, kWhole, [=](int64_t c, auto at) { return at(x + c) + at(row + c); });
  }
}

// out[c] (+)= sum over rows of x[r, c], for c in [begin, end): four rows a visit, so that rows are
// read as they lie and out stays in the first cache.
void column_sums_range(const float* x, float* out, int64_t rows, int64_t columns, int64_t begin,
                       int64_t end, bool add) {
  if (!add) {
    for (int64_t c = begin; c < end; ++c) out[c] = 0;
  }
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float* at_row = x + r * columns + begin;
    each(end - begin, out + begin, true, kWhole, [=](int64_t c, auto at) {
      const float* p = at_row + c;
      return (at(p) + at(p + columns)) + (at(p + 2 * columns) + at(p + 3 * columns));
    });
  }
  for (; r < rows; ++r) {
    const float* at_row = x + r * columns + begin;
    each(end - begin, out + begin, true, kWhole,
         [=](int64_t c, auto at) { return at(at_row + c); });
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
