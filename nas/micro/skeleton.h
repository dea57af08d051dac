// What search and final network of the micro space share: where reductions stand, one edge's
// operation, the auxiliary head. Source: docs/method.md sections 3.1 (skeleton, operations) and 3.4
// (drop path, auxiliary head).
#pragma once
#include <array>
#include <string>
#include <vector>

#include "nas/micro/space.h"
#include "nn/layers.h"

namespace enas {

struct Term;  // ops/sum_of.h

// N normal cells and two reduction cells, numbered from 0.
struct MicroSkeleton {
  int normal_cells = 6;

  int layers() const { return normal_cells + 2; }
  bool reduces(int layer) const { return layer == normal_cells / 3 || layer == last_reduction(); }
  int last_reduction() const { return 2 * (normal_cells / 3) + 1; }
  int auxiliary_layer() const { return last_reduction() + 1; }
};

// The weights of one operation on one edge; those of the others are null.
struct MicroEdge {
  std::array<SeparableBn, 2> stacks;
  ReductionBn identity;  // at stride 2
};
SeparableBn make_stack(const LayerMaker& make, const std::string& name, int stack, MicroOp op,
                       int64_t filters);

// op(x) at stride 1 or 2; at stride 2 the first of the two stacked convolutions, a pool or the
// identity's factorised reduction halves the map. The last normalisation is left to the node's sum.
Term run_micro_op(Pass& pass, MicroOp op, const MicroEdge& edge, const Var& x, int64_t stride,
                  Padding padding);

// ReLU, average pool 5x5 by 3, 1x1 to 128, a convolution over the whole remaining map to 768, head.
class AuxiliaryHead {
 public:
  AuxiliaryHead() = default;
  // Of a list of sources with these widths on a map of side `map`, at least 5 (else: usage).
  // frozen: its weights are constants (parity switch frozen-aux).
  AuxiliaryHead(const LayerMaker& make, std::span<const int64_t> widths, int64_t map,
                int64_t classes, bool frozen);
  Var forward(Pass& pass, std::span<const Var> sources) const;
  static bool owns(const Parameter& p) { return p.name.rfind("auxiliary.", 0) == 0; }
  explicit operator bool() const { return linear_ != nullptr; }

 private:
  PointwiseBn first_;
  ConvBn second_;
  Parameter* linear_ = nullptr;
  bool frozen_ = false;
};

// The side of the map behind both reductions.
inline int64_t reduced_twice(int64_t side) { return ((side + 1) / 2 + 1) / 2; }

}  // namespace enas
