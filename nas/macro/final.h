// The macro network of one architecture, trained from scratch: pre-activation layers, skips
// concatenated, twice the filters after each reduction, running statistics for evaluation. Source:
// docs/method.md section 2.4, "macro final ops", "macro input" (concat-input).
#pragma once
#include <vector>

#include "nas/macro/layer.h"

namespace enas {

struct MacroFinalOptions {
  int64_t filters = 96;  // until the first reduction, at least 2
  int64_t classes = 10;
  double dropout = 0.5;    // before the head
  bool full_conv = false;  // parity switch final-full-conv; it refuses pooling layers
};

class MacroFinal {
 public:
  MacroFinal(MacroSpace space, const Architecture& arch, const MacroFinalOptions& options,
             uint64_t seed, DType dtype = DType::f32, Device device = Device::cpu);

  // images [N, H, W, 3] -> logits [N, classes]. Refuses (usage) another architecture than its own.
  Logits forward(Tape& tape, const Architecture& arch, const Tensor& images, const PassMode& mode);

  const MacroSpace& space() const { return space_; }
  const Architecture& architecture() const { return architecture_; }
  const MacroFinalOptions& options() const { return options_; }
  ParameterStore& parameters() { return parameters_; }
  std::vector<Parameter*> trainable() { return parameters_.all(); }
  bool keeps_running() const { return true; }
  void update_running(const Tensor& gate) { running_.update(gate); }
  DType dtype() const { return dtype_; }
  Device device() const { return parameters_.device(); }

 private:
  struct Layer {
    PointwiseBn inputs;  // concat_input: over the chosen sources
    MacroOpLayer op;
    PointwiseBn skips;                    // over skips and the op's output; layers after the first
    std::vector<ReductionBn> reductions;  // after this layer, of each stored tensor (plan.h)
  };
  void make_layer(const LayerMaker& make, int i, int64_t filters);
  Var run_layer(Pass& pass, int i, const std::vector<Var>& stored);

  MacroSpace space_;
  Architecture architecture_;
  MacroArch arch_;
  MacroPlan plan_;
  MacroFinalOptions options_;
  DType dtype_;
  ParameterStore parameters_;
  RunningLog running_;
  ConvBn stem_;
  std::vector<Layer> layers_;
  Parameter* linear_;
};

}  // namespace enas
