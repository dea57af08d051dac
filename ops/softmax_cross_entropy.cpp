#include "ops/softmax_cross_entropy.h"

#include <vector>

#include "ops/row_statistics.h"
#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {

Var softmax_cross_entropy(Var logits, const Tensor& targets) {
  const Tensor& values = logits.value();
  check(values.rank() == 2 && targets.rank() == 1 && targets.size(0) == values.size(0) &&
            targets.dtype() == DType::i32,
        "softmax_cross_entropy", "needs logits [n, V] and targets i32 [n], got ", values.shape(),
        " and ", targets.dtype(), " ", targets.shape());
  check(targets.device() == values.device(), "softmax_cross_entropy", "the logits are on ",
        values.device(), ", the targets on ", targets.device());
  const double factor = 1.0 / static_cast<double>(values.size(0));
  Tensor y({}, values.dtype(), values.device());
  if (logits.has_grad() && values.unique()) {
    Tensor x = values;
    dispatch<cpu::cross_entropy_in_place, cuda::cross_entropy_in_place>(x, targets, factor, y);
    return record("softmax_cross_entropy", {logits}, std::move(y),
                  [x = std::move(x)](const Tensor& dy, Grads& dx) mutable {
                    dispatch<cpu::cross_entropy_scale, cuda::cross_entropy_scale>(x, dy);
                    dx[0].accept(x);
                  });
  }
  Tensor kept({values.size(0), 2}, values.dtype(), values.device());
  dispatch<cpu::cross_entropy_forward, cuda::cross_entropy_forward>(values, targets, factor, kept,
                                                                    y);
  return record("softmax_cross_entropy", {logits}, std::move(y),
                [x = values, targets, kept, factor](const Tensor& dy, Grads& dx) {
                  dispatch<cpu::cross_entropy_backward, cuda::cross_entropy_backward>(
                      x, targets, kept, dy, factor, dx[0].tensor(), dx[0].into());
                });
}

ISA_SELECT(cross_entropy_rows_backward,
           void(const float* x, const int32_t* targets, const float* kept, float factor, float* dx,
                int64_t rows, int64_t columns, bool add, bool past));
ISA_SELECT(cross_entropy_row_in_place,
           void(float* x, int32_t target, float factor, int64_t columns, float* statistics));

namespace {

// kept: m and 1/s of each row; past: dx is too large for the caches.
void rows_backward(const double* x, const int32_t* targets, const double* kept, double factor,
                   double* dx, int64_t rows, int64_t columns, bool add, bool /*past*/) {
  for (int64_t r = 0; r < rows; ++r, x += columns, dx += columns, kept += 2) {
    for (int64_t c = 0; c < columns; ++c) {
      dx[c] = std::exp(x[c] - kept[0]) * kept[1] * factor + (add ? dx[c] : 0);
    }
    dx[targets[r]] -= factor;
  }
}
void rows_backward(const float* x, const int32_t* targets, const float* kept, float factor,
                   float* dx, int64_t rows, int64_t columns, bool add, bool past) {
  cross_entropy_rows_backward(x, targets, kept, factor, dx, rows, columns, add, past);
}

// Gradient in the place of a row; statistics receives m and s.
void row_in_place(double* x, int32_t target, double factor, int64_t columns, double* statistics) {
  row_statistics_plain(x, statistics, 1, columns);
  const double kept[] = {statistics[0], 1 / statistics[1]};
  rows_backward(x, &target, kept, factor, x, 1, columns, false, false);
}
void row_in_place(float* x, int32_t target, float factor, int64_t columns, float* statistics) {
  cross_entropy_row_in_place(x, target, factor, columns, statistics);
}

// The sum of the rows' losses; visit(row, statistics) fills in m and s, and may overwrite the row.
template <class T, class Visit>
double total_loss(const Tensor& logits, const Tensor& targets, Visit visit) {
  const int64_t rows = logits.size(0), columns = logits.size(1);
  const int32_t* target = targets.data<int32_t>();
  check_targets("softmax_cross_entropy", targets, columns);
  std::vector<double> losses(static_cast<size_t>(rows));
  const T* in = logits.data<T>();
  parallel_for(rows, kRowGrain / (columns + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const double wanted = in[r * columns + target[r]];
      T statistics[2];
      visit(r, statistics);
      losses[static_cast<size_t>(r)] = static_cast<double>(statistics[0]) - wanted +
                                       std::log(static_cast<double>(statistics[1]));
    }
  });
  double total = 0;
  for (const double loss : losses) total += loss;
  return total;
}

}  // namespace

void cpu::cross_entropy_forward(const Tensor& logits, const Tensor& targets, double factor,
                                Tensor& kept, Tensor& y) {
  const int64_t columns = logits.size(1);
  visit_real(logits.dtype(), "softmax_cross_entropy", [&](auto tag) {
    using T = decltype(tag);
    const T* x = logits.data<T>();
    T* keep = kept.data<T>();
    const double total = total_loss<T>(logits, targets, [=](int64_t r, T* statistics) {
      row_statistics_of(x + r * columns, statistics, 1, columns);
      keep[2 * r] = statistics[0];
      keep[2 * r + 1] = 1 / statistics[1];
    });
    y.data<T>()[0] = static_cast<T>(total * factor);  // 0 * inf where there is no row
  });
}

void cpu::cross_entropy_in_place(Tensor& logits, const Tensor& targets, double factor, Tensor& y) {
  const int64_t columns = logits.size(1);
  visit_real(logits.dtype(), "softmax_cross_entropy", [&](auto tag) {
    using T = decltype(tag);
    T* x = logits.data<T>();
    const int32_t* target = targets.data<int32_t>();
    const T share = static_cast<T>(factor);
    const double total = total_loss<T>(logits, targets, [=](int64_t r, T* statistics) {
      row_in_place(x + r * columns, target[r], share, columns, statistics);
    });
    y.data<T>()[0] = static_cast<T>(total * factor);
  });
}

void cpu::cross_entropy_scale(Tensor& dx, const Tensor& dy) {
  visit_real(dx.dtype(), "softmax_cross_entropy", [&](auto tag) {
    using T = decltype(tag);
    const T share = dy.data<T>()[0];
    if (share == 1) return;  // the loss itself is what backward starts from
    T* out = dx.data<T>();
    parallel_for(dx.numel(), kRowGrain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] *= share;
    });
  });
}

void cpu::cross_entropy_backward(const Tensor& logits, const Tensor& targets, const Tensor& kept,
                                 const Tensor& dy, double factor, Tensor& dx, Into into) {
  constexpr size_t kCaches = size_t{16} << 20;  // bytes
  const int64_t rows = logits.size(0), columns = logits.size(1);
  const int32_t* target = targets.data<int32_t>();
  const bool past = dx.bytes() > kCaches;
  visit_real(logits.dtype(), "softmax_cross_entropy", [&](auto tag) {
    using T = decltype(tag);
    const T *in = logits.data<T>(), *keep = kept.data<T>();
    const T share = static_cast<T>(factor * static_cast<double>(dy.data<T>()[0]));
    T* out = dx.data<T>();
    parallel_for(rows, kRowGrain / (columns + 1), [&](int64_t begin, int64_t end) {
      const int64_t at = begin * columns;
      rows_backward(in + at, target + begin, keep + 2 * begin, share, out + at, end - begin,
                    columns, into == Into::add, past);
    });
  });
}

}  // namespace enas
