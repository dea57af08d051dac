// The macro search network: layers of six operations over shared weights, with skips that are
// summed, and every stored tensor reduced where the map shrinks. Only what the sampled architecture
// reaches is run. Source: docs/method.md section 2.1, "macro input" (concat-input).
#pragma once
#include <array>
#include <vector>

#include "nas/macro/layer.h"

namespace enas {

struct MacroChildOptions {
  int64_t filters = 36;  // of every layer, at least 2
  int64_t classes = 10;
  double dropout = 0.1;     // before the head
  bool running_bn = false;  // parity switch: rewards with running statistics of all children
};

class MacroChild {
 public:
  // All weights of the space, or with `only` those of one architecture. A weight's initial value
  // depends on seed and name alone.
  MacroChild(MacroSpace space, const MacroChildOptions& options, uint64_t seed,
             DType dtype = DType::f32, const Architecture* only = nullptr,
             Device device = Device::cpu);

  // images [N, H, W, 3] -> logits [N, classes]; no auxiliary ones.
  Logits forward(Tape& tape, const Architecture& arch, const Tensor& images, const PassMode& mode);

  const MacroSpace& space() const { return space_; }
  const MacroChildOptions& options() const { return options_; }
  ParameterStore& parameters() { return parameters_; }
  std::vector<Parameter*> trainable() { return parameters_.all(); }
  bool keeps_running() const { return options_.running_bn; }
  void update_running(const Tensor& gate) { running_.update(gate); }
  DType dtype() const { return dtype_; }
  Device device() const { return parameters_.device(); }

 private:
  struct Layer {
    std::array<MacroOpLayer, kMacroOps> ops;
    BatchNorm skips;     // of the sum; layers after the first
    PointwiseBn inputs;  // concat_input: a block a source, null where absent
  };
  void make_layer(const LayerMaker& make, int i, const MacroArch* arch, const MacroPlan& plan);
  void make_reductions(const LayerMaker& make, int after, const MacroPlan* plan);
  Var run_layer(Pass& pass, int i, const MacroArch& arch, const MacroPlan& plan,
                const std::vector<Var>& stored);
  Var run_input(Pass& pass, const Layer& layer, const MacroPlan::Layer& plan,
                const std::vector<Var>& stored);

  MacroSpace space_;
  MacroChildOptions options_;
  DType dtype_;
  ParameterStore parameters_;
  RunningLog running_;
  ConvBn stem_;
  std::vector<Layer> layers_;
  std::vector<std::vector<ReductionBn>> reductions_;  // [layer before it][stored tensor]
  Parameter* linear_;
};

}  // namespace enas
