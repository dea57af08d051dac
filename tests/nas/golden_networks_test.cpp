// Whole convolutional networks against PyTorch: logits, loss and every gradient of a batch, and the
// weights, running statistics and logits after 20 steps of Nesterov SGD through shared_step. The
// networks cover every operation, skips, both reductions. tests/golden/README.md has the cases.
#include "nas/image_task.h"
#include "nas/macro/child.h"
#include "nas/macro/final.h"
#include "nas/micro/child.h"
#include "nas/micro/final.h"
#include "nas/search.h"
#include "tests/golden/golden.h"

namespace enas::test {
namespace {

constexpr int64_t kClasses = 3;
constexpr int64_t kSteps = 20;
constexpr double kRate = 0.05;
// Depth makes a float's distance to f64 larger than one sum does, and a ReLU or a maximum may fall
// on another side: floats are held to the first batch's loss and logits only.
constexpr int64_t kLongestSum = 2000;
// An offset that the next normalisation takes away has no gradient but rounding.
constexpr double kLeastGradient = 1e-4;

const Golden& file() {
  static const Golden golden("conv");
  return golden;
}

template <class Net>
class Run {
 public:
  Run(Net& net, const Architecture& arch, const std::string& name)
      : net_(net), arch_(arch), prefix_(name + ".") {
    size_t loaded = 0;
    for (const auto& [key, tensor] : file().tensors()) {
      if (key.rfind(prefix_ + "start.", 0) != 0) continue;
      Parameter& p = net.parameters().get(key.substr(prefix_.size() + 6));
      EXPECT_TRUE(p.value.shape() == tensor.shape()) << key;
      p.value = tensor.to(net.dtype()).clone();
      ++loaded;
    }
    EXPECT_GT(loaded, 20u);
    batch_ = {file().copy("images", net.dtype()), file().at("labels").clone()};
  }
  const Tensor& golden(const std::string& name) const { return file().at(prefix_ + name); }

  void first_batch(Nearness& near) {
    Tape tape;
    PassMode mode;
    const Logits out = net_.forward(tape, arch_, batch_.images, mode);
    near.expect(out.logits.value(), golden("logits"), "logits");
    const Var loss = softmax_cross_entropy(out.logits, batch_.labels);
    near.expect(loss.value(), golden("loss"), "loss");
    tape.backward(loss);
    if (net_.dtype() != DType::f64) return;
    for (Parameter* p : tape.parameters())
      near.expect(p->grad, golden("grad." + p->name), p->name, kLeastGradient);
  }

  void twenty_steps(Nearness& near) {
    const ImageSet held_out{Tensor({1, 8, 7, 3}, DType::u8), Tensor::from_indices({0}, {1})};
    ImageTaskOptions options;
    options.reward_batch = 1;
    ImageTask<Net> task(net_, options, held_out);
    Sgd sgd({.momentum = 0.9, .nesterov = true, .clip = 5, .decay = 1e-3});
    Tape tape;
    for (int64_t step = 0; step < kSteps; ++step) {
      const StepReport report =
          shared_step(tape, task, {&arch_, 1}, batch_, static_cast<uint64_t>(step), sgd, kRate);
      EXPECT_NEAR(report.loss(), golden("losses").item(step), 1e-9) << step;
      EXPECT_NEAR(report.grad_norm(), golden("norms").item(step), 1e-9) << step;
    }
    for (const auto& [key, tensor] : file().tensors()) {
      const std::string end = prefix_ + "end.";
      if (key.rfind(end, 0) == 0)
        near.expect(net_.parameters().get(key.substr(end.size())).value, tensor, key);
    }
    for (const Buffer& b : net_.parameters().buffers())
      near.expect(b.value, golden("buffer." + b.name), b.name);
    if (!net_.keeps_running()) return;
    PassMode mode;
    mode.running = true;
    const Tape::NoGrad no_grad(tape);
    near.expect(net_.forward(tape, arch_, batch_.images, mode).logits.value(), golden("evaluated"),
                "logits by running statistics");
  }

 private:
  Net& net_;
  Architecture arch_;
  std::string prefix_;
  ImageBatch batch_;
};

// make(dtype) -> the net.
template <class Make>
void hold(const std::string& name, const Architecture& arch, Make&& make) {
  Nearness first(kLongestSum, 1e-11), steps(kLongestSum, 1e-9);
  for_each_path([&](DType dtype) {
    auto net = make(dtype);
    Run run(*net, arch, name);
    run.first_batch(first);
  });
  auto net = make(DType::f64);
  Run run(*net, arch, name);
  run.twenty_steps(steps);
}

const MacroSpace& macro_space() {
  static const MacroSpace space(6);
  return space;
}
Architecture macro_arch() {
  return macro_space().parse("3  1 1  0 0 1  5 1 0 1  2 0 1 1 0  4 1 0 0 1 1");
}
const MicroSpace& micro_space() {
  static const MicroSpace space(3);
  return space;
}
Architecture micro_arch() {
  return micro_space().parse("0 0 1 4  1 1 2 2  0 3 3 0  1 1 0 4  0 0 1 3  2 2 1 1");
}

TEST(GoldenNetworks, MacroSearch) {
  const MacroChildOptions options{.filters = 4, .classes = kClasses, .dropout = 0};
  const Architecture arch = macro_arch();
  hold("macro", arch, [&](DType dtype) {
    return std::make_unique<MacroChild>(macro_space(), options, 1, dtype, &arch);
  });
}
TEST(GoldenNetworks, MacroFinal) {
  const MacroFinalOptions options{.filters = 3, .classes = kClasses, .dropout = 0};
  hold("macro_final", macro_arch(), [&](DType dtype) {
    return std::make_unique<MacroFinal>(macro_space(), macro_arch(), options, 1, dtype);
  });
}
TEST(GoldenNetworks, MicroSearch) {
  MicroChildOptions options;
  options.normal_cells = 3, options.filters = 2, options.classes = kClasses, options.dropout = 0;
  const Architecture arch = micro_arch();
  hold("micro", arch, [&](DType dtype) {
    return std::make_unique<MicroChild>(micro_space(), options, 1, dtype, &arch);
  });
}
TEST(GoldenNetworks, MicroFinal) {
  MicroFinalOptions options;
  options.normal_cells = 3, options.filters = 2, options.classes = kClasses, options.dropout = 0;
  options.auxiliary = false;
  hold("micro_final", micro_arch(), [&](DType dtype) {
    return std::make_unique<MicroFinal>(micro_space(), micro_arch(), options, 1, dtype);
  });
}

}  // namespace
}  // namespace enas::test
