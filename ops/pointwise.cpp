#include "ops/pointwise.h"

#include <algorithm>

#include "ops/pointwise_functors.h"
#include "tensor/dispatch.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

template <class Functor>
Var unary(const char* name, Unary op, double parameter, const Var& x) {
  Tensor y = empty_like(x.value());
  // Before the kernel: counting a handle is atomic, and would wait for the kernel's last store.
  Tensor saved = Functor::kSaves == Saves::x   ? x.value()
                 : Functor::kSaves == Saves::y ? y
                                               : Tensor();
  dispatch<cpu::unary_forward, cuda::unary_forward>(op, parameter, x.value(), y);
  return record(name, {x}, std::move(y),
                [op, parameter, saved = std::move(saved)](const Tensor& dy, Grads& dx) {
                  dispatch<cpu::unary_backward, cuda::unary_backward>(
                      op, parameter, saved.defined() ? saved : dy, dy, dx[0].tensor(),
                      dx[0].into());
                });
}

// Keeps of the operands what the wanted gradients read.
template <class Functor>
Var binary(const char* name, Binary op, const Var& a, const Var& b) {
  check(a.shape() == b.shape() && a.dtype() == b.dtype(), name,
        "needs two tensors of one shape and dtype, got ", a.dtype(), " ", a.shape(), " and ",
        b.dtype(), " ", b.shape());
  Tensor y = empty_like(a.value());
  Tensor saved_a = Functor::kSaves && b.has_grad() ? a.value() : Tensor();
  Tensor saved_b = Functor::kSaves ? b.value() : Tensor();
  dispatch<cpu::binary_forward, cuda::binary_forward>(op, a.value(), b.value(), y);
  return record(name, {a, b}, std::move(y),
                [op, saved_a = std::move(saved_a), saved_b = std::move(saved_b)](const Tensor& dy,
                                                                                 Grads& dx) {
                  const Tensor& right = saved_b.defined() ? saved_b : dy;
                  if (dx[0].needed()) {
                    dispatch<cpu::binary_backward_a, cuda::binary_backward_a>(
                        op, right, dy, dx[0].tensor(), dx[0].into());
                  }
                  if (dx[1].needed()) {
                    dispatch<cpu::binary_backward_b, cuda::binary_backward_b>(
                        op, saved_a.defined() ? saved_a : dy, right, dy, dx[1].tensor(),
                        dx[1].into());
                  }
                });
}

}  // namespace

#define ENAS_DEFINE(name, Functor) \
  Var name(const Var& x) { return unary<scalar::Functor>(#name, Unary::name, 0, x); }
ENAS_UNARY_OPS(ENAS_DEFINE)
#undef ENAS_DEFINE
#define ENAS_DEFINE(name, Functor)                                   \
  Var name(const Var& x, double parameter) {                         \
    return unary<scalar::Functor>(#name, Unary::name, parameter, x); \
  }
ENAS_PARAMETER_OPS(ENAS_DEFINE)
#undef ENAS_DEFINE
#define ENAS_DEFINE(name, Functor)                             \
  Var name(const Var& a, const Var& b) {                       \
    return binary<scalar::Functor>(#name, Binary::name, a, b); \
  }
ENAS_BINARY_OPS(ENAS_DEFINE)
#undef ENAS_DEFINE

Var add_row(const Var& x, const Var& row) {
  check(x.rank() >= 1 && row.numel() == x.size(-1) && row.dtype() == x.dtype() &&
            (row.rank() == 1 || (row.rank() == 2 && row.size(0) == 1)),
        "add_row", "needs x [..., n] and a row [n] or [1, n] of one dtype, got ", x.dtype(), " ",
        x.shape(), " and ", row.dtype(), " ", row.shape());
  Tensor y = empty_like(x.value());
  dispatch<cpu::add_row_forward, cuda::add_row_forward>(x.value(), row.value(), y);
  return record("add_row", {x, row}, y, [](const Tensor& dy, Grads& dx) {
    if (dx[0].needed()) dx[0].accept(dy);
    if (dx[1].needed()) {
      dispatch<cpu::column_sums, cuda::column_sums>(dy, dx[1].tensor(), dx[1].into());
    }
  });
}

ISA_SELECT(pointwise_unary, void(Unary op, double parameter, const float* x, float* y, int64_t n));
ISA_SELECT(pointwise_unary_backward, void(Unary op, double parameter, const float* saved,
                                          const float* dy, float* dx, int64_t n, bool add));
ISA_SELECT(pointwise_binary, void(Binary op, const float* a, const float* b, float* y, int64_t n));
ISA_SELECT(pointwise_binary_da,
           void(Binary op, const float* b, const float* dy, float* da, int64_t n, bool add));
ISA_SELECT(pointwise_binary_db, void(Binary op, const float* a, const float* b, const float* dy,
                                     float* db, int64_t n, bool add));
ISA_SELECT(add_row_rows,
           void(const float* x, const float* row, float* y, int64_t rows, int64_t columns));
ISA_SELECT(column_sums_range, void(const float* x, float* out, int64_t rows, int64_t columns,
                                   int64_t begin, int64_t end, bool add));

namespace {

constexpr int64_t kGrain = 8192;  // elements a chunk

// The plain loops: f64, for gradient checks.
void put(double* out, double value, bool add) { *out = add ? *out + value : value; }

void pointwise_unary_plain(Unary op, double p, const double* x, double* y, int64_t n) {
  scalar::visit_functor(op, [=](auto functor) {
    for (int64_t i = 0; i < n; ++i) y[i] = decltype(functor)::f(x[i], p);
  });
}

}  // namespace

void cpu::unary_forward(Unary op, double parameter, const Tensor& x, Tensor& y) {
  visit_real(x.dtype(), "pointwise", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      if constexpr (sizeof(T) == 4) {
        pointwise_unary(op, parameter, in + begin, out + begin, end - begin);
      } else {
        pointwise_unary_plain(op, parameter, in + begin, out + begin, end - begin);
      }
    });
  });
}

void cpu::unary_backward(Unary op, double parameter, const Tensor& saved, const Tensor& dy,
                         Tensor& dx, Into into) {
  const bool adds = into == Into::add;
  visit_real(dx.dtype(), "pointwise", [&](auto tag) {
    using T = decltype(tag);
    const T *kept = saved.data<T>(), *up = dy.data<T>();
    T* out = dx.data<T>();
    parallel_for(dx.numel(), kGrain, [&](int64_t begin, int64_t end) {
      if constexpr (sizeof(T) == 4) {
        pointwise_unary_backward(op, parameter, kept + begin, up + begin, out + begin, end - begin,
                                 adds);
      } else {
        scalar::visit_functor(op, [&](auto functor) {
          for (int64_t i = begin; i < end; ++i) {
            put(out + i, decltype(functor)::df(kept[i], up[i], parameter), adds);
          }
        });
      }
    });
  });
}

void cpu::binary_forward(Binary op, const Tensor& a, const Tensor& b, Tensor& y) {
  visit_real(a.dtype(), "pointwise", [&](auto tag) {
    using T = decltype(tag);
    const T *left = a.data<T>(), *right = b.data<T>();
    T* out = y.data<T>();
    parallel_for(y.numel(), kGrain, [&](int64_t begin, int64_t end) {
      if constexpr (sizeof(T) == 4) {
        pointwise_binary(op, left + begin, right + begin, out + begin, end - begin);
      } else {
        scalar::visit_functor(op, [&](auto functor) {
          for (int64_t i = begin; i < end; ++i) out[i] = decltype(functor)::f(left[i], right[i]);
        });
      }
    });
  });
}

void cpu::binary_backward_a(Binary op, const Tensor& b, const Tensor& dy, Tensor& da, Into into) {
  const bool adds = into == Into::add;
  visit_real(da.dtype(), "pointwise", [&](auto tag) {
    using T = decltype(tag);
    const T *right = b.data<T>(), *up = dy.data<T>();
    T* out = da.data<T>();
    parallel_for(da.numel(), kGrain, [&](int64_t begin, int64_t end) {
      if constexpr (sizeof(T) == 4) {
        pointwise_binary_da(op, right + begin, up + begin, out + begin, end - begin, adds);
      } else {
        scalar::visit_functor(op, [&](auto functor) {
          for (int64_t i = begin; i < end; ++i) {
            put(out + i, decltype(functor)::da(right[i], up[i]), adds);
          }
        });
      }
    });
  });
}

void cpu::binary_backward_b(Binary op, const Tensor& a, const Tensor& b, const Tensor& dy,
                            Tensor& db, Into into) {
  const bool adds = into == Into::add;
  visit_real(db.dtype(), "pointwise", [&](auto tag) {
    using T = decltype(tag);
    const T *left = a.data<T>(), *right = b.data<T>(), *up = dy.data<T>();
    T* out = db.data<T>();
    parallel_for(db.numel(), kGrain, [&](int64_t begin, int64_t end) {
      if constexpr (sizeof(T) == 4) {
        pointwise_binary_db(op, left + begin, right + begin, up + begin, out + begin, end - begin,
                            adds);
      } else {
        scalar::visit_functor(op, [&](auto functor) {
          for (int64_t i = begin; i < end; ++i) {
            put(out + i, decltype(functor)::db(left[i], right[i], up[i]), adds);
          }
        });
      }
    });
  });
}

void cpu::add_row_forward(const Tensor& x, const Tensor& row, Tensor& y) {
  const int64_t rows = x.shape().rows(), columns = x.size(-1);
  visit_real(x.dtype(), "add_row", [&](auto tag) {
    using T = decltype(tag);
    const T *in = x.data<T>(), *term = row.data<T>();
    T* out = y.data<T>();
    parallel_for(rows, kGrain / (columns + 1), [&](int64_t begin, int64_t end) {
      if constexpr (sizeof(T) == 4) {
        add_row_rows(in + begin * columns, term, out + begin * columns, end - begin, columns);
      } else {
        for (int64_t i = begin * columns; i < end * columns; ++i)
          out[i] = in[i] + term[i % columns];
      }
    });
  });
}

// Each chunk sums whole groups of columns over all rows, in their order: the same bits always.
void cpu::column_sums(const Tensor& dy, Tensor& drow, Into into) {
  const int64_t rows = dy.shape().rows(), columns = dy.size(-1);
  const bool adds = into == Into::add;
  visit_real(dy.dtype(), "column_sums", [&](auto tag) {
    using T = decltype(tag);
    const T* up = dy.data<T>();
    T* out = drow.data<T>();
    constexpr int64_t kGroup = 64;
    const int64_t groups = (columns + kGroup - 1) / kGroup;
    parallel_for(groups, kGrain / (kGroup * (rows + 1)), [&](int64_t first, int64_t last) {
      const int64_t begin = first * kGroup, end = std::min(last * kGroup, columns);
      if constexpr (sizeof(T) == 4) {
        column_sums_range(up, out, rows, columns, begin, end, adds);
      } else {
        for (int64_t c = begin; c < end; ++c) {
          double total = 0;
          for (int64_t r = 0; r < rows; ++r) total += up[r * columns + c];
          put(out + c, total, adds);
        }
      }
    });
  });
}

}  // namespace enas
