#include "nas/rnn/space.h"

#include "nas/architecture_text.h"

namespace enas {
namespace {

constexpr const char* kOfficialPrefix = "enas1:";
// The official program swaps 2 and 3 (docs/method.md 1.2); its own inverse.
int32_t swap_ids(int32_t id) { return id == 2 ? 3 : id == 3 ? 2 : id; }

}  // namespace

RnnSpace::RnnSpace(int nodes, bool searched_first)
    : nodes_(nodes), searched_first_(searched_first) {
  check(nodes >= 1 && nodes <= kMostNodes, ErrorKind::usage, "recurrent space",
        "nodes must be 1 to ", kMostNodes, ", got ", nodes);
}

DecisionList RnnSpace::decisions(const PolicyShape& shape) const {
  DecisionList list;
  list.zero_anchors = 1;
  Decision activation;
  activation.kind = Decision::Kind::op;
  activation.count = kActivations;
  activation.temperature = shape.temperature;
  activation.tanh_constant = shape.tanh_constant;
  if (searched_first_) list.steps.push_back(activation);
  for (int node = 1; node <= nodes_; ++node) {
    Decision index = activation;
    index.kind = Decision::Kind::index;
    index.count = node;
    index.input = list.steps.empty() ? Decision::From::start : Decision::From::embedding;
    index.distance_bias = shape.distance_bias;
    index.leaves_anchor = true;
    list.steps.push_back(index);
    activation.input = Decision::From::anchor;
    list.steps.push_back(activation);
  }
  return list;
}

Architecture RnnSpace::parse(const std::string& text) const {
  const ArchitectureTokens tokens = tokens_of(text, kOfficialPrefix);
  check(tokens.prefixed || !searched_first_, ErrorKind::usage, "architecture",
        "this space searches node 0's activation: expected the form '", kOfficialPrefix,
        " f0 (previous activation)*'");
  const size_t lead = tokens.prefixed ? 1 : 0, want = lead + 2 * static_cast<size_t>(nodes_);
  Architecture arch;
  for (size_t i = 0; i < tokens.words.size(); ++i) {
    const std::string& word = tokens.words[i];
    check(i < want, ErrorKind::usage, "architecture", "token ", i + 1, " '", word,
          "' is too many: ", nodes_, " nodes take ", want, " integers, found ",
          tokens.words.size());
    const bool previous = i >= lead && (i - lead) % 2 == 0;
    const int node = i < lead ? 0 : static_cast<int>((i - lead) / 2) + 1;
    const std::string what =
        (previous ? "previous node" : "activation") + (" of node " + std::to_string(node));
    const int32_t value = parse_token(word, i + 1, what, previous ? node - 1 : kActivations - 1);
    const int32_t own = previous || !tokens.prefixed ? value : swap_ids(value);
    check(i >= lead || searched_first_ || own == 0, ErrorKind::usage, "architecture", "token 1 '",
          word, "': a first activation other than tanh needs --parity node0-searched");
    if (i >= lead || searched_first_) arch.choices.push_back(own);
  }
  check(tokens.words.size() == want, ErrorKind::usage, "architecture", "found ",
        tokens.words.size(), " integers, expected ", want,
        " (previous node and activation of each of ", nodes_, " nodes",
        lead ? ", after the first activation" : "", "); see --nodes");
  return arch;
}

std::string RnnSpace::to_string(const Architecture& arch) const {
  std::string text = searched_first_ ? kOfficialPrefix : "";
  for (size_t i = 0; i < arch.choices.size(); ++i) {
    // With a searched first node activations stand at even places, else at odd ones.
    const bool activation = i % 2 == (searched_first_ ? 0 : 1);
    const int32_t value =
        activation && searched_first_ ? swap_ids(arch.choices[i]) : arch.choices[i];
    text += (text.empty() ? "" : " ") + std::to_string(value);
  }
  return text;
}

RnnCell RnnSpace::decode(const Architecture& arch) const {
  const size_t lead = searched_first_ ? 1 : 0, want = lead + 2 * static_cast<size_t>(nodes_);
  check(arch.choices.size() == want, ErrorKind::usage, "architecture", "has ", arch.choices.size(),
        " integers, expected ", want);
  RnnCell cell;
  if (searched_first_) {
    check(arch.choices[0] >= 0 && arch.choices[0] < kActivations, ErrorKind::usage, "architecture",
          "node 0 cannot have activation ", arch.choices[0]);
    cell.first = static_cast<Activation>(arch.choices[0]);
  }
  std::vector<bool> used(static_cast<size_t>(nodes_) + 1, false);
  for (int node = 1; node <= nodes_; ++node) {
    const size_t at = lead + 2 * static_cast<size_t>(node) - 2;
    const int32_t previous = arch.choices[at], activation = arch.choices[at + 1];
    check(previous >= 0 && previous < node && activation >= 0 && activation < kActivations,
          ErrorKind::usage, "architecture", "node ", node, " cannot have input ", previous,
          " and activation ", activation);
    used[static_cast<size_t>(previous)] = true;
    cell.nodes.push_back({previous, static_cast<Activation>(activation)});
  }
  for (int node = 0; node <= nodes_; ++node) {
    if (!used[static_cast<size_t>(node)]) cell.loose_ends.push_back(node);
  }
  return cell;
}

std::string RnnSpace::to_words(const Architecture& arch) const {
  const RnnCell cell = decode(arch);
  std::string text;
  if (searched_first_) text += "0: " + std::string(name_of(cell.first)) + " of x and h; ";
  for (size_t i = 0; i < cell.nodes.size(); ++i) {
    text += std::to_string(i + 1) + ": " + std::string(name_of(cell.nodes[i].activation)) +
            " of node " + std::to_string(cell.nodes[i].previous) + "; ";
  }
  text += cell.loose_ends.size() > 1 ? "output: mean of nodes" : "output: node";
  for (size_t i = 0; i < cell.loose_ends.size(); ++i) {
    text += (i ? ", " : " ") + std::to_string(cell.loose_ends[i]);
  }
  return text;
}

std::string RnnSpace::count() const {
  Decimal number;
  for (int node = 1; node <= nodes_; ++node) number.multiply(node * kActivations);
  if (searched_first_) number.multiply(kActivations);
  return number.text();
}

std::string RnnSpace::paper_count() const {
  Decimal number;
  for (int node = 1; node <= nodes_ + 1; ++node) number.multiply(node * kActivations);
  return number.text();
}

RnnSpace rnn_space_of(const std::string& text) {
  const ArchitectureTokens tokens = tokens_of(text, kOfficialPrefix);
  const size_t count = tokens.words.size(), lead = tokens.prefixed ? 1 : 0;
  check(count > lead && (count - lead) % 2 == 0, ErrorKind::usage, "architecture", "found ", count,
        " integers, expected previous node and activation of each node",
        lead ? " after the first activation" : "");
  const bool searched = tokens.prefixed && tokens.words[0] != "0";
  return RnnSpace(static_cast<int>((count - lead) / 2), searched);
}

}  // namespace enas
