// One operation of a macro layer with its weights: a 1x1 to calibrate, then a convolution, a
// separable one or a pool. Source: docs/method.md sections 2.1 (search: each part is convolution,
// BN, ReLU) and 2.4 (final: ReLU, 1x1, BN, ReLU, convolution, BN).
#pragma once
#include <string>

#include "nas/macro/plan.h"
#include "nn/layers.h"

namespace enas {

struct Term;  // ops/sum_of.h

struct MacroOpLayer {
  PointwiseBn first;
  ConvBn conv;  // one of the two, or none for a pool
  SeparableBn separable;
};

// "conv3", "sep3", "conv5", "sep5", "avg", "max": as in the names of parameters.
const char* key_of(MacroOp op);

// full: separable ids become full convolutions. epsilon: of the second batch norm.
MacroOpLayer make_macro_op(const LayerMaker& make, const std::string& name, MacroOp op,
                           int64_t filters, bool full, double epsilon);

// relu_first: on loading x; relu_last: after the second batch norm (never after a pool). The result
// is a value, or one whose normalisation is left to its reader.
Term run_macro_op(Pass& pass, const MacroOpLayer& layer, MacroOp op, const Var& x, bool relu_first,
                  bool relu_last);

Var value_of(const Term& term);

}  // namespace enas
