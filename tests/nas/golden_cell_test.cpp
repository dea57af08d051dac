// One whole published recurrent cell against PyTorch: a window's loss and every gradient, and the
// weights after 20 steps of SGD over 20 windows. tests/golden/README.md has the configuration.
#include "autograd/tape.h"
#include "nas/rnn/child.h"
#include "nn/sgd.h"
#include "ops/grad_norm.h"
#include "tests/golden/golden.h"

namespace enas::test {
namespace {

constexpr int64_t kVocabulary = 50, kHidden = 16, kBatch = 4, kLength = 7, kWindows = 20;
// K: a state's gradient sums over the words of the decoder, the longest sum of all.
constexpr int64_t kLongestSum = kVocabulary;

const Golden& file() {
  static const Golden golden("cell");
  return golden;
}

struct Kind {
  Share share;
  bool whole_space;  // all weights of the space, as in search, or only this cell's
};
std::string name_of(const Kind& kind) {
  if (kind.whole_space) return "InASharedNetwork";
  return kind.share == Share::edge ? "OneMatrixAnEdge" : "Alone";
}
// In the place of GoogleTest's own print of the bytes, padding among them.
void PrintTo(const Kind& kind, std::ostream* out) { *out << name_of(kind); }

// The child with the golden start weights, and the inputs of each window.
class CellRun {
 public:
  CellRun(DType dtype, const Kind& kind)
      : dtype_(dtype),
        arch(space_.parse(RnnSpace::published())),
        child(space_, options(kind.share), 1, dtype, kind.whole_space ? nullptr : &arch) {
    const std::string prefix = "start.";
    for (const auto& [key, tensor] : file().tensors()) {
      if (key.rfind(prefix, 0) != 0) continue;
      const std::string name = key.substr(prefix.size());
      parameter(name).value = tensor.to(dtype).clone();
      names.push_back(name);
    }
  }

  // A golden name; edges that share over activations have none in theirs.
  Parameter& parameter(const std::string& name) {
    const bool edge = name.rfind("cell.edge.", 0) == 0;
    return child.parameters().get(
        edge && child.options().share == Share::edge ? name.substr(0, name.rfind('.')) : name);
  }
  RnnChild::Pass run(Tape& tape, int64_t window, const Tensor& state) {
    const RnnMasks masks{
        mask("word", window, {kVocabulary}), mask("input", window, {kBatch, kHidden}),
        mask("recurrent", window, {kBatch, kHidden}), mask("output", window, {kBatch, kHidden})};
    const TextWindow text{kLength, kBatch, tokens("inputs", window), tokens("targets", window)};
    return child.run(tape, arch, text, state, masks);
  }

 private:
  static RnnChildOptions options(Share share) {
    RnnChildOptions options;
    options.vocabulary = kVocabulary;
    options.hidden = kHidden;
    options.share = share;
    options.activation_penalty = 0.5;
    options.slowness_penalty = 0.8;
    return options;
  }
  Tensor mask(const std::string& name, int64_t window, const Shape& shape) const {
    return file().at("mask." + name).slice(window, window + 1).reshape(shape).to(dtype_);
  }
  static std::vector<int32_t> tokens(const std::string& name, int64_t window) {
    std::vector<int32_t> ids;
    for (const double id : file().at(name).slice(window, window + 1).to_vector())
      ids.push_back(static_cast<int32_t>(id));
    return ids;
  }

  RnnSpace space_{8};
  DType dtype_;

 public:
  Architecture arch;
  RnnChild child;
  std::vector<std::string> names;
};

class GoldenCell : public testing::TestWithParam<Kind> {};

TEST_P(GoldenCell, WindowAndEveryGradient) {
  Nearness near(kLongestSum);
  for_each_path([&](DType dtype) {
    CellRun run(dtype, GetParam());
    Tape tape;
    const RnnChild::Pass pass = run.run(tape, 0, file().copy("window.state", dtype));
    near.expect(pass.loss.value(), file().at("window.loss"), "loss");
    near.expect(pass.cross_entropy.value(), file().at("window.entropy"), "cross entropy");
    near.expect(pass.state, file().at("window.last"), "last state");
    tape.backward(pass.loss);
    ASSERT_EQ(run.names.size(), 10U);  // embedding, node 0, eight edges
    EXPECT_EQ(tape.parameters().size(), run.names.size());
    for (const std::string& name : run.names) {
      near.expect(run.parameter(name).grad, file().at("window.grad." + name),
                  "gradient of " + name);
    }
  });
}

TEST_P(GoldenCell, TwentySteps) {
  Nearness near(kLongestSum);
  for_each_path([&](DType dtype) {
    CellRun run(dtype, GetParam());
    Sgd sgd({.clip = 0.25, .decay = 1.6e-6, .decays = RnnChild::is_cell_weight});
    Tensor state = run.child.zero_state(kBatch);
    Tape tape;
    for (int64_t k = 0; k < kWindows; ++k) {
      tape.clear();
      const RnnChild::Pass pass = run.run(tape, k, state);
      tape.backward(pass.loss);
      const Tensor gate = sgd.step(tape.parameters(), 1, pass.loss.value());
      state = pass.state;
      const std::string step = " of step " + std::to_string(k);
      near.expect(pass.loss.value(), file().at("train.losses").slice(k, k + 1), "loss" + step);
      near.expect(state, file().at("train.states").slice(k, k + 1), "state" + step);
      near.expect(gate.slice(kGateNorm, kGateNorm + 1).to(dtype),
                  file().at("train.norms").slice(k, k + 1), "norm" + step);
    }
    for (const std::string& name : run.names)
      near.expect(run.parameter(name).value, file().at("train.end." + name), name);
  });
}

INSTANTIATE_TEST_SUITE_P(Children, GoldenCell,
                         testing::Values(Kind{Share::edge_op, false}, Kind{Share::edge_op, true},
                                         Kind{Share::edge, false}),
                         [](const testing::TestParamInfo<Kind>& test) {
                           return name_of(test.param);
                         });

}  // namespace
}  // namespace enas::test
