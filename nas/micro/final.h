// The micro network of one architecture, trained from scratch: cells whose output is the
// concatenation of their loose ends, kept as a list, reduction cells at stride 2, drop path, a
// trained auxiliary head, running statistics for evaluation. Source: docs/method.md section 3.4.
#pragma once
#include <array>
#include <vector>

#include "nas/micro/skeleton.h"

namespace enas {

struct MicroFinalOptions {
  int normal_cells = 15;
  int64_t filters = 36;  // until the first reduction, at least 2; the stem has three times as many
  int64_t classes = 10;
  int64_t image_size = 32;      // height and width; only the auxiliary head depends on it
  double dropout = 0.2;         // before the head
  double drop_path_keep = 0.6;  // of the last layer at the last step
  bool auxiliary = true;
  bool frozen_auxiliary = false;  // parity switch frozen-aux
  bool tf_same = false;           // parity switch: asymmetric border at stride 2
};

class MicroFinal {
 public:
  MicroFinal(MicroSpace space, const Architecture& arch, const MicroFinalOptions& options,
             uint64_t seed, DType dtype = DType::f32, Device device = Device::cpu);

  // images [N, H, W, 3] -> logits [N, classes]. Refuses (usage) another architecture than its own.
  Logits forward(Tape& tape, const Architecture& arch, const Tensor& images, const PassMode& mode);

  // 1 - progress (layer + 1) / layers (1 - options.drop_path_keep); progress: see PassMode.
  double drop_path_keep(int layer, double progress) const;

  const MicroSpace& space() const { return space_; }
  const Architecture& architecture() const { return architecture_; }
  const MicroFinalOptions& options() const { return options_; }
  ParameterStore& parameters() { return parameters_; }
  std::vector<Parameter*> trainable();
  bool keeps_running() const { return true; }
  void update_running(const Tensor& gate) { running_.update(gate); }
  DType dtype() const { return dtype_; }
  Device device() const { return parameters_.device(); }

 private:
  using Values = std::vector<Var>;  // a cell's output: its loose ends, as wide as each other
  struct Layer {
    ReductionBn reduce;  // calibration of the first input, one of the two or none ...
    PointwiseBn point;
    PointwiseBn second;                           // ... of the second, or none ...
    PointwiseBn base;                             // ... and always this one after it
    std::vector<std::array<MicroEdge, 2>> edges;  // [node][side]
    std::array<ReductionBn, 2> unused;            // inputs that are loose ends of a reduction cell
  };
  struct Map {  // of a stored output
    std::vector<int64_t> widths;
    int reductions;  // ahead of it
  };
  void make_layer(const LayerMaker& make, int index, Map& before, Map& last, int64_t filters);
  void make_inputs(const LayerMaker& make, const std::string& name, Layer& layer, const Map& before,
                   const Map& last, int64_t filters);
  MicroEdge make_edge(const LayerMaker& make, const std::string& name, int input, MicroOp op,
                      int64_t filters, bool reduction);
  Values run_layer(Pass& pass, int index, const Values& before, const Values& last);
  Var run_node(Pass& pass, int index, int node, const std::vector<Var>& values);
  const MicroCell& cell(int index) const {
    return skeleton_.reduces(index) ? arch_.reduction : arch_.normal;
  }

  MicroSpace space_;
  Architecture architecture_;
  MicroArch arch_;
  MicroFinalOptions options_;
  MicroSkeleton skeleton_;
  DType dtype_;
  ParameterStore parameters_;
  RunningLog running_;
  ConvBn stem_;
  std::vector<Layer> layers_;
  AuxiliaryHead auxiliary_;
  Parameter* linear_;
};

}  // namespace enas
