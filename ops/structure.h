// Ops that move elements: views, joins and picks by index. Forward takes any dtype; a gradient
// needs f32 or f64. An index outside its axis is an Error that names op, index and extent. Indices
// on the CPU are tested at once and follow x to its device; those that are there already are tested
// by the kernel, and the next wait of the host throws.
#pragma once
#include <span>
#include <vector>

#include "autograd/tape.h"

namespace enas {

// The same elements under another shape: a view.
Var reshape(const Var& x, const Shape& shape);
// x [n, ...] -> rows [begin, end) of the leading axis: a view.
Var slice_rows(const Var& x, int64_t begin, int64_t end);
// [n_1, ...], [n_2, ...], ... -> [n_1 + n_2 + ..., ...]; at least one part, trailing axes alike.
Var concat_rows(std::span<const Var> parts);
inline Var concat_rows(const std::vector<Var>& parts) {
  return concat_rows(std::span<const Var>(parts));
}
// x [m, ...], indices i32 [n] in [0, m) -> y [n, ...], y[i] = x[indices[i]]. dx sums the rows of dy
// with the same index in their order; of a parameter it is a row-sparse contribution.
Var gather_rows(const Var& x, const Tensor& indices);
// x [rows, n], indices i32 [rows] in [0, n) -> y [rows], y[r] = x[r, indices[r]].
Var pick(const Var& x, const Tensor& indices);
// a [r, m], b [r, n] -> [r, m + n].
Var concat_columns(const Var& a, const Var& b);

namespace cpu {
void slice_rows_backward(const Tensor& dy, int64_t begin, Tensor& dx, Into into);
void concat_rows_forward(Tensor& y, std::span<const Var> parts);
void gather_rows_forward(const Tensor& x, const Tensor& indices, Tensor& y);
void gather_rows_backward(const Tensor& dy, const Tensor& indices, Tensor& dx, Into into);
void pick_forward(const Tensor& x, const Tensor& indices, Tensor& y);
void pick_backward(const Tensor& dy, const Tensor& indices, Tensor& dx, Into into);
void concat_columns_forward(const Tensor& a, const Tensor& b, Tensor& y);
// dx (+)= columns [begin, begin + dx.size(1)) of dy.
void concat_columns_backward(const Tensor& dy, int64_t begin, Tensor& dx, Into into);
}  // namespace cpu
namespace cuda {
void slice_rows_backward(const Tensor& dy, int64_t begin, Tensor& dx, Into into);
void concat_rows_forward(Tensor& y, std::span<const Var> parts);
void gather_rows_forward(const Tensor& x, const Tensor& indices, Tensor& y);
void gather_rows_backward(const Tensor& dy, const Tensor& indices, Tensor& dx, Into into);
void pick_forward(const Tensor& x, const Tensor& indices, Tensor& y);
void pick_backward(const Tensor& dy, const Tensor& indices, Tensor& dx, Into into);
void concat_columns_forward(const Tensor& a, const Tensor& b, Tensor& y);
void concat_columns_backward(const Tensor& dy, int64_t begin, Tensor& dx, Into into);
}  // namespace cuda

}  // namespace enas
