#include "nas/rnn/child.h"

#include "nn/init.h"
#include "ops/embedding.h"
#include "ops/highway_cell.h"
#include "ops/linear_cross_entropy.h"
#include "ops/matmul.h"
#include "ops/mean_of.h"
#include "ops/plain_cell.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/structure.h"

namespace enas {

RnnMasks draw_masks(const RnnChildOptions& options, int64_t batch, uint64_t seed, uint64_t step,
                    DType dtype, Device device) {
  const DropoutRates& rates = options.dropout;
  const auto mask = [&](const Shape& shape, double rate, Stream stream) {
    return rate == 0 ? Tensor()
                     : dropout_mask(shape, rate, Random{seed, stream, step}, dtype, device);
  };
  const Shape locked{batch, options.hidden};
  RnnMasks masks;
  masks.word = mask({options.vocabulary}, rates.word, Stream::word_dropout);
  masks.input = mask(locked, rates.embedding, Stream::embedding_dropout);
  const Tensor cell_input = mask(locked, rates.input, Stream::input_dropout);
  if (masks.input.defined() && cell_input.defined()) {
    masks.input = mul(masks.input, cell_input).value();
  } else if (cell_input.defined()) {
    masks.input = cell_input;
  }
  masks.recurrent = mask(locked, rates.recurrent, Stream::recurrent_dropout);
  masks.output = mask(locked, rates.output, Stream::output_dropout);
  return masks;
}

RnnChild::RnnChild(RnnSpace space, const RnnChildOptions& options, uint64_t seed, DType dtype,
                   const Architecture* only, Device device)
    : space_(std::move(space)), options_(options), seed_(seed), dtype_(dtype), parameters_(device) {
  table_ = &add_matrix("embedding", options.vocabulary, options.hidden);
  add_inputs(only);
  edges_.resize(static_cast<size_t>(space_.nodes()) + 1);
  for (size_t node = 1; node < edges_.size(); ++node) edges_[node].resize(node, Kinds{});
  if (only != nullptr) {
    int node = 0;
    for (const auto& [previous, activation] : space_.decode(*only).nodes)
      add_edge(++node, previous, activation);
    return;
  }
  for (int node = 1; node <= space_.nodes(); ++node) {
    for (int previous = 0; previous < node; ++previous) {
      for (int f = 0; f < (options.share == Share::edge_op ? kActivations : 1); ++f) {
        add_edge(node, previous, static_cast<Activation>(f));
      }
    }
  }
}

// Node 0's matrix; with a searched activation and edge-op sharing one for each.
void RnnChild::add_inputs(const Architecture* only) {
  const bool many = space_.searched_first() && options_.share == Share::edge_op;
  for (int id = 0; id < (many ? kActivations : 1); ++id) {
    const auto f = static_cast<Activation>(id);
    if (many && only != nullptr && space_.decode(*only).first != f) continue;
    const std::string name = many ? "cell.input." + std::string(name_of(f)) : "cell.input";
    inputs_[static_cast<size_t>(id)] = &add_matrix(name, 2 * options_.hidden, options_.hidden);
  }
}

// A gated matrix makes [h | t], twice as wide as a plain one; the embedding table is as wide as the
// state.
Parameter& RnnChild::add_matrix(const std::string& name, int64_t rows, int64_t columns) {
  const bool gated = options_.cell == CellKind::highway && name != "embedding";
  Parameter& p = parameters_.add(name, {rows, gated ? 2 * columns : columns}, dtype_);
  init_uniform(p, options_.init_range, seed_);
  return p;
}

// "cell.edge.3.1.tanh": node 3 reads node 1; without the activation where edges share over
// activations.
void RnnChild::add_edge(int node, int previous, Activation f) {
  std::string name = "cell.edge." + std::to_string(node) + "." + std::to_string(previous);
  if (options_.share == Share::edge_op) name += "." + std::string(name_of(f));
  edges_[static_cast<size_t>(node)][static_cast<size_t>(previous)][kind(f)] =
      &add_matrix(name, options_.hidden, options_.hidden);
}

Tensor RnnChild::zero_state(int64_t batch) const {
  return Tensor::zeros({batch, options_.hidden}, dtype_, device());
}

Parameter& RnnChild::edge_matrix(const RnnCell& cell, size_t node) {
  const auto& [previous, activation] = cell.nodes[node - 1];
  Parameter* edge = edges_[node][static_cast<size_t>(previous)][kind(activation)];
  check(edge != nullptr, ErrorKind::usage, "recurrent child", "has no weights for node ", node,
        " reading node ", previous, "; it was built for another architecture");
  return *edge;
}

Var RnnChild::step(Tape& tape, const RnnCell& cell, const Var& x, const Var& s,
                   const RnnMasks& masks) {
  const bool gated = options_.cell == CellKind::highway;
  const Var w_input = tape.use(input_matrix(cell.first));
  std::vector<Var> node;
  node.reserve(cell.nodes.size() + 1);
  node.push_back(gated ? highway_input(x, s, w_input, cell.first, masks.input, masks.recurrent)
                       : plain_input(x, s, w_input, cell.first, masks.input, masks.recurrent));
  for (const auto& [previous, activation] : cell.nodes) {
    const Var w = tape.use(edge_matrix(cell, node.size()));
    const Var& from = node[static_cast<size_t>(previous)];
    node.push_back(gated ? highway_cell(from, w, activation, masks.recurrent)
                         : plain_cell(from, w, activation, masks.recurrent));
  }
  if (options_.mean_all) return mean_of(std::span<const Var>(node).subspan(1));
  std::vector<Var> loose;
  for (const int end : cell.loose_ends) loose.push_back(node[static_cast<size_t>(end)]);
  return mean_of(loose);
}

Var RnnChild::l4_penalty(Tape& tape, const RnnCell& cell) {
  const auto fourth = [&](Parameter& p) { return sum(square(square(tape.use(p)))); };
  Var total = fourth(input_matrix(cell.first));
  for (size_t node = 2; node <= cell.nodes.size(); ++node) {
    total = add(total, fourth(edge_matrix(cell, node)));
  }
  return scale(total, options_.l4_decay / 2);
}

Var RnnChild::encode(Tape& tape, const RnnCell& cell, const TextWindow& window, const Tensor& state,
                     const RnnMasks& masks) {
  const int64_t steps = window.length, batch = window.batch;
  const Tensor words = Tensor::from_indices(window.inputs, {steps * batch}).to(device());
  const Var x = embedding(tape.use(*table_), words, masks.word);
  std::vector<Var> states;
  states.reserve(static_cast<size_t>(steps));
  Var s = state;
  for (int64_t t = 0; t < steps; ++t) {
    s = step(tape, cell, slice_rows(x, t * batch, (t + 1) * batch), s, masks);
    states.push_back(s);
  }
  return concat_rows(states);
}

namespace {
Var masked_outputs(const Var& outputs, const RnnMasks& masks) {
  return masks.output.defined() ? dropout(outputs, masks.output) : outputs;
}
}  // namespace

Var RnnChild::logits(Tape& tape, const Var& outputs, const RnnMasks& masks) {
  return matmul(masked_outputs(outputs, masks), tape.use(*table_), Transpose::no, Transpose::yes);
}

Var RnnChild::decode(Tape& tape, const Var& outputs, const Tensor& targets, const RnnMasks& masks) {
  return linear_cross_entropy(masked_outputs(outputs, masks), tape.use(*table_), targets);
}

RnnChild::Pass RnnChild::run(Tape& tape, const Architecture& arch, const TextWindow& window,
                             const Tensor& state, const RnnMasks& masks) {
  const int64_t rows = window.length * window.batch, batch = window.batch;
  const Var outputs = encode(tape, space_.decode(arch), window, state, masks);
  const Tensor targets = Tensor::from_indices(window.targets, {rows}).to(device());
  const Var cross_entropy = decode(tape, outputs, targets, masks);
  Var loss = cross_entropy;
  if (options_.activation_penalty > 0)
    loss = add(loss, scale(mean_square(outputs), options_.activation_penalty));
  if (options_.slowness_penalty > 0 && window.length > 1) {
    const Var change = mean_square_difference(slice_rows(outputs, batch, rows),
                                              slice_rows(outputs, 0, rows - batch));
    loss = add(loss, scale(change, options_.slowness_penalty));
  }
  if (options_.l4_decay > 0) loss = add(loss, l4_penalty(tape, space_.decode(arch)));
  return {loss, cross_entropy, outputs.value().slice(rows - batch, rows).clone()};
}

}  // namespace enas
