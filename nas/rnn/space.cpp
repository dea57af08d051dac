#include "nas/rnn/space.h"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace enas {
namespace {

std::vector<std::string> tokens_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> tokens;
  for (std::string token; in >> token;) tokens.push_back(token);
  return tokens;
}

}  // namespace

RnnSpace::RnnSpace(int nodes) : nodes_(nodes) {
  check(nodes >= 1 && nodes <= kMostNodes, ErrorKind::usage, "recurrent space",
        "nodes must be 1 to ", kMostNodes, ", got ", nodes);
}

DecisionList RnnSpace::decisions(const PolicyShape& shape) const {
  DecisionList list;
  list.zero_anchors = 1;
  for (int node = 1; node <= nodes_; ++node) {
    Decision index;
    index.kind = Decision::Kind::index;
    index.count = node;
    index.input = node == 1 ? Decision::From::start : Decision::From::embedding;
    index.temperature = shape.temperature;
    index.tanh_constant = shape.tanh_constant;
    index.distance_bias = shape.distance_bias;
    index.leaves_anchor = true;
    Decision activation = index;
    activation.kind = Decision::Kind::op;
    activation.count = kActivations;
    activation.input = Decision::From::anchor;
    activation.distance_bias = 0;
    activation.leaves_anchor = false;
    list.steps.push_back(index);
    list.steps.push_back(activation);
  }
  return list;
}

Architecture RnnSpace::parse(const std::string& text) const {
  const std::vector<std::string> tokens = tokens_of(text);
  Architecture arch;
  for (size_t i = 0; i < tokens.size(); ++i) {
    int32_t value = -1;
    const auto [end, error] =
        std::from_chars(tokens[i].data(), tokens[i].data() + tokens[i].size(), value);
    const bool number = error == std::errc{} && end == tokens[i].data() + tokens[i].size();
    const int node = static_cast<int>(i / 2) + 1;
    const int most = i % 2 == 0 ? node - 1 : kActivations - 1;
    check(node <= nodes_, ErrorKind::usage, "architecture", "token ", i + 1, " '", tokens[i],
          "' is too many: --nodes ", nodes_, " takes ", 2 * nodes_, " integers, found ",
          tokens.size());
    check(number && value >= 0 && value <= most, ErrorKind::usage, "architecture", "token ", i + 1,
          " '", tokens[i], "' (", i % 2 == 0 ? "previous node" : "activation", " of node ", node,
          ") must be an integer 0 to ", most);
    arch.choices.push_back(value);
  }
  check(static_cast<int>(tokens.size()) == 2 * nodes_, ErrorKind::usage, "architecture", "found ",
        tokens.size(), " integers, expected ", 2 * nodes_, " (previous node and activation of ",
        nodes_, " nodes); see --nodes");
  return arch;
}

std::string RnnSpace::to_string(const Architecture& arch) const {
  std::string text;
  for (const int32_t choice : arch.choices)
    text += (text.empty() ? "" : " ") + std::to_string(choice);
  return text;
}

RnnCell RnnSpace::decode(const Architecture& arch) const {
  check(static_cast<int>(arch.choices.size()) == 2 * nodes_, ErrorKind::usage, "architecture",
        "has ", arch.choices.size(), " integers, expected ", 2 * nodes_);
  RnnCell cell;
  std::vector<bool> used(static_cast<size_t>(nodes_) + 1, false);
  for (int node = 1; node <= nodes_; ++node) {
    const int32_t previous = arch.choices[static_cast<size_t>(2 * node - 2)];
    const int32_t activation = arch.choices[static_cast<size_t>(2 * node - 1)];
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
  std::string digits = "1";  // least significant first
  for (int node = 1; node <= nodes_; ++node) {
    int carry = 0;
    for (char& digit : digits) {
      carry += (digit - '0') * node * kActivations;
      digit = static_cast<char>('0' + carry % 10);
      carry /= 10;
    }
    for (; carry > 0; carry /= 10) digits.push_back(static_cast<char>('0' + carry % 10));
  }
  std::reverse(digits.begin(), digits.end());
  return digits;
}

int rnn_nodes_of(const std::string& text) {
  const size_t tokens = tokens_of(text).size();
  check(tokens > 0 && tokens % 2 == 0, ErrorKind::usage, "architecture", "found ", tokens,
        " integers, expected a positive even number: previous node and activation of each node");
  return static_cast<int>(tokens / 2);
}

}  // namespace enas
