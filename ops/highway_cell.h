// Highway-gated nodes of the recurrent cell. Masks multiply the product's input, never the carry s.
//   z = [h | t] = input w      g = sigmoid(t)      y = s + g * (f(h) - s)
//   dz = [g f'(h) dy | g (1 - g) (f(h) - s) dy]      ds = (1 - g) dy + (dz w^T) * mask
// input is s * mask at an inner node and [x * mask_x, s * mask_s] at node 0; dw = input^T dz.
// relu'(0) is 0. Source: docs/method.md section 1.2.
#pragma once
#include "autograd/tape.h"
#include "ops/activation.h"

namespace enas {

// s [B, H], w [H, 2H], mask [B, H] or undefined -> y [B, H].
Var highway_cell(const Var& s, const Var& w, Activation f, const Tensor& mask = {});

// x [B, H], s [B, H], w [2H, 2H] (its first H rows belong to x), masks [B, H] or undefined -> y
// [B, H].
Var highway_input(const Var& x, const Var& s, const Var& w, Activation f, const Tensor& mask_x = {},
                  const Tensor& mask_s = {});

namespace cpu {
// z [B, 2H] holds [h | t] on entry and [f(h) | sigmoid(t)] on return; y [B, H] is written.
void highway_gates_forward(const Tensor& s, Activation f, Tensor& z, Tensor& y);
// gates: what forward left in z. Writes dz [B, 2H] and, where ds is not null, the carry's part
// (1 - sigmoid(t)) dy of ds.
void highway_gates_backward(const Tensor& gates, const Tensor& s, const Tensor& dy, Activation f,
                            Tensor& dz, Tensor* ds, Into into);
}  // namespace cpu
namespace cuda {
void highway_gates_forward(const Tensor& s, Activation f, Tensor& z, Tensor& y);
void highway_gates_backward(const Tensor& gates, const Tensor& s, const Tensor& dy, Activation f,
                            Tensor& dz, Tensor* ds, Into into);
}  // namespace cuda

}  // namespace enas
