// A small network on a toy problem: two interleaved spirals, told apart by an MLP 2-32-32-2 with
// Adam. The engine alone: parameters, tape, operators, optimizer.
#include <cmath>
#include <cstdio>
#include <vector>

#include "nn/adam.h"
#include "nn/init.h"
#include "nn/parameter.h"
#include "ops/matmul.h"
#include "ops/pointwise.h"
#include "ops/softmax_cross_entropy.h"
using namespace enas;

struct Points {
  Tensor x, label;  // [n, 2], i32 [n]
};

// n points on each of two spirals, half a turn apart; `shift` moves them along the spiral.
Points spirals(int64_t n, double shift) {
  std::vector<double> x;
  std::vector<int32_t> label;
  for (int32_t which = 0; which < 2; ++which) {
    for (int64_t i = 0; i < n; ++i) {
      const double t = 0.15 + 0.85 * (static_cast<double>(i) + shift) / static_cast<double>(n);
      const double angle = 7 * t + 3.14159265358979 * which;
      x.push_back(t * std::cos(angle));
      x.push_back(t * std::sin(angle));
      label.push_back(which);
    }
  }
  return {Tensor::from(x, {2 * n, 2}), Tensor::from_indices(label, {2 * n})};
}

class Mlp {
 public:
  explicit Mlp(const std::vector<int64_t>& widths) {
    for (size_t i = 0; i + 1 < widths.size(); ++i) {
      const std::string name = "layer." + std::to_string(i);
      Parameter& w = store_.add(name + ".weight", {widths[i], widths[i + 1]});
      init_normal(w, std::sqrt(2 / static_cast<double>(widths[i])), 1);
      layers_.push_back({&w, &store_.add(name + ".bias", {widths[i + 1]})});
    }
  }
  // x [n, 2] -> logits [n, 2]. On a tape that records, or in a NoGrad scope that does not.
  Var logits(Tape& tape, const Tensor& x) {
    Var h = x;
    for (size_t i = 0; i < layers_.size(); ++i) {
      h = add_row(matmul(h, tape.use(*layers_[i].weight)), tape.use(*layers_[i].bias));
      if (i + 1 < layers_.size()) h = relu(h);
    }
    return h;
  }

 private:
  struct Layer {
    Parameter *weight, *bias;
  };
  ParameterStore store_;
  std::vector<Layer> layers_;
};

double accuracy(Mlp& mlp, Tape& tape, const Points& points) {
  const Tape::NoGrad no_grad(tape);
  const std::vector<double> logits = mlp.logits(tape, points.x).value().to_vector();
  int right = 0;
  for (size_t i = 0; i < logits.size(); i += 2) {
    const int32_t said = logits[i + 1] > logits[i] ? 1 : 0;
    right += said == points.label.data<int32_t>()[i / 2];
  }
  return 2.0 * right / static_cast<double>(logits.size());
}

int main() {
  const Points train = spirals(100, 0), held_out = spirals(100, 0.5);
  Mlp mlp({2, 32, 32, 2});
  Adam adam;
  Tape tape;
  for (int step = 0; step <= 600; ++step) {
    tape.clear();
    const Var loss = softmax_cross_entropy(mlp.logits(tape, train.x), train.label);
    tape.backward(loss);
    adam.step(tape.parameters(), 0.01, loss.value());
    if (step % 150 == 0) std::printf("step %3d  loss %.4f\n", step, loss.value().item());
  }
  std::printf("held-out accuracy %.3f\n", accuracy(mlp, tape, held_out));
}
