#include "ops/dropout.h"

#include <algorithm>

#include "tensor/dispatch.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

bool is_per_row(const Shape& x, const Shape& mask) {
  if (x == mask || x.rank() < 1) return false;
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < x.rank(); ++axis) rows *= x[axis];
  return mask.rank() >= 1 && mask[0] == rows &&
         (mask.rank() == 1 || (mask.rank() == 2 && mask[1] == 1));
}

// Whether x is a whole number of masks, one after the other.
bool repeats(const Shape& x, const Shape& mask) {
  if (x == mask) return true;
  const int missing = x.rank() - mask.rank();
  if (mask.rank() < 2 || missing < 0 || missing > 1) return false;
  for (int axis = missing == 1 ? 0 : 1; axis < mask.rank(); ++axis) {
    if (mask[axis] != x[axis + missing]) return false;
  }
  return missing == 1 || (mask[0] > 0 && x[0] % mask[0] == 0);
}

}  // namespace

Tensor dropout_mask(const Shape& shape, double rate, const Random& random, DType dtype,
                    Device device) {
  check(rate >= 0 && rate < 1, ErrorKind::usage, "dropout_mask", "rate ", rate,
        " is not in [0, 1)");
  Tensor mask(shape, dtype, device);
  dispatch<cpu::dropout_mask_fill, cuda::dropout_mask_fill>(mask, rate, random);
  return mask;
}

Var dropout(const Var& x, const Tensor& mask) {
  const bool per_row = is_per_row(x.shape(), mask.shape());
  check((per_row || repeats(x.shape(), mask.shape())) && mask.dtype() == x.dtype(), "dropout",
        "mask ", mask.dtype(), " ", mask.shape(), " does not fit x ", x.dtype(), " ", x.shape(),
        "; needs x's shape, one value a row, or rows that repeat");
  Tensor y = empty_like(x.value());
  dispatch<cpu::dropout_apply, cuda::dropout_apply>(x.value(), mask, per_row, y, Into::write);
  return record("dropout", {x}, std::move(y), [mask, per_row](const Tensor& dy, Grads& dx) {
    dispatch<cpu::dropout_apply, cuda::dropout_apply>(dy, mask, per_row, dx[0].tensor(),
                                                      dx[0].into());
  });
}

ISA_SELECT(dropout_multiply,
           void(const float* x, const float* mask, float* y, int64_t n, bool add));
ISA_SELECT(dropout_multiply_rows, void(const float* x, const float* mask, float* y, int64_t rows,
                                       int64_t columns, bool add));

namespace {

constexpr int64_t kGrain = 8192;  // elements a chunk

void multiply(const double* x, const double* mask, double* y, int64_t n, bool add) {
  for (int64_t i = 0; i < n; ++i) y[i] = (add ? y[i] : 0) + x[i] * mask[i];
}
void multiply(const float* x, const float* mask, float* y, int64_t n, bool add) {
  dropout_multiply(x, mask, y, n, add);
}
void multiply_rows(const double* x, const double* mask, double* y, int64_t rows, int64_t columns,
                   bool add) {
  for (int64_t i = 0; i < rows * columns; ++i) y[i] = (add ? y[i] : 0) + x[i] * mask[i / columns];
}
void multiply_rows(const float* x, const float* mask, float* y, int64_t rows, int64_t columns,
                   bool add) {
  dropout_multiply_rows(x, mask, y, rows, columns, add);
}

}  // namespace

void cpu::dropout_mask_fill(Tensor& mask, double rate, const Random& random) {
  visit_real(mask.dtype(), "dropout_mask", [&](auto tag) {
    using T = decltype(tag);
    T* out = mask.data<T>();
    const T keep = static_cast<T>(1 / (1 - rate));
    const int64_t n = mask.numel(), blocks = (n + 3) / 4;
    // One Philox block gives the bits of four neighbours: those of random.uniform(i).
    parallel_for(blocks, 256, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const auto bits = philox4x32(random.seed, static_cast<uint32_t>(random.stream), random.step,
                                     static_cast<uint64_t>(block));
        for (int64_t i = 4 * block; i < std::min(4 * block + 4, n); ++i) {
          const float u = static_cast<float>(bits[static_cast<size_t>(i % 4)] >> 8) * 0x1p-24f;
          out[i] = static_cast<double>(u) >= rate ? keep : T(0);
        }
      }
    });
  });
}

void cpu::dropout_apply(const Tensor& x, const Tensor& mask, bool per_row, Tensor& y, Into into) {
  const int64_t n = x.numel(), period = mask.numel();
  const bool adds = into == Into::add;
  visit_real(x.dtype(), "dropout", [&](auto tag) {
    using T = decltype(tag);
    const T *in = x.data<T>(), *factors = mask.data<T>();
    T* out = y.data<T>();
    if (per_row) {
      const int64_t columns = x.size(-1);
      return parallel_for(period, kGrain / (columns + 1), [&](int64_t begin, int64_t end) {
        const int64_t at = begin * columns;
        multiply_rows(in + at, factors + begin, out + at, end - begin, columns, adds);
      });
    }
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      while (begin < end) {
        const int64_t from = begin % period, some = std::min(end - begin, period - from);
        multiply(in + begin, factors + from, out + begin, some, adds);
        begin += some;
      }
    });
  });
}

}  // namespace enas
