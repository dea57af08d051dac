// The micro search network: one normal and one reduction cell, stacked, over weights that are keyed
// by (layer, node, side, kernel, stack, input). Only what the sampled cells use is run. Source:
// docs/method.md section 3.2, "reduction cell" (reduce-stride2).
#pragma once
#include <array>
#include <vector>

#include "nas/micro/skeleton.h"

namespace enas {

struct MicroChildOptions {
  int normal_cells = 6;
  int64_t filters = 20;  // until the first reduction, at least 2; the stem has three times as many
  int64_t classes = 10;
  int64_t image_size = 32;  // height and width; only the auxiliary head's weights depend on it
  double dropout = 0.1;     // before the head
  bool auxiliary = false;
  bool frozen_auxiliary = false;  // parity switch frozen-aux
  bool reduce_stride2 = false;    // parity switch: operations of the reduction cell at stride 2
  bool tf_same = false;           // parity switch: asymmetric border at stride 2
  bool he_rows = false;           // parity switch: initial sigma by rows of the published tables
};

class MicroChild {
 public:
  // All weights of the space, or with `only` those of one architecture. A weight's initial value
  // depends on seed and name alone.
  MicroChild(MicroSpace space, const MicroChildOptions& options, uint64_t seed,
             DType dtype = DType::f32, const Architecture* only = nullptr,
             Device device = Device::cpu);

  // images [N, H, W, 3] -> logits [N, classes].
  Logits forward(Tape& tape, const Architecture& arch, const Tensor& images, const PassMode& mode);

  const MicroSpace& space() const { return space_; }
  const MicroChildOptions& options() const { return options_; }
  ParameterStore& parameters() { return parameters_; }
  std::vector<Parameter*> trainable();
  bool keeps_running() const { return false; }
  void update_running(const Tensor&) {}
  DType dtype() const { return dtype_; }
  Device device() const { return parameters_.device(); }

 private:
  struct Input {  // calibration; neither where the input fits as it is
    PointwiseBn point;
    ReductionBn reduce;
  };
  struct Layer {
    ReductionBn before;  // of the previous output, ahead of a reduction cell at stride 1
    std::array<Input, 2> inputs;
    // [node][side][input]: both kernels and, at stride 2, the identity.
    struct Edge {
      std::array<MicroEdge, 2> kernels;  // sep3, sep5
      ReductionBn identity;
    };
    std::vector<std::array<std::vector<Edge>, 2>> edges;
    std::array<ReductionBn, 2> unused;  // inputs that are loose ends, at stride 2
    std::vector<Parameter*> ends;       // 1x1 over the loose ends: a block a node
    BatchNorm end_norm;
  };
  struct Map {  // of a stored output
    int64_t channels;
    int reductions;  // ahead of it
  };
  void make_layer(const LayerMaker& make, int index, const MicroCell* only, Map& before, Map& last,
                  int64_t filters);
  void make_edges(const LayerMaker& make, const std::string& name, Layer& layer,
                  const MicroCell* only, int64_t filters, bool stride2);
  void init_by_rows(uint64_t seed);
  Var run_layer(Pass& pass, int index, const MicroCell& cell, Var& before, Var& last);
  Var run_node(Pass& pass, const Layer& layer, int node, const MicroCell::Node& choice,
               const std::vector<Var>& values, bool stride2);
  static Var calibrated(Pass& pass, const Input& input, const Var& x);

  MicroSpace space_;
  MicroChildOptions options_;
  MicroSkeleton skeleton_;
  DType dtype_;
  ParameterStore parameters_;
  ConvBn stem_;
  std::vector<Layer> layers_;
  AuxiliaryHead auxiliary_;
  Parameter* linear_;
};

}  // namespace enas
