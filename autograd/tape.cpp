#include "autograd/tape.h"

#include <algorithm>
#include <atomic>

namespace enas {
namespace {
std::atomic<uint64_t> next_generation{1};

#ifdef NDEBUG
constexpr bool kCheckVersions = false;
#else
constexpr bool kCheckVersions = true;
#endif
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
  arena_.reset();
  recorded_ = 0;
  consumed_ = false;
  generation_ = next_generation++;
}

int32_t Tape::add_slot(const Tensor& value) {
  Slot slot;
  slot.shape = value.shape();
  slot.dtype = value.dtype();
  slot.device = value.device();
  slots_.push_back(std::move(slot));
  return static_cast<int32_t>(slots_.size()) - 1;
}

void Tape::append(const char* name, std::span<const Input> inputs, std::span<const Tensor> outputs,
                  void* closure, Run run, void (*destroy)(void*)) {
  Node node{name, closure, run, destroy, 0, 0, 0, 0};
  node.first_input = static_cast<int32_t>(input_slots_.size());
  node.inputs = static_cast<int32_t>(inputs.size());
  node.first_output = static_cast<int32_t>(slots_.size());
  node.outputs = static_cast<int32_t>(outputs.size());
  nodes_.push_back(node);  // from here on clear() destroys the closure
  check(!consumed_, name, "recorded after backward(); clear() the tape first");
  for (const Input& input : inputs) input_slots_.push_back(input.var->slot());
  for (const Tensor& y : outputs) add_slot(y);
  ++recorded_;
}

Var Tape::variable(Tensor value) {
  check(!consumed_, "tape", "variable() after backward(); clear() the tape first");
  const int32_t slot = add_slot(value);
  slots_.back().keep = true;
  return Var(std::move(value), this, slot, generation_);
}

Var Tape::use(Parameter& p) {
  check(p.value.defined(), "tape", "parameter ", p.name, " has no value");
  if (!recording_) return Var(p.value);
  if (p.tape_generation != generation_) {
    check(!consumed_, "tape", "use() after backward(); clear() the tape first");
    p.slot = add_slot(p.value);
    p.tape_generation = generation_;
    slots_.back().leaf = static_cast<int32_t>(leaves_.size());
    leaves_.push_back({&p, p.value.version(), {}});
    parameters_.push_back(&p);
    // A node of its own, so that the reverse loop reaches the leaf after all its users.
    nodes_.push_back({"use", nullptr, nullptr, nullptr, 0, 0, p.slot, 1});
  }
  return Var(p.value, this, p.slot, generation_);
}

void Tape::backward(const Var& loss) {
  check(loss.tape() == this && loss.generation() == generation_ && loss.has_grad(), "backward",
        "the loss does not depend on a parameter or variable of this tape");
  check(!consumed_, "backward", "called twice; a recording gives its gradients once");
  consumed_ = true;
  for (Parameter* p : parameters_) p->grad = Tensor();
  Slot& seed = slots_[static_cast<size_t>(loss.slot())];
  seed.grad = Tensor(seed.shape, seed.dtype, seed.device);
  seed.grad.fill(1);
  seed.written = true;
  for (size_t i = nodes_.size(); i-- > 0;) run_node(nodes_[i]);
}

void Tape::run_node(Node& node) {
  if (node.run == nullptr) {
    Slot& slot = slots_[static_cast<size_t>(node.first_output)];
    flush_leaf(leaves_[static_cast<size_t>(slot.leaf)], node.first_output);
    return;
  }
  dy_.clear();
  bool any = false;
  for (int32_t i = 0; i < node.outputs; ++i) {
    Slot& slot = slots_[static_cast<size_t>(node.first_output + i)];
    any = any || slot.written;
    dy_.push_back(std::move(slot.grad));
  }
  if (any) {
    grads_.clear();
    const int32_t* inputs = input_slots_.data() + node.first_input;
    for (int32_t i = 0; i < node.inputs; ++i) {
      bool shared = false;
      for (int32_t j = 0; j < node.inputs; ++j)
        shared = shared || (j != i && inputs[j] == inputs[i]);
      grads_.emplace_back(this, inputs[i], shared);
    }
    Grads dx(grads_.data(), grads_.size());
    node.run(node.closure, dy_, dx);
  }
  dy_.clear();
  node.destroy(node.closure);
  node.closure = nullptr;
}

void Tape::flush_leaf(Leaf& leaf, int32_t slot_index) {
  check(!kCheckVersions || leaf.parameter->value.version() == leaf.version, "backward",
        "parameter ", leaf.parameter->name, " was changed in place between forward and backward");
  std::vector<Contribution> list;
  for (const FlushOrder order : {FlushOrder::dense, FlushOrder::sparse}) {
    for (size_t i = 0; i < leaf.pending.size(); ++i) {
      if (leaf.pending[i].flush == nullptr || leaf.pending[i].order != order) continue;
      const Flush flush = leaf.pending[i].flush;
      for (size_t j = i; j < leaf.pending.size(); ++j) {
        if (leaf.pending[j].flush != flush) continue;
        list.push_back(std::move(leaf.pending[j].what));
        leaf.pending[j].flush = nullptr;
      }
      Grad grad(this, slot_index, false);
      flush(list, grad);
      list.clear();
    }
  }
  leaf.pending.clear();
  Slot& slot = slots_[static_cast<size_t>(slot_index)];
  if (slot.written) leaf.parameter->grad = std::move(slot.grad);
}

Tensor Tape::gradient(const Var& v) const {
  check(v.tape() == this && v.generation() == generation_ && v.has_grad(), "gradient",
        "not a variable of this tape");
  const Slot& slot = slots_[static_cast<size_t>(v.slot())];
  check(slot.keep, "gradient", "is kept for variable() only; a parameter has .grad");
  return slot.grad;
}

void Grad::resolve() {
  if (resolved_) return;
  check(needed(), "backward", "asked for the gradient of a constant input; test needed() first");
  resolved_ = true;
  Tape::Slot& slot = tape_->slots_[static_cast<size_t>(slot_)];
  into_ = slot.written ? Into::add : Into::write;
  if (!slot.grad.defined()) slot.grad = Tensor(slot.shape, slot.dtype, slot.device);
  if (slot.written && !slot.grad.unique())
    slot.grad = slot.grad.clone();  // accepted from elsewhere: own it before adding
  if (shared_ && into_ == Into::write) {
    slot.grad.fill(0);
    into_ = Into::add;
  }
  slot.written = true;
}

Tensor& Grad::tensor() {
  resolve();
  return tape_->slots_[static_cast<size_t>(slot_)].grad;
}

Into Grad::into() {
  resolve();
  return into_;
}

void Grad::accept(const Tensor& dy) {
  Tape::Slot& slot = tape_->slots_[static_cast<size_t>(slot_)];
  check(dy.shape() == slot.shape && dy.dtype() == slot.dtype, "backward", "gradient ", dy.dtype(),
        " ", dy.shape(), " for an input ", slot.dtype, " ", slot.shape);
  if (!slot.written) {
    slot.grad = dy;
    slot.written = true;
    return;
  }
  Tensor& sum = tensor();
  visit_real(sum.dtype(), "backward", [&](auto tag) {
    using T = decltype(tag);
    T* out = sum.data<T>();
    const T* in = dy.data<T>();
    const int64_t n = sum.numel();
    for (int64_t i = 0; i < n; ++i) out[i] += in[i];
  });
}

void Grad::contribute(Flush flush, FlushOrder order, Tensor a, Tensor b) {
  Tape::Slot& slot = tape_->slots_[static_cast<size_t>(slot_)];
  if (slot.leaf >= 0) {
    tape_->leaves_[static_cast<size_t>(slot.leaf)].pending.push_back(
        {flush, order, {std::move(a), std::move(b)}});
    return;
  }
  const Contribution one{std::move(a), std::move(b)};
  flush({&one, 1}, *this);
}

Tape* detail::recording_tape(const char* name, std::span<const Input> inputs) {
  Tape* tape = nullptr;
  for (const Input& input : inputs) {
    const Var& v = *input.var;
    if (!v.has_grad()) continue;
    check(tape == nullptr || tape == v.tape(), name, "inputs belong to different tapes");
    check(v.generation() == v.tape()->generation(), name,
          "an input is from before the tape was cleared");
    tape = v.tape();
  }
  return tape != nullptr && tape->recording() ? tape : nullptr;
}

}  // namespace enas
