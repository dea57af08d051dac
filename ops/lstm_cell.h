// One step of an LSTM without biases (docs/method.md section 1.3). Gates i f o g from [x, h] w:
//   c' = sigmoid(i) tanh(g) + sigmoid(f) c          h' = sigmoid(o) tanh(c')
//   through c' in all: u = dc' + sigmoid(o) (1 - tanh(c')^2) dh'          dc = sigmoid(f) u
#pragma once
#include "autograd/tape.h"

namespace enas {

struct LstmState {
  Var h, c;  // [B, H] each
};

// x [B, I], state {[B, H], [B, H]}, w [I + H, 4H] -> the next state. The weight's gradient is a
// dense contribution. Backward runs where h, c or both have a gradient.
LstmState lstm_cell(const Var& x, const LstmState& state, const Var& w);

namespace cpu {
// A whole step: input [B, I + H] = [x, h]; gates [B, 4H] = sigmoid(i), sigmoid(f), sigmoid(o),
// tanh(g) of input w; the next state.
void lstm_forward(const Tensor& x, const Tensor& h, const Tensor& c, const Tensor& w, Tensor& input,
                  Tensor& gates, Tensor& h_next, Tensor& c_next);
// Its last part: z [B, 4H] holds the product on entry and the gates on return.
void lstm_gates_forward(const Tensor& c, Tensor& z, Tensor& h_next, Tensor& c_next);
// gates: of forward. dh and dc_next: either may be undefined. Writes dz [B, 4H], and
// dc [B, H] where it is not null.
void lstm_gates_backward(const Tensor& gates, const Tensor& c, const Tensor& c_next,
                         const Tensor& dh, const Tensor& dc_next, Tensor& dz, Tensor* dc,
                         Into into);
}  // namespace cpu
namespace cuda {
void lstm_forward(const Tensor& x, const Tensor& h, const Tensor& c, const Tensor& w, Tensor& input,
                  Tensor& gates, Tensor& h_next, Tensor& c_next);
void lstm_gates_forward(const Tensor& c, Tensor& z, Tensor& h_next, Tensor& c_next);
void lstm_gates_backward(const Tensor& gates, const Tensor& c, const Tensor& c_next,
                         const Tensor& dh, const Tensor& dc_next, Tensor& dz, Tensor* dc,
                         Into into);
}  // namespace cuda

}  // namespace enas
