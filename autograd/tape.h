// Tape: define-by-run reverse mode. record() appends a node with its backward lambda to a vector;
// backward() is one loop over it from the end. A node holds gradient slots and the lambda, never
// values: what backward needs is what the lambda captured, so a value nobody needs dies in forward.
// Values and gradients are released as backward passes them. The executor of ENAS children is this
// tape: what a child's loop did not reach was not recorded and has no gradient.
#pragma once
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "autograd/packed_weights.h"
#include "autograd/parameter.h"
#include "autograd/var.h"

namespace enas {

// An input of record(): a Var by reference, so that the list costs nothing.
struct Input {
  Input(const Var& v) : var(&v) {}  // NOLINT: implicit, so that {x, w} reads well
  const Var* var;
};

class Tape {
 public:
  Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  ~Tape() { clear(); }

  // A Var with a gradient that is not a parameter: inputs of a gradient check, of an example. Read
  // by gradient().
  Var variable(Tensor value);
  // The parameter's leaf: one a tape, however often it is used. In a no-grad scope a constant,
  // which still knows the tape.
  Var use(Parameter& p);

  // d loss / d everything; loss is a scalar (or any tensor: then its gradient is all ones).
  // Parameters receive .grad. One call a recording: the nodes are consumed.
  void backward(const Var& loss);
  // After backward: the gradient of a variable(); undefined where nothing flowed back.
  Tensor gradient(const Var& v) const;
  // The parameters used since the last clear(), in order of first use: exactly the child's weights.
  const std::vector<Parameter*>& parameters() const { return parameters_; }
  size_t recorded_ops() const { return recorded_; }
  void clear();
  bool recording() const { return recording_; }
  // Of forward until backward starts, transposed until backward has met the leaf; in a no-grad
  // scope until its end.
  PackedWeights& packed_weights() { return packed_weights_; }

  // While alive, record() stores nothing: evaluation.
  class NoGrad {
   public:
    explicit NoGrad(Tape& tape) : tape_(tape), before_(tape.recording_) { tape.recording_ = false; }
    NoGrad(const NoGrad&) = delete;
    NoGrad& operator=(const NoGrad&) = delete;
    ~NoGrad() {
      tape_.recording_ = before_;
      tape_.packed_weights_.clear();
    }

   private:
    Tape& tape_;
    bool before_;
  };

  // For record() below. Outputs are `count` consecutive slots; returns the first.
  template <class Backward>
  int32_t push(const char* name, std::span<const Input> inputs, std::span<const Tensor> outputs,
               Backward&& backward);
  uint64_t generation() const { return generation_; }

 private:
  friend class Grad;
  using Run = void (*)(void* closure, OutputGrads dy, Grads& dx);
  struct Node {  // one op, or with run == nullptr the leaf of a parameter
    void* closure;
    Run run;
    void (*destroy)(void* closure);
    int32_t first_input, inputs;  // into input_slots_
    int32_t first_output, outputs;
  };
  struct Slot {  // the gradient of one value
    // Made in its place: a shape that is copied on right after it was written costs 9 ns.
    explicit Slot(const Tensor& value) : grad(value.without_values()) {}
    Tensor grad;        // without values until the first contribution
    int32_t leaf = -1;  // into leaves_: the slot of a parameter
    bool written = false;
    bool keep = false;  // a variable(): gradient() reads it after backward
  };
  struct Pending {
    Flush flush;
    FlushOrder order;
    std::vector<Contribution> list;
  };
  struct Leaf {
    uint32_t version;  // of the parameter's value, when it was used
    std::vector<Pending> pending;
  };
  // Bump memory for closures: blocks are kept over clear().
  class Arena {
   public:
    void* allocate(size_t bytes);
    void reset() { block_ = 0, used_ = 0; }

   private:
    static constexpr size_t kBlock = size_t{64} << 10;
    std::vector<std::unique_ptr<std::byte[]>> blocks_;
    size_t block_ = 0, used_ = 0;
  };

  int32_t add_slot(const Tensor& value);
  void append(const char* name, std::span<const Input> inputs, std::span<const Tensor> outputs,
              void* closure, Run run, void (*destroy)(void*));
  void run_node(Node& node);
  void flush_leaf(int32_t slot);
  Slot& slot(int32_t index) { return slots_[static_cast<size_t>(index)]; }

  bool recording_ = true, consumed_ = false;
  uint64_t generation_;
  size_t recorded_ = 0;
  std::vector<Node> nodes_;
  std::vector<int32_t> input_slots_;
  std::vector<Slot> slots_;
  std::vector<Leaf> leaves_;  // one for each of ...
  std::vector<Parameter*> parameters_;
  std::vector<Grad> grads_;  // scratch of run_node
  std::vector<Tensor> dy_;
  Arena arena_;
  PackedWeights packed_weights_;
};

template <class Backward>
int32_t Tape::push(const char* name, std::span<const Input> inputs, std::span<const Tensor> outputs,
                   Backward&& backward) {
  using Closure = std::remove_cvref_t<Backward>;
  static_assert(alignof(Closure) <= alignof(std::max_align_t));
  const auto first = static_cast<int32_t>(slots_.size());
  void* closure = new (arena_.allocate(sizeof(Closure))) Closure(std::forward<Backward>(backward));
  const Run run = [](void* c, OutputGrads dy, Grads& dx) {
    if constexpr (std::is_invocable_v<Closure&, OutputGrads, Grads&>) {
      (*static_cast<Closure*>(c))(dy, dx);
    } else {
      (*static_cast<Closure*>(c))(dy[0], dx);
    }
  };
  append(name, inputs, outputs, closure, run,
         [](void* c) { static_cast<Closure*>(c)->~Closure(); });
  return first;
}

namespace detail {
// The tape on which an op of these inputs is recorded; nullptr where no gradient is wanted. Refuses
// mixed or stale tapes.
Tape* recording_tape(const char* name, std::span<const Input> inputs);
}  // namespace detail

// Records an op with one output. `backward(const Tensor& dy, Grads& dx)` runs if a gradient reaches
// y.
template <class Backward>
Var record(const char* name, std::span<const Input> inputs, Tensor y, Backward&& backward) {
  Tape* tape = detail::recording_tape(name, inputs);
  if (tape == nullptr) return Var(std::move(y));
  const int32_t slot = tape->push(name, inputs, {&y, 1}, std::forward<Backward>(backward));
  return Var(std::move(y), tape, slot, tape->generation());
}
template <class Backward>
Var record(const char* name, std::initializer_list<Input> inputs, Tensor y, Backward&& backward) {
  return record(name, std::span<const Input>(inputs.begin(), inputs.size()), std::move(y),
                std::forward<Backward>(backward));
}

// Records an op with several outputs. `backward(OutputGrads dy, Grads& dx)` runs if a gradient
// reaches any of them; dy[i] is undefined where none did.
template <class Backward>
std::vector<Var> record(const char* name, std::initializer_list<Input> inputs,
                        std::vector<Tensor> outputs, Backward&& backward) {
  const std::span<const Input> list(inputs.begin(), inputs.size());
  Tape* tape = detail::recording_tape(name, list);
  std::vector<Var> vars;
  vars.reserve(outputs.size());
  int32_t slot = tape ? tape->push(name, list, outputs, std::forward<Backward>(backward)) : -1;
  for (Tensor& y : outputs) {
    vars.push_back(tape ? Var(std::move(y), tape, slot++, tape->generation()) : Var(std::move(y)));
  }
  return vars;
}

}  // namespace enas
