// Drop path: the output of an operation is dropped for whole examples, with inverted scaling
// (docs/method.md section 3.4).
//   y_n = x_n * keep_n,  keep_n = 1 / keep with probability keep, else 0
//   dx_n = dy_n * keep_n
#pragma once
#include "autograd/tape.h"
#include "tensor/philox.h"

namespace enas {

// [n] factors, one an example: example i draws random.uniform(i), the same on every device. keep 1
// gives ones; outside (0, 1] it is a usage Error. sum_of (ops/sum_of.h) takes them too.
Tensor drop_path_keep(int64_t n, double keep, const Random& random, DType dtype = DType::f32,
                      Device device = Device::cpu);

// x [N, ...], f32 or f64; keep [N] of its dtype, a constant. NaN times 0 stays NaN.
Var drop_path(const Var& x, const Tensor& keep);

namespace cpu {
// y (+)= x * the example's factor.
void drop_path_apply(const Tensor& x, const Tensor& keep, Tensor& y, Into into);
}  // namespace cpu
namespace cuda {
void drop_path_apply(const Tensor& x, const Tensor& keep, Tensor& y, Into into);
}  // namespace cuda

}  // namespace enas
