// The sum of several terms in one pass, each as it lies, normalised on load, or dropped for some
// examples: a node's op1 + op2, a macro layer's op output and its skips.
//   y_n = sum_i keep_i[n] f_i(x_i)_n          dx_i: of keep_i[n] dy_n through f_i
// f_i: nothing, or a normalisation left to this reader (Deferred, ops/batch_norm.h), and the
// statistics of y's channels. Source: docs/method.md sections 2.1 and 3.2.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "ops/batch_norm.h"

namespace enas {

struct Term {
  Var x;                             // the value itself, or
  std::optional<Deferred> deferred;  // one that is normalised on load; x is then not read
  Tensor keep;                       // [N], 0 or 1 / keep for each example; undefined: 1
};

// At least one term, all [N, ..., C] of one shape and dtype, f32 or f64; the sum runs in the order
// given. A single term without keep, deferred or stats is returned as it is.
RawConv sum_of(std::span<const Term> terms, bool stats);
inline RawConv sum_of(const std::vector<Term>& terms, bool stats) {
  return sum_of(std::span<const Term>(terms), stats);
}

// A term as kernels take it; norm.mean undefined: no normalisation.
struct TermValues {
  Tensor x;
  NormValues norm;
  Tensor keep;
};

namespace cpu {
// stats: its tensors are undefined where not wanted.
void sum_of_forward(Tensor& y, std::span<const TermValues> terms, ChannelStats& stats);
}  // namespace cpu
namespace cuda {
void sum_of_forward(Tensor& y, std::span<const TermValues> terms, ChannelStats& stats);
}  // namespace cuda

}  // namespace enas
