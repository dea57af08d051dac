// Fits y = tanh(w x + b) to four points by gradient descent.
#include <cstdio>

#include "ops/matmul.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
using namespace enas;

int main() {
  const Tensor x = Tensor::from({-1, 0, 1, 2}, {4, 1});
  const Tensor y = Tensor::from({-0.37995, 0.09967, 0.53705, 0.80050}, {4, 1});
  Parameter w{"w", Tensor::zeros({1, 1}), {}}, b{"b", Tensor::zeros({1}), {}};
  Tape tape;
  for (int step = 0; step <= 20; ++step) {
    tape.clear();
    const Var loss = mean_square_difference(tanh(add_row(matmul(x, tape.use(w)), tape.use(b))), y);
    tape.backward(loss);
    for (Parameter* p : tape.parameters()) *p->value.data<float>() -= *p->grad.data<float>();
    if (step % 5 == 0) std::printf("step %2d  loss %.6f\n", step, loss.value().item());
  }
  std::printf("w = %.3f, b = %.3f\n", w.value.item(), b.value.item());
}
