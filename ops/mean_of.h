// The mean of several tensors, element by element, in one pass: the loose ends of a cell.
//   y = (x_1 + ... + x_k) / k          dx_i = dy / k
#pragma once
#include <span>
#include <vector>

#include "autograd/tape.h"

namespace enas {

// At least one value, all of one shape and dtype; a single value is returned as it is. The sum runs
// in the order given.
Var mean_of(std::span<const Var> values);
inline Var mean_of(const std::vector<Var>& values) { return mean_of(std::span<const Var>(values)); }

namespace cpu {
void mean_of_forward(Tensor& y, std::span<const Var> values);
}  // namespace cpu
namespace cuda {
void mean_of_forward(Tensor& y, std::span<const Var> values);
}  // namespace cuda

}  // namespace enas
