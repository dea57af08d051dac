// The recurrent child: a language model whose cell is an architecture's loop over shared weights,
// run on the tape. What the loop does not reach is not recorded and has no gradient; that is the
// whole executor. Source: docs/method.md sections 1.2 (cell, sharing keys, tied decoder) and 1.3
// (dropout kinds, regularisers).
#pragma once
#include <array>
#include <string>
#include <vector>

#include "data/loader.h"
#include "nas/rnn/space.h"
#include "nn/parameter.h"
#include "ops/dropout.h"

namespace enas {

enum class Share { edge_op, edge };  // a matrix an (edge, activation), or an edge as in the paper
enum class CellKind { highway, plain };

struct DropoutRates {  // drop rates, docs/method.md 1.3
  double word = 0, embedding = 0, input = 0, recurrent = 0, output = 0;
};

struct RnnChildOptions {
  int64_t vocabulary = 0;
  int64_t hidden = 200;
  Share share = Share::edge_op;
  CellKind cell = CellKind::highway;
  double init_range = 0.04;
  DropoutRates dropout;
  double activation_penalty = 0;  // times mean(s_t^2)
  double slowness_penalty = 0;    // times mean((s_t - s_{t-1})^2)
  // Parity switches (docs/method.md section 9): the output is the mean of all nodes but node 0, not
  // of the loose ends; and a weight c of c/2 sum (w^2)^2 over node 0's matrix and those of
  // nodes 2..N.
  bool mean_all = false;
  double l4_decay = 0;
};

// The locked masks of one window: each is constant over time steps and nodes; undefined where the
// rate is 0.
struct RnnMasks {
  Tensor word;       // [V], scales rows of the embedding table
  Tensor input;      // [B, H], embedding and cell-input dropout in one
  Tensor recurrent;  // [B, H]
  Tensor output;     // [B, H], before the decoder
};
// Pure function of (seed, step): the same masks on every device and after a resume. dtype and
// device: those of the child's weights.
RnnMasks draw_masks(const RnnChildOptions& options, int64_t batch, uint64_t seed, uint64_t step,
                    DType dtype = DType::f32, Device device = Device::cpu);

class RnnChild {
 public:
  // All weights of the space (search), or with `only` those of one architecture (train from
  // scratch). A weight's initial value depends on seed and name alone, so both children of a seed
  // start alike, on every device.
  RnnChild(RnnSpace space, const RnnChildOptions& options, uint64_t seed, DType dtype = DType::f32,
           const Architecture* only = nullptr, Device device = Device::cpu);

  struct Pass {
    Var loss;           // scalar: cross-entropy (mean over batch and time) plus the regularisers
    Var cross_entropy;  // scalar
    Tensor state;       // [B, H] after the window, cut off from the tape
  };
  // Trains or scores on one window from `state` [B, H]. Masks may be empty (no dropout).
  Pass run(Tape& tape, const Architecture& arch, const TextWindow& window, const Tensor& state,
           const RnnMasks& masks = {});

  // One time step: x [B, H], s [B, H] -> the next s.
  Var step(Tape& tape, const RnnCell& cell, const Var& x, const Var& s, const RnnMasks& masks);
  // The tied decoder over outputs [T B, H]: (outputs * mask) E^T, [T B, V].
  Var logits(Tape& tape, const Var& outputs, const RnnMasks& masks);
  // Mean loss of a decoder over outputs [T B, H]: (outputs * mask) E^T, softmax, cross-entropy.
  Var decode(Tape& tape, const Var& outputs, const Tensor& targets, const RnnMasks& masks);
  // States of a window, [T B, H] time-major.
  Var encode(Tape& tape, const RnnCell& cell, const TextWindow& window, const Tensor& state,
             const RnnMasks& masks);

  // c/2 sum (w^2)^2, the term of l4_decay; a scalar.
  Var l4_penalty(Tape& tape, const RnnCell& cell);

  Tensor zero_state(int64_t batch) const;
  const RnnSpace& space() const { return space_; }
  const RnnChildOptions& options() const { return options_; }
  DType dtype() const { return dtype_; }
  Device device() const { return parameters_.device(); }
  ParameterStore& parameters() { return parameters_; }
  const Parameter& table() const { return *table_; }  // embedding and decoder
  // Weight decay covers cell matrices only in search, everything in final training (docs/method.md,
  // first table).
  static bool is_cell_weight(const Parameter& p) { return p.name.rfind("cell.", 0) == 0; }

 private:
  Parameter& add_matrix(const std::string& name, int64_t rows, int64_t columns);
  void add_inputs(const Architecture* only);
  void add_edge(int node, int previous, Activation f);
  Parameter& input_matrix(Activation f) { return *inputs_[space_.searched_first() ? kind(f) : 0]; }
  Parameter& edge_matrix(const RnnCell& cell, size_t node);
  // Where edges_ keeps the matrix of an activation: edges that share over activations have one.
  size_t kind(Activation f) const {
    return options_.share == Share::edge_op ? static_cast<size_t>(f) : 0;
  }

  RnnSpace space_;
  RnnChildOptions options_;
  uint64_t seed_;
  DType dtype_;
  ParameterStore parameters_;
  Parameter* table_;
  using Kinds = std::array<Parameter*, kActivations>;  // null where this child has no such matrix
  Kinds inputs_{};                         // node 0's; one unless its activation is searched
  std::vector<std::vector<Kinds>> edges_;  // [node][previous]
};

}  // namespace enas
