// Dropout with inverted scaling. The mask is drawn apart from its use, so that one mask can serve
// every node and time step of a window (docs/method.md section 1.2).
//   mask_i = u_i >= rate ? 1 / (1 - rate) : 0          y = x * mask, dx = dy * mask
#pragma once
#include "autograd/tape.h"
#include "tensor/philox.h"

namespace enas {

// Element i draws u_i = random.uniform(i), the same on every device. Rate 0 gives ones; outside
// [0, 1) it is a usage Error.
Tensor dropout_mask(const Shape& shape, double rate, const Random& random, DType dtype = DType::f32,
                    Device device = Device::cpu);

// x [n, ...] times mask, which is one of
//   x's shape;
//   one value a row: [rows] or [rows, 1], rows = all axes of x but the last;
//   repeated along the leading axis: [b, ...] with b dividing n ([B, H] for [T * B, H]), or x's
//   shape without its leading axis where that has two axes or more ([B, H] for [T, B, H]).
// The mask is a constant of x's dtype.
Var dropout(const Var& x, const Tensor& mask);

namespace cpu {
void dropout_mask_fill(Tensor& mask, double rate, const Random& random);
// y (+)= x * mask; per_row: mask holds one value for each row of x, else it repeats.
void dropout_apply(const Tensor& x, const Tensor& mask, bool per_row, Tensor& y, Into into);
}  // namespace cpu
namespace cuda {
void dropout_mask_fill(Tensor& mask, double rate, const Random& random);
void dropout_apply(const Tensor& x, const Tensor& mask, bool per_row, Tensor& y, Into into);
}  // namespace cuda

}  // namespace enas
