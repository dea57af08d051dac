#include "ops/softmax_cross_entropy.h"

#include <vector>

#include "ops/row_statistics.h"
#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

void check_shapes(const char* op, const Tensor& logits, const Tensor& targets) {
  check(logits.rank() == 2 && targets.rank() == 1 && targets.size(0) == logits.size(0) &&
            targets.dtype() == DType::i32,
        op, "needs logits [n, V] and targets i32 [n], got ", logits.shape(), " and ",
        targets.dtype(), " ", targets.shape());
}

}  // namespace

Var softmax_cross_entropy(const Var& logits, const Tensor& targets) {
  check_shapes("softmax_cross_entropy", logits.value(), targets);
  const int64_t n = logits.size(0);
  const double factor = 1.0 / static_cast<double>(n);
  Tensor kept({n, 2}, logits.dtype(), logits.value().device());
  const double total = dispatch<cpu::cross_entropy_forward, cuda::cross_entropy_forward>(
      logits.value(), targets, kept);
  Tensor y = Tensor::full({}, n == 0 ? NAN : total * factor, logits.dtype());
  return record("softmax_cross_entropy", {logits}, std::move(y),
                [x = logits.value(), targets, kept, factor](const Tensor& dy, Grads& dx) mutable {
                  // Nobody else sees the logits any more: their buffer becomes their gradient.
                  if (x.unique()) {
                    dispatch<cpu::cross_entropy_backward, cuda::cross_entropy_backward>(
                        x, targets, kept, dy, factor, x, Into::write);
                    dx[0].accept(x);
                    return;
                  }
                  dispatch<cpu::cross_entropy_backward, cuda::cross_entropy_backward>(
                      x, targets, kept, dy, factor, dx[0].tensor(), dx[0].into());
                });
}

double total_nll(const Tensor& logits, const Tensor& targets) {
  check_shapes("total_nll", logits, targets);
  Tensor kept({logits.size(0), 2}, logits.dtype(), logits.device());
  return dispatch<cpu::cross_entropy_forward, cuda::cross_entropy_forward>(logits, targets, kept);
}

ISA_SELECT(cross_entropy_rows_backward,
           void(const float* x, const int32_t* targets, const float* kept, float factor, float* dx,
                int64_t rows, int64_t columns, bool add));

namespace {

void rows_backward(const double* x, const int32_t* targets, const double* kept, double factor,
                   double* dx, int64_t rows, int64_t columns, bool add) {
  for (int64_t r = 0; r < rows; ++r, x += columns, dx += columns, kept += 2) {
    for (int64_t c = 0; c < columns; ++c) {
      dx[c] = std::exp(x[c] - kept[0]) * kept[1] * factor + (add ? dx[c] : 0);
    }
    dx[targets[r]] -= factor;
  }
}
void rows_backward(const float* x, const int32_t* targets, const float* kept, float factor,
                   float* dx, int64_t rows, int64_t columns, bool add) {
  cross_entropy_rows_backward(x, targets, kept, factor, dx, rows, columns, add);
}

}  // namespace

double cpu::cross_entropy_forward(const Tensor& logits, const Tensor& targets, Tensor& kept) {
  const int64_t rows = logits.size(0), columns = logits.size(1);
  const int32_t* target = targets.data<int32_t>();
  for (int64_t r = 0; r < rows; ++r) {
    check(target[r] >= 0 && target[r] < columns, "softmax_cross_entropy",
          "target ", target[r], " of row ", r, " is outside the vocabulary of ", columns);
  }
  std::vector<double> losses(static_cast<size_t>(rows));
  visit_real(logits.dtype(), "softmax_cross_entropy", [&](auto tag) {
    using T = decltype(tag);
    const T* in = logits.data<T>();
    T* keep = kept.data<T>();
    parallel_for(rows, kRowGrain / (columns + 1), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const T* x = in + r * columns;
        T statistics[2];
        row_statistics_of(x, statistics, 1, columns);
        losses[static_cast<size_t>(r)] = static_cast<double>(statistics[0]) - x[target[r]] +
                                         std::log(static_cast<double>(statistics[1]));
        keep[2 * r] = statistics[0];
        keep[2 * r + 1] = 1 / statistics[1];
      }
    });
  });
  double total = 0;
  for (const double loss : losses) total += loss;
  return total;
}

void cpu::cross_entropy_backward(const Tensor& logits, const Tensor& targets, const Tensor& kept,
                                 const Tensor& dy, double factor, Tensor& dx, Into into) {
  const int64_t rows = logits.size(0), columns = logits.size(1);
  const int32_t* target = targets.data<int32_t>();
  visit_real(logits.dtype(), "softmax_cross_entropy", [&](auto tag) {
    using T = decltype(tag);
    const T *in = logits.data<T>(), *keep = kept.data<T>();
    const T share = static_cast<T>(factor * static_cast<double>(dy.data<T>()[0]));
    T* out = dx.data<T>();
    parallel_for(rows, kRowGrain / (columns + 1), [&](int64_t begin, int64_t end) {
      const int64_t at = begin * columns;
      rows_backward(in + at, target + begin, keep + 2 * begin, share, out + at, end - begin,
                    columns, into == Into::add);
    });
  });
}

}  // namespace enas
