// Ops, optimizers, averaging and clipping against PyTorch: tests/golden/README.md.
#include "tests/golden/golden.h"
#include "nn/adam.h"
#include "nn/average.h"
#include "nn/parameter.h"
#include "nn/sgd.h"
#include "ops/embedding.h"
#include "ops/grad_norm.h"
#include "ops/lstm_cell.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/softmax_cross_entropy.h"
#include "ops/structure.h"

namespace enas::test {
namespace {

const Golden& ops_file() {
  static const Golden file("ops");
  return file;
}
const Golden& optim_file() {
  static const Golden file("optim");
  return file;
}

// One case of ops.safetensors: its inputs as Vars of a tape.
class OpRun {
 public:
  OpRun(std::string name, DType dtype) : name_(std::move(name)), dtype_(dtype) {}

  Tensor constant(const std::string& input) const {
    return ops_file().copy(name_ + ".in." + input, dtype_);
  }
  Var variable(const std::string& input) {
    return variables_.emplace(input, tape_.variable(constant(input))).first->second;
  }
  void expect_output(Nearness& near, const Tensor& got, const std::string& output) const {
    near.expect(got, ops_file().at(name_ + ".out." + output), name_ + " " + output);
  }
  // Backward from the loss, then every input's gradient.
  void expect_gradients(Nearness& near, const Var& loss) {
    tape_.backward(loss);
    for (const auto& [input, var] : variables_) {
      near.expect(tape_.gradient(var), ops_file().at(name_ + ".grad." + input),
                  name_ + " gradient of " + input);
    }
  }

 private:
  std::string name_;
  DType dtype_;
  Tape tape_;
  std::map<std::string, Var> variables_;
};

void lstm_golden(const std::string& name, int64_t sum_length) {
  Nearness near(sum_length);
  for_each_path([&](DType dtype) {
    OpRun run(name, dtype);
    const Var x = run.variable("x"), w = run.variable("w");
    LstmState state{run.variable("h"), run.variable("c")};
    const int64_t steps = x.size(0), rows = x.size(1), inputs = x.size(2);
    const Var flat = reshape(x, {steps * rows, inputs});
    for (int64_t t = 0; t < steps; ++t) {
      state = lstm_cell(slice_rows(flat, t * rows, (t + 1) * rows), state, w);
    }
    run.expect_output(near, state.h.value(), "h");
    run.expect_output(near, state.c.value(), "c");
    run.expect_gradients(near, add(sum(mul(state.h, run.constant("to_h"))),
                                   sum(mul(state.c, run.constant("to_c")))));
  });
}
// K: the 4H gate gradients that make dx, or the I + H inputs that make a gate.
TEST(GoldenLstm, Small) { lstm_golden("lstm.small", 16); }
TEST(GoldenLstm, Controller) { lstm_golden("lstm.controller", 96); }
TEST(GoldenLstm, Saturated) { lstm_golden("lstm.saturated", 20); }
TEST(GoldenLstm, Window) { lstm_golden("lstm.window", 28); }

void cross_entropy_golden(const std::string& name, int64_t classes) {
  Nearness near(classes);
  for_each_path([&](DType dtype) {
    OpRun run(name, dtype);
    const Tensor targets = run.constant("targets");
    const Var loss = softmax_cross_entropy(run.variable("logits"), targets);
    const double rows = static_cast<double>(targets.numel());
    run.expect_output(near, scale(loss, rows).value(), "total");
    run.expect_output(near, loss.value(), "loss");
    run.expect_gradients(near, scale(loss, 0.75));
  });
}
TEST(GoldenCrossEntropy, Small) { cross_entropy_golden("ce.small", 11); }
TEST(GoldenCrossEntropy, OneRow) { cross_entropy_golden("ce.one_row", 3); }
TEST(GoldenCrossEntropy, OneClass) { cross_entropy_golden("ce.one_class", 1); }
TEST(GoldenCrossEntropy, Wide) { cross_entropy_golden("ce.wide", 1003); }
TEST(GoldenCrossEntropy, ExtremeLogits) { cross_entropy_golden("ce.extreme", 8); }
TEST(GoldenCrossEntropy, ImpossibleClasses) { cross_entropy_golden("ce.infinite", 9); }

void embedding_golden(const std::string& name, int64_t most_uses_of_a_row) {
  Nearness near(most_uses_of_a_row);
  for_each_path([&](DType dtype) {
    OpRun run(name, dtype);
    const Tensor factors = ops_file().has(name + ".in.scale") ? run.constant("scale") : Tensor();
    const Var y = embedding(run.variable("table"), run.constant("indices"), factors);
    run.expect_output(near, y.value(), "y");
    run.expect_gradients(near, sum(mul(y, run.constant("weight"))));
  });
}
TEST(GoldenEmbedding, RepeatedIndices) { embedding_golden("embedding.plain", 4); }
TEST(GoldenEmbedding, RowFactors) { embedding_golden("embedding.scaled", 4); }
TEST(GoldenEmbedding, ManyRepeats) { embedding_golden("embedding.many", 13); }

// The same look-up in two parts of one parameter, whose gradients backward collects.
TEST(GoldenEmbedding, TwoUsesOfAParameter) {
  Nearness near(13);
  for_each_path([&](DType dtype) {
    const OpRun run("embedding.many", dtype);
    Parameter table{"table", run.constant("table"), {}};
    const Tensor indices = run.constant("indices");
    const int64_t n = indices.numel(), cut = n / 3;
    Tape tape;
    const Var parts[] = {embedding(tape.use(table), indices.slice(0, cut), run.constant("scale")),
                         embedding(tape.use(table), indices.slice(cut, n), run.constant("scale"))};
    const Var y = concat_rows(parts);
    run.expect_output(near, y.value(), "y");
    tape.backward(sum(mul(y, run.constant("weight"))));
    near.expect(table.grad, ops_file().at("embedding.many.grad.table"), "gradient of table");
  });
}

// ------------------------------------------------------------------------------- optimizers
constexpr int64_t kSteps = 50;  // K of every path: a weight is the sum of its updates

Tensor row(const Tensor& all, int64_t index, const Shape& shape) {
  return all.slice(index, index + 1).reshape(shape);
}

// The two parameters of optim.safetensors on their way from the start.
struct Walk {
  ParameterStore store;
  DType dtype;
  explicit Walk(DType type) : dtype(type) {
    for (const char* name : {"a", "b"}) {
      const Tensor start = optim_file().copy(std::string("start.") + name, dtype);
      store.add(name, start.shape(), dtype).value = start;
    }
  }
  void give_gradients(int64_t step) {
    for (Parameter& p : store) {
      p.grad = row(optim_file().at("grads." + p.name), step, p.value.shape()).to(dtype).clone();
    }
  }
  void expect_on_path(Nearness& near, const std::string& name, int64_t step) {
    for (const Parameter& p : store) {
      const Tensor& path = optim_file().at(name + ".path." + p.name);
      near.expect(p.value, row(path, step, p.value.shape()),
                  name + " " + p.name + " after step " + std::to_string(step));
    }
  }
};

// slots: torch's name of a state -> ours.
template <class Optimizer>
void optimizer_golden(const std::string& name, const Optimizer& fresh, double lr,
                      const std::map<std::string, std::string>& slots) {
  Nearness near(kSteps);
  for_each_path([&](DType dtype) {
    Walk walk(dtype);
    Optimizer optimizer = fresh;
    for (int64_t step = 0; step < kSteps; ++step) {
      walk.give_gradients(step);
      const Tensor gate = optimizer.step(walk.store.all(), lr, Tensor::zeros({1}));
      walk.expect_on_path(near, name, step);
      if (optim_file().has(name + ".norms")) {
        const Tensor norm = gate.slice(kGateNorm, kGateNorm + 1).to(dtype);
        near.expect(norm, optim_file().at(name + ".norms").slice(step, step + 1), name + " norm");
      }
    }
    std::map<std::string, Tensor> state;
    optimizer.state(state, "");
    for (const auto& [theirs, ours] : slots) {
      for (const Parameter& p : walk.store) {
        near.expect(state.at(p.name + "." + ours),
                    optim_file().at(name + "." + theirs + "." + p.name), name + " " + theirs);
      }
    }
  });
}
const std::map<std::string, std::string> kMomentum = {{"momentum_buffer", "momentum"}};
const std::map<std::string, std::string> kMoments = {{"exp_avg", "m"}, {"exp_avg_sq", "v"}};

TEST(GoldenSgd, Plain) { optimizer_golden("sgd.plain", Sgd(), 0.05, {}); }
TEST(GoldenSgd, Momentum) {
  optimizer_golden("sgd.momentum", Sgd({.momentum = 0.9}), 0.05, kMomentum);
}
TEST(GoldenSgd, Nesterov) {
  optimizer_golden("sgd.nesterov", Sgd({.momentum = 0.9, .nesterov = true}), 0.05, kMomentum);
}
TEST(GoldenSgd, Decay) { optimizer_golden("sgd.decay", Sgd({.decay = 0.01}), 0.05, {}); }
TEST(GoldenSgd, NesterovAndDecay) {
  const Sgd sgd({.momentum = 0.9, .nesterov = true, .decay = 0.01});
  optimizer_golden("sgd.all", sgd, 0.05, kMomentum);
}
TEST(GoldenSgd, ClipTakesTheDecayIn) {
  const Sgd sgd({.momentum = 0.9, .clip = 4.5, .decay = 0.01});
  optimizer_golden("sgd.clip", sgd, 0.05, kMomentum);
}
TEST(GoldenAdam, Default) { optimizer_golden("adam.default", Adam(), 1e-3, kMoments); }
TEST(GoldenAdam, WithoutFirstMoment) {
  optimizer_golden("adam.beta1_0", Adam({.beta1 = 0, .epsilon = 1e-3}), 0.01, kMoments);
}
TEST(GoldenAdam, Decay) { optimizer_golden("adam.decay", Adam({.decay = 0.1}), 0.01, kMoments); }

TEST(GoldenAverage, RunningMeanFromStepTen) {
  constexpr int64_t kFirst = 10;
  Nearness near(kSteps);
  for_each_path([&](DType dtype) {
    Walk walk(dtype);
    Sgd sgd({.momentum = 0.9});
    WeightAverage average({.start_step = kFirst});
    for (int64_t step = 0; step < kSteps; ++step) {
      walk.give_gradients(step);
      const Tensor gate = sgd.step(walk.store.all(), 0.05, Tensor::zeros({1}));
      average.update(walk.store.all(), step, gate);
      ASSERT_EQ(average.started(), step >= kFirst);
      if (step < kFirst) continue;
      const WeightAverage::Scope scope(average, walk.store.all());
      walk.expect_on_path(near, "average", step - kFirst);
    }
  });
}

// Weights of 0 and rate 1: a step leaves minus the clipped gradient.
TEST(GoldenClip, GlobalNorm) {
  Nearness near(1022);  // K: elements of the three gradients
  const std::map<std::string, double> clips = {{"clip.active", 0.25},
                                               {"clip.idle", 1000},
                                               {"clip.huge", 0.25},
                                               {"clip.tiny", 0.25},
                                               {"clip.zero", 0.25}};
  for_each_path([&](DType dtype) {
    for (const auto& [name, clip] : clips) {
      ParameterStore store;
      for (const char* part : {"a", "b", "c"}) {
        const Tensor grad = optim_file().copy(name + ".in." + part, dtype);
        store.add(part, grad.shape(), dtype).grad = grad;
      }
      const Tensor gate = Sgd({.clip = clip}).step(store.all(), -1, Tensor::zeros({1}));
      near.expect(gate.slice(kGateNorm, kGateNorm + 1).to(dtype), optim_file().at(name + ".norm"),
                  name + " norm");
      for (const Parameter& p : store) {
        near.expect(p.value, optim_file().at(name + ".out." + p.name), name + " " + p.name);
      }
    }
  });
}

}  // namespace
}  // namespace enas::test
