// What the recurrent cells share around their product: the masked input [x * mask_x, s * mask_s],
// and its gradient (dz w^T) * mask. Internal to ops/.
#pragma once
#include "autograd/tape.h"

namespace enas {

// Refuses what cannot be a cell's operand: `t` must be [rows, columns], of the dtype and on the
// device of `like`.
void check_operand(const char* op, const char* name, const Tensor& t, int64_t rows, int64_t columns,
                   const Tensor& like);
void check_mask(const char* op, const char* name, const Tensor& mask, const Tensor& of);

// s * mask; s itself where mask is undefined. [B, H].
Tensor cell_input(const Tensor& s, const Tensor& mask);
// [x * mask_x, s * mask_s], masks may be undefined: [B, I + H].
Tensor cell_input(const Tensor& x, const Tensor& mask_x, const Tensor& s, const Tensor& mask_s);

// The packed copy of w, of all its rows, that its tape keeps; null where there is none to be had.
const PackedMatrix* packed_copy(const Var& w, int parts);
// input [B, K] w [K, N] -> [B, N]; with the tape's packed copy of w where there is one to be had.
Tensor cell_product(const Tensor& input, const Var& w);
// dx (+)= (dz [B, N] w^T) * mask, for the rows of the weight from `first` on that belong to
// dx [B, K].
void cell_input_gradient(const Tensor& dz, const Var& w, int64_t first, const Tensor& mask,
                         Tensor& dx, Into into);

// The same for both parts of an input [x, s] of one width, w [2H, N], each where it is needed, as
// one product where that can be.
void cell_input_gradients(const Tensor& dz, const Var& w, const Tensor& mask_x, Grad& dx,
                          const Tensor& mask_s, Grad& ds, Into into_s);

// Both parts of an input [x, s] without masks, w [I + H, N].
void joined_input_gradient(const Tensor& dz, const Tensor& w, Grad& dx, Grad& ds);

namespace cpu {
// out [B, I + H] = [x * mask_x, s * mask_s]; masks may be undefined, and s with its mask.
void masked_columns(const Tensor& x, const Tensor& mask_x, const Tensor& s, const Tensor& mask_s,
                    Tensor& out);
// dx (+)= product * mask.
void masked_add(const Tensor& product, const Tensor& mask, Tensor& dx, Into into);
// [dx, ds] (+)= dz w^T; either may be null.
void joined_gradient(const Tensor& dz, const Tensor& w, Tensor* dx, Into into_x, Tensor* ds,
                     Into into_s);
}  // namespace cpu
namespace cuda {
void masked_columns(const Tensor& x, const Tensor& mask_x, const Tensor& s, const Tensor& mask_s,
                    Tensor& out);
void masked_add(const Tensor& product, const Tensor& mask, Tensor& dx, Into into);
void joined_gradient(const Tensor& dz, const Tensor& w, Tensor* dx, Into into_x, Tensor* ds,
                     Into into_s);
}  // namespace cuda

}  // namespace enas
