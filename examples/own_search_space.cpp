// A search space of one's own, searched by ENAS: a curve fitted by two layers, each with one of
// four functions, the second reading the input or the first layer: 32 architectures. Few enough to
// train each from scratch afterwards, which tells whether the search found the best.
//   u1 = f1(x W1[f1] + c1),   u2 = f2((x or u1) W2[from, f2] + c2),   y = u2 a
#include <cmath>
#include <cstdio>
#include <sstream>

#include "nas/derive.h"
#include "nas/search.h"
#include "nn/init.h"
#include "ops/matmul.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
using namespace enas;

constexpr int64_t kWidth = 8;
constexpr const char* kNames[] = {"identity", "tanh", "relu", "square"};

// Choices: f1, from (0: x, 1: u1), f2.
struct ChainSpace {
  DecisionList decisions(const PolicyShape& shape) const {
    const auto op = [&](int32_t count, Decision::From input) {
      Decision d;
      d.kind = Decision::Kind::op;
      d.count = count;
      d.input = input;
      d.temperature = shape.temperature;
      d.tanh_constant = shape.tanh_constant;
      return d;
    };
    using From = Decision::From;
    return {{op(4, From::start), op(2, From::embedding), op(4, From::embedding)}, 0};
  }
  int operations() const { return 4; }  // rows of the controller's embedding
  std::string to_string(const Architecture& arch) const {
    std::string text;
    for (const int32_t c : arch.choices) text += (text.empty() ? "" : " ") + std::to_string(c);
    return text;
  }
  Architecture parse(const std::string& text) const {
    std::istringstream in(text);
    Architecture arch;
    for (int32_t c = 0; in >> c;) arch.choices.push_back(c);
    const std::vector<int32_t> most = {3, 1, 3};
    bool good = in.eof() && arch.choices.size() == most.size();
    for (size_t i = 0; good && i < most.size(); ++i)
      good = arch.choices[i] >= 0 && arch.choices[i] <= most[i];
    check(good, ErrorKind::usage, "architecture", "'", text, "' is not f1 from f2, e.g. 1 1 3");
    return arch;
  }
};
static_assert(Space<ChainSpace>);

Var apply(int32_t f, const Var& x) {
  return f == 0 ? x : f == 1 ? tanh(x) : f == 2 ? relu(x) : square(x);
}

// The child with all weights of the space: what an architecture does not choose is not run.
class Chain {
 public:
  Chain() {
    const auto matrix = [&](const std::string& name, int64_t rows, int64_t columns) {
      init_uniform(weights_.add(name, {rows, columns}), 0.6, 1);
    };
    for (int f = 0; f < 4; ++f) {
      matrix("1." + std::to_string(f), 1, kWidth);
      matrix("2.0." + std::to_string(f), 1, kWidth);
      matrix("2.1." + std::to_string(f), kWidth, kWidth);
    }
    matrix("out", kWidth, 1);
    init_uniform(weights_.add("1.bias", {kWidth}), 0.6, 1);
    init_uniform(weights_.add("2.bias", {kWidth}), 0.6, 1);
  }
  Var loss(Tape& tape, const Architecture& arch, double shift) {
    std::vector<double> x, y;
    for (double t = -2 + shift; t < 2; t += 0.1) {
      x.push_back(t);
      y.push_back(std::tanh(2 * t) * std::tanh(2 * t) - 0.5);
    }
    const Tensor in = Tensor::from(x, {static_cast<int64_t>(x.size()), 1});
    const auto use = [&](const std::string& name) { return tape.use(weights_.get(name)); };
    const int32_t f1 = arch.choices[0], from = arch.choices[1], f2 = arch.choices[2];
    Var u = in;
    if (from == 1) {
      u = apply(f1, add_row(matmul(u, use("1." + std::to_string(f1))), use("1.bias")));
    }
    const std::string second = "2." + std::to_string(from) + "." + std::to_string(f2);
    u = apply(f2, add_row(matmul(u, use(second)), use("2.bias")));
    return mean_square_difference(matmul(u, use("out")), Tensor::from(y, {in.size(0), 1}));
  }
  // What nas/search.h asks of a task: train_loss, finish_step, all_parameters, rewards.
  Var train_loss(Tape& tape, const Architecture& arch, double shift, uint64_t) {
    return loss(tape, arch, shift);
  }
  void finish_step(const Tensor&) {}
  std::vector<Parameter*> all_parameters() { return weights_.all(); }
  double held_out(const Architecture& arch) {
    const Tape::NoGrad no_grad(scoring_);
    return loss(scoring_, arch, 0.05).value().item();
  }
  std::vector<double> rewards(std::span<const Architecture> architectures, uint64_t) {
    std::vector<double> list;
    for (const Architecture& arch : architectures) list.push_back(1 / (0.1 + held_out(arch)));
    return list;
  }

 private:
  ParameterStore weights_;
  Tape scoring_;
};

int main() {
  const ChainSpace space;
  Chain shared;
  Controller policy(space.decisions({1, 2.5, 0}), space.operations(), {16, 0.1}, 1);
  Sgd sgd({.momentum = 0.9, .clip = 1});
  Adam adam;
  RewardBaseline baseline(0.95);
  Tape tape;
  for (uint64_t step = 0; step < 4000; ++step) {
    const Random random{1, Stream::shared_sample, step};
    shared_step(tape, shared, architectures_of(policy.sample(1, random)), 0.0, step, sgd, 0.05);
    if (step >= 2000) controller_step(tape, shared, policy, adam, baseline, {4, 0.01}, 1, step);
  }
  std::vector<Candidate> found = derive_candidates(policy, 10, 1);
  for (Candidate& c : found) c.score = shared.held_out(c.arch);
  found = rank(found, Better::lower);
  int better = 0;
  const auto alone = [&](const Architecture& arch) {
    Chain own;
    Sgd fresh({.momentum = 0.9, .clip = 1});
    for (uint64_t i = 0; i < 1500; ++i) shared_step(tape, own, {&arch, 1}, 0.0, i, fresh, 0.05);
    return own.held_out(arch);
  };
  const double best = alone(found[0].arch);
  for (int32_t n = 0; n < 32; ++n) better += alone({{n / 8, n / 4 % 2, n % 4}}) < best;
  std::printf("found %s (%s, %s): loss %.5f alone, rank %d of 32\n",
              space.to_string(found[0].arch).c_str(), kNames[found[0].arch.choices[0]],
              kNames[found[0].arch.choices[2]], best, better + 1);
}
