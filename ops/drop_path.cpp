#include "ops/drop_path.h"

#include "ops/dropout.h"
#include "tensor/dispatch.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {

Tensor drop_path_keep(int64_t n, double keep, const Random& random, DType dtype, Device device) {
  check(keep > 0 && keep <= 1, ErrorKind::usage, "drop_path_keep", "probability ", keep,
        " is not in (0, 1]");
  return dropout_mask({n}, 1 - keep, random, dtype, device);
}

Var drop_path(const Var& x, const Tensor& keep) {
  check(x.rank() >= 1 && keep.rank() == 1 && keep.size(0) == x.size(0) && keep.dtype() == x.dtype(),
        "drop_path", "needs one factor an example of x ", x.dtype(), " ", x.shape(), ", got ",
        keep.dtype(), " ", keep.shape());
  Tensor y = empty_like(x.value());
  dispatch<cpu::drop_path_apply, cuda::drop_path_apply>(x.value(), keep, y, Into::write);
  return record("drop_path", {x}, std::move(y), [keep](const Tensor& dy, Grads& dx) {
    dispatch<cpu::drop_path_apply, cuda::drop_path_apply>(dy, keep, dx[0].tensor(), dx[0].into());
  });
}

ISA_SELECT(drop_path_scale, void(const float* x, float factor, float* y, int64_t n, bool add));

namespace {

void drop_path_scale_of(const float* x, float factor, float* y, int64_t n, bool add) {
  drop_path_scale(x, factor, y, n, add);
}
void drop_path_scale_of(const double* x, double factor, double* y, int64_t n, bool add) {
  for (int64_t i = 0; i < n; ++i) y[i] = (add ? y[i] : 0) + x[i] * factor;
}

}  // namespace

void cpu::drop_path_apply(const Tensor& x, const Tensor& keep, Tensor& y, Into into) {
  constexpr int64_t kGrain = 8192;  // elements a chunk
  const int64_t examples = keep.numel();
  if (x.numel() == 0) return;
  visit_real(x.dtype(), "drop_path", [&](auto tag) {
    using T = decltype(tag);
    const T *in = x.data<T>(), *factor = keep.data<T>();
    T* out = y.data<T>();
    const int64_t columns = x.numel() / examples;
    parallel_for(examples, kGrain / columns, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        drop_path_scale_of(in + n * columns, factor[n], out + n * columns, columns,
                           into == Into::add);
      }
    });
  });
}

}  // namespace enas
