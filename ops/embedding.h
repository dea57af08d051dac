// Rows of a table, each optionally scaled by its row's own factor (word dropout: 0 or 1 / keep).
//   y_i = r[index_i] table[index_i]          dtable[v] = sum over i with index_i = v of r[v] dy_i
// Source of word dropout: docs/method.md section 1.3.
#pragma once
#include "autograd/tape.h"

namespace enas {

// table [V, H], indices i32 of any shape with n elements, row_scale [V] of the table's dtype or
// undefined -> y [n, H]. The gradient is row-sparse and a FlushOrder::sparse contribution, so a
// table tied to a decoder sums both. Refuses an index outside [0, V) with Error{data}, naming both.
Var embedding(const Var& table, const Tensor& indices, const Tensor& row_scale = {});

namespace cpu {
void embedding_forward(const Tensor& table, const Tensor& indices, const Tensor& row_scale,
                       Tensor& y);
// scaled [i] = row_scale[index_i] dy[i].
void embedding_scale(const Tensor& dy, const Tensor& indices, const Tensor& row_scale,
                     Tensor& scaled);
// dtable[index_i] += dy[i]; Into::write zeroes dtable first.
void embedding_backward(const Tensor& indices, const Tensor& dy, Tensor& dtable, Into into);
}  // namespace cpu
namespace cuda {
void embedding_forward(const Tensor& table, const Tensor& indices, const Tensor& row_scale,
                       Tensor& y);
void embedding_scale(const Tensor& dy, const Tensor& indices, const Tensor& row_scale,
                     Tensor& scaled);
void embedding_backward(const Tensor& indices, const Tensor& dy, Tensor& dtable, Into into);
}  // namespace cuda

}  // namespace enas
