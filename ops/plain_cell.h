// Ungated nodes of the recurrent cell: z = input w, y = f(z), dz = f'(z) dy; the rest as in
// ops/highway_cell.h. Source: docs/method.md section 1.2 (the form of the paper's Figure 1).
#pragma once
#include "autograd/tape.h"
#include "ops/activation.h"

namespace enas {

// s [B, H], w [H, H], mask [B, H] or undefined -> y [B, H] = f((s * mask) w).
Var plain_cell(const Var& s, const Var& w, Activation f, const Tensor& mask = {});

// x [B, H], s [B, H], w [2H, H] (its first H rows belong to x), masks [B, H] or undefined -> y
// [B, H] = f([x * mask_x, s * mask_s] w).
Var plain_input(const Var& x, const Var& s, const Var& w, Activation f, const Tensor& mask_x = {},
                const Tensor& mask_s = {});

namespace cpu {
void activation_forward(Activation f, Tensor& y);  // y: f in place
// dz = f'(z) dy from y = f(z).
void activation_backward(Activation f, const Tensor& y, const Tensor& dy, Tensor& dz);
}  // namespace cpu
namespace cuda {
void activation_forward(Activation f, Tensor& y);
void activation_backward(Activation f, const Tensor& y, const Tensor& dy, Tensor& dz);
}  // namespace cuda

}  // namespace enas
