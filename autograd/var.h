// Var: a value on a tape. Without a slot it is a constant: nothing flows back through it. `Grad` is
// what backward code sees of an input's gradient.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace enas {

class Tape;

class Var {
 public:
  Var() = default;
  Var(Tensor value) : value_(std::move(value)) {}  // NOLINT: a constant, implicitly
  Var(Tensor value, Tape* tape, int32_t slot, uint64_t generation)
      : value_(std::move(value)), tape_(tape), generation_(generation), slot_(slot) {}

  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  int rank() const { return value_.rank(); }
  int64_t size(int axis) const { return value_.size(axis); }
  int64_t numel() const { return value_.numel(); }
  DType dtype() const { return value_.dtype(); }
  bool has_grad() const { return slot_ >= 0; }
  Tape* tape() const { return tape_; }
  int32_t slot() const { return slot_; }
  uint64_t generation() const { return generation_; }

 private:
  Tensor value_;
  Tape* tape_ = nullptr;
  uint64_t generation_ = 0;  // of the tape: a Var of an earlier recording is refused
  int32_t slot_ = -1;
};

// Whether a kernel overwrites its gradient output or adds to it: the first contribution writes,
// later ones add.
enum class Into : uint8_t { write, add };

// What one op left for a parameter's gradient. The leaf precedes all its users, so backward reaches
// it last and then computes all contributions of a kind at once: 35 steps of a recurrent cell
// become one product.
struct Contribution {
  Tensor a, b;
};
class Grad;
using Flush = void (*)(std::span<const Contribution> list, Grad& dw);
// Dense contributions write the whole gradient and come first; sparse ones touch rows of it and
// then add.
enum class FlushOrder : uint8_t { dense, sparse };

// The gradient of one input, as backward code sees it.
class Grad {
 public:
  Grad(Tape* tape, int32_t slot, bool shared) : tape_(tape), slot_(slot), shared_(shared) {}
  bool needed() const { return slot_ >= 0; }  // false: a constant, and nothing below may be called
  // tensor() makes it exist, into() says how to combine; in any order. Both hold for this call of
  // backward: an op that passes over tensor() twice adds in the second pass, whatever into() says.
  Tensor& tensor();
  Into into();
  // The input's gradient is `dy` itself (reshape, identity): shared, not copied, where it is the
  // first.
  void accept(const Tensor& dy);
  // Leaves (a, b) for `flush`: at a parameter, until backward reaches it; elsewhere it runs now.
  void contribute(Flush flush, FlushOrder order, Tensor a, Tensor b);

 private:
  void resolve();
  Tape* tape_;
  int32_t slot_;
  bool shared_;  // the op has this input twice: both must add
  bool resolved_ = false;
  Into into_ = Into::write;
};

// The inputs' gradients, in the order in which they were recorded.
using Grads = std::span<Grad>;
// The outputs' gradients; undefined where nothing flowed back.
using OutputGrads = std::span<const Tensor>;

}  // namespace enas
