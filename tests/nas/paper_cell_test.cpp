// The example cell of the paper's Figure 1, ungated, by hand (docs/method.md "Presets", the plain
// cell): in the paper's numbering h1 = tanh(W_x x + W_h h), h2 = relu(W_21 h1), h3 = relu(W_32 h2),
// h4 = tanh(W_41 h1), output (h3 + h4) / 2; ours counts nodes from 0.
#include <gtest/gtest.h>

#include <cmath>

#include "nas/rnn/child.h"
#include "ops/reduce.h"

namespace enas {
namespace {

constexpr const char* kCell = "0 1 1 1 0 0";

RnnChildOptions options() {
  RnnChildOptions o;
  o.vocabulary = 1;
  o.hidden = 1;
  o.cell = CellKind::plain;
  o.share = Share::edge;
  return o;
}

struct Scalars {
  double wx = 0.5, wh = -0.25, w1 = 1.5, w2 = 2, w3 = -1.25;
};

double output(const Scalars& w, double x, double h) {
  const double h1 = std::tanh(w.wx * x + w.wh * h);
  const double h2 = std::fmax(0, w.w1 * h1), h3 = std::fmax(0, w.w2 * h2);
  return (h3 + std::tanh(w.w3 * h1)) / 2;
}

TEST(PaperCell, HandComputedOutputAndGradients) {
  const RnnSpace space(3);
  const Architecture arch = space.parse(kCell);
  const RnnCell cell = space.decode(arch);
  EXPECT_EQ(cell.loose_ends, (std::vector<int>{2, 3}));
  RnnChild child(space, options(), 1, DType::f64, &arch);
  const Scalars w;
  const auto set = [&](const char* name, std::vector<double> values) {
    Parameter& p = child.parameters().get(name);
    p.value = Tensor::from(values, p.value.shape(), DType::f64);
  };
  set("cell.input", {w.wx, w.wh});
  set("cell.edge.1.0", {w.w1});
  set("cell.edge.2.1", {w.w2});
  set("cell.edge.3.0", {w.w3});
  const double x = 0.8, h = 0.4;
  Tape tape;
  const Var out = child.step(tape, cell, Tensor::full({1, 1}, x, DType::f64),
                             Tensor::full({1, 1}, h, DType::f64), {});
  // tanh(0.3) = 0.29131261245; 1.5 and 2 times it: 0.87393783735; tanh(-1.25 * it) =
  // -0.34885610639.
  EXPECT_NEAR(out.value().item(), 0.2625408654829422, 1e-15);
  EXPECT_EQ(tape.parameters().size(), 4u);
  tape.backward(sum(out));
  const double step = 1e-6;
  const auto slope = [&](double Scalars::*which) {
    Scalars up = w, down = w;
    up.*which += step;
    down.*which -= step;
    return (output(up, x, h) - output(down, x, h)) / (2 * step);
  };
  const auto grad = [&](const char* name, int64_t i) {
    return child.parameters().get(name).grad.item(i);
  };
  EXPECT_NEAR(grad("cell.input", 0), slope(&Scalars::wx), 1e-9);
  EXPECT_NEAR(grad("cell.input", 1), slope(&Scalars::wh), 1e-9);
  EXPECT_NEAR(grad("cell.edge.1.0", 0), slope(&Scalars::w1), 1e-9);
  EXPECT_NEAR(grad("cell.edge.2.1", 0), slope(&Scalars::w2), 1e-9);
  EXPECT_NEAR(grad("cell.edge.3.0", 0), slope(&Scalars::w3), 1e-9);
}

// Switch mean-all: the mean of every node but node 0, here h2, h3 and h4 of the paper.
TEST(PaperCell, MeanAllAveragesEveryNodeButTheFirst) {
  const RnnSpace space(3);
  const Architecture arch = space.parse(kCell);
  RnnChildOptions o = options();
  o.mean_all = true;
  RnnChild child(space, o, 1, DType::f64, &arch);
  for (Parameter& p : child.parameters()) {
    p.value = Tensor::full(p.value.shape(), 0.5, DType::f64);
  }
  Tape tape;
  const Var out = child.step(tape, space.decode(arch), Tensor::full({1, 1}, 1, DType::f64),
                             Tensor::full({1, 1}, 1, DType::f64), {});
  const double h1 = std::tanh(1.0);
  EXPECT_NEAR(out.value().item(), (h1 / 2 + h1 / 4 + std::tanh(h1 / 2)) / 3, 1e-15);
}

// Switch l4-decay: c/2 sum (w^2)^2 over node 0's matrix and those of nodes 2..N, node 1's left out.
TEST(PaperCell, L4DecayCoversNodeZeroAndNodesFromTwoOn) {
  const RnnSpace space(3);
  const Architecture arch = space.parse(kCell);
  RnnChildOptions o = options();
  o.l4_decay = 0.1;
  RnnChild child(space, o, 1, DType::f64, &arch);
  double value = 0.1;
  double want = 0;
  for (Parameter& p : child.parameters()) {
    p.value = Tensor::full(p.value.shape(), value, DType::f64);
    const bool counts = p.name != "embedding" && p.name != "cell.edge.1.0";
    if (counts) want += 0.05 * static_cast<double>(p.value.numel()) * std::pow(value, 4);
    value += 0.2;
  }
  Tape tape;
  const Var penalty = child.l4_penalty(tape, space.decode(arch));
  EXPECT_NEAR(penalty.value().item(), want, 1e-15);
  tape.backward(penalty);
  const Parameter& last = child.parameters().get("cell.edge.3.0");
  EXPECT_NEAR(last.grad.item(), 0.2 * std::pow(last.value.item(), 3), 1e-14);
  EXPECT_FALSE(child.parameters().get("cell.edge.1.0").grad.defined());
}

}  // namespace
}  // namespace enas
