#include "autograd/tape.h"

#include <algorithm>
#include <atomic>

#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {
std::atomic<uint64_t> next_generation{1};

#ifdef NDEBUG
constexpr bool kCheckVersions = false;
#else
constexpr bool kCheckVersions = true;
#endif

void accumulate(Tensor& sum, const Tensor& term) {
  visit_real(sum.dtype(), "backward", [&](auto tag) {
    using T = decltype(tag);
    T* out = sum.data<T>();
    const T* in = term.data<T>();
    parallel_for(sum.numel(), 1 << 15, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] += in[i];
    });
  });
}
}  // namespace

void* Tape::Arena::allocate(size_t bytes) {
  constexpr size_t kAlign = alignof(std::max_align_t);
  bytes = (bytes + kAlign - 1) / kAlign * kAlign;
  check(bytes <= kBlock, "tape", "a backward lambda captures ", bytes, " bytes; at most ", kBlock);
  if (block_ < blocks_.size() && used_ + bytes > kBlock) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) blocks_.push_back(std::make_unique<std::byte[]>(kBlock));
  void* place = blocks_[block_].get() + used_;
  used_ += bytes;
  return place;
}

Tape::Tape() : generation_(next_generation++) {}

void Tape::clear() {
  for (Node& node : nodes_) {
    if (node.closure != nullptr) node.destroy(node.closure);
  }
  nodes_.clear();
  input_slots_.clear();
  slots_.clear();
  leaves_.clear();
  parameters_.clear();
  packed_weights_.clear();
  arena_.reset();
  recorded_ = 0;
  consumed_ = false;
  generation_ = next_generation++;
}

int32_t Tape::add_slot(const Tensor& value) {
  slots_.emplace_back(value);
  return static_cast<int32_t>(slots_.size()) - 1;
}

void Tape::append(const char* name, std::span<const Input> inputs, std::span<const Tensor> outputs,
                  void* closure, Run run, void (*destroy)(void*)) {
  nodes_.push_back({closure, run, destroy, static_cast<int32_t>(input_slots_.size()),
                    static_cast<int32_t>(inputs.size()), static_cast<int32_t>(slots_.size()),
                    static_cast<int32_t>(outputs.size())});
  // From here on clear() destroys the closure.
  if (consumed_) [[unlikely]]
    fail(ErrorKind::internal, name, "recorded after backward(); clear() the tape first");
  for (const Input& input : inputs) input_slots_.push_back(input.var->slot());
  for (const Tensor& y : outputs) add_slot(y);
  ++recorded_;
}

Var Tape::variable(Tensor value) {
  check(!consumed_, "tape", "variable() after backward(); clear() the tape first");
  const int32_t index = add_slot(value);
  slot(index).keep = true;
  return Var(std::move(value), this, index, generation_);
}

Var Tape::use(Parameter& p) {
  check(p.value.defined(), "tape", "parameter ", p.name, " has no value");
  if (!recording_) return Var(p.value, this, -1, generation_);
  if (p.tape_generation != generation_) {
    check(!consumed_, "tape", "use() after backward(); clear() the tape first");
    check(std::find(parameters_.begin(), parameters_.end(), &p) == parameters_.end(), "tape",
          "parameter ", p.name, " was used on another tape meanwhile; one after the other");
    p.tape_generation = generation_;
    p.slot = add_slot(p.value);
    slot(p.slot).leaf = static_cast<int32_t>(leaves_.size());
    leaves_.push_back({p.value.version(), {}});
    parameters_.push_back(&p);
    // A node of its own, so that the reverse loop reaches the leaf after all its users.
    nodes_.push_back({nullptr, nullptr, nullptr, 0, 0, p.slot, 1});
  }
  return Var(p.value, this, p.slot, generation_);
}

void Tape::backward(const Var& loss) {
  check(loss.tape() == this && loss.generation() == generation_ && loss.has_grad(), "backward",
        "the loss does not depend on a parameter or variable of this tape");
  check(!consumed_, "backward", "called twice; a recording gives its gradients once");
  consumed_ = true;
  packed_weights_.drop(false);
  for (Parameter* p : parameters_) p->grad = Tensor();
  Slot& seed = slot(loss.slot());
  seed.grad = empty_like(seed.grad);
  seed.grad.fill(1);
  seed.written = true;
  for (size_t i = nodes_.size(); i-- > 0;) run_node(nodes_[i]);
  packed_weights_.clear();
}

void Tape::run_node(Node& node) {
  if (node.run == nullptr) return flush_leaf(node.first_output);
  dy_.clear();
  bool any = false;
  for (int32_t i = 0; i < node.outputs; ++i) {
    Slot& output = slot(node.first_output + i);
    any = any || output.written;
    dy_.push_back(std::move(output.grad));
  }
  if (any) {
    grads_.clear();
    const std::span inputs(input_slots_.data() + node.first_input,
                           static_cast<size_t>(node.inputs));
    for (const int32_t input : inputs)
      grads_.emplace_back(this, input, std::count(inputs.begin(), inputs.end(), input) > 1);
    Grads dx(grads_);
    node.run(node.closure, dy_, dx);
  }
  dy_.clear();
  node.destroy(node.closure);
  node.closure = nullptr;
}

void Tape::flush_leaf(int32_t index) {
  const auto number = static_cast<size_t>(slot(index).leaf);
  Parameter& p = *parameters_[number];
  Leaf& leaf = leaves_[number];
  packed_weights_.drop(p.value);
  check(!kCheckVersions || p.value.version() == leaf.version, "backward", "parameter ", p.name,
        " was changed in place between forward and backward");
  for (const FlushOrder order : {FlushOrder::dense, FlushOrder::sparse}) {
    for (Pending& pending : leaf.pending) {
      if (pending.order != order) continue;
      Grad grad(this, index, false);
      pending.flush(pending.list, grad);
      pending.list.clear();
    }
  }
  if (slot(index).written) p.grad = std::move(slot(index).grad);
}

Tensor Tape::gradient(const Var& v) const {
  check(v.tape() == this && v.generation() == generation_ && v.has_grad(), "gradient",
        "not a variable of this tape");
  const Slot& variable = slots_[static_cast<size_t>(v.slot())];
  check(variable.keep, "gradient", "is kept for variable() only; a parameter has .grad");
  return variable.grad;
}

void Grad::resolve() {
  if (resolved_) return;
  check(needed(), "backward", "asked for the gradient of a constant input; test needed() first");
  resolved_ = true;
  Tape::Slot& slot = tape_->slot(slot_);
  into_ = slot.written ? Into::add : Into::write;
  if (!slot.written) {
    slot.grad = empty_like(slot.grad);
  } else if (!slot.grad.unique()) {
    slot.grad = slot.grad.clone();  // accepted from elsewhere: own it before adding
  }
  if (shared_ && !slot.written) {
    slot.grad.fill(0);
    into_ = Into::add;
  }
  slot.written = true;
}

Tensor& Grad::tensor() {
  resolve();
  return tape_->slot(slot_).grad;
}

Into Grad::into() {
  resolve();
  return into_;
}

void Grad::accept(const Tensor& dy) {
  check(needed(), "backward", "gave a gradient to a constant input; test needed() first");
  Tape::Slot& slot = tape_->slot(slot_);
  check(dy.shape() == slot.grad.shape() && dy.dtype() == slot.grad.dtype(), "backward", "gradient ",
        dy.dtype(), " ", dy.shape(), " for an input ", slot.grad.dtype(), " ", slot.grad.shape());
  if (!slot.written) {
    slot.grad = dy;
    slot.written = true;
    return;
  }
  dispatch<enas::accumulate, cuda::accumulate>(tensor(), dy);
}

void Grad::contribute(Flush flush, FlushOrder order, Tensor a, Tensor b) {
  check(needed(), "backward", "gave a gradient to a constant input; test needed() first");
  Contribution one{std::move(a), std::move(b)};
  const int32_t leaf = tape_->slot(slot_).leaf;
  if (leaf < 0) return flush({&one, 1}, *this);
  auto& pending = tape_->leaves_[static_cast<size_t>(leaf)].pending;
  auto same = std::find_if(pending.begin(), pending.end(),
                           [&](const Tape::Pending& p) { return p.flush == flush; });
  if (same == pending.end()) same = pending.insert(same, {flush, order, {}});
  same->list.push_back(std::move(one));
}

// Not by check(), as in append(): it would take the length of every name.
Tape* detail::recording_tape(const char* name, std::span<const Input> inputs) {
  Tape* tape = nullptr;
  for (const Input& input : inputs) {
    const Var& v = *input.var;
    if (!v.has_grad()) continue;
    if (tape != nullptr && tape != v.tape()) [[unlikely]]
      fail(ErrorKind::internal, name, "inputs belong to different tapes");
    if (v.generation() != v.tape()->generation()) [[unlikely]]
      fail(ErrorKind::internal, name, "an input is from before the tape was cleared");
    tape = v.tape();
  }
  return tape != nullptr && tape->recording() ? tape : nullptr;
}

}  // namespace enas
