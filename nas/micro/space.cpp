#include "nas/micro/space.h"

#include <array>

#include "nas/architecture_text.h"

namespace enas {
namespace {

constexpr size_t kPerNode = 4;

// What integer number `at` of a text means.
struct Place {
  bool reduction;
  int node;     // from 2 on
  size_t part;  // in1 op1 in2 op2
  Place(size_t at, int nodes)
      : reduction(at / kPerNode >= static_cast<size_t>(nodes)),
        node(static_cast<int>(at / kPerNode) % nodes + 2),
        part(at % kPerNode) {}
  int most() const { return part % 2 == 0 ? node - 1 : kMicroOps - 1; }
  std::string meaning() const {
    constexpr std::array kParts = {"first input", "first operation", "second input",
                                   "second operation"};
    return kParts.at(part) + std::string(" of node ") + std::to_string(node) + " of the " +
           (reduction ? "reduction" : "normal") + " cell";
  }
};

// The order of a text from that of decisions (in1 in2 op1 op2), and back: the same exchange.
std::vector<int32_t> exchanged(std::vector<int32_t> integers) {
  for (size_t i = 0; i + kPerNode <= integers.size(); i += kPerNode)
    std::swap(integers[i + 1], integers[i + 2]);
  return integers;
}

size_t integers_of(int nodes) { return 2 * kPerNode * static_cast<size_t>(nodes); }

std::string words_of(const MicroCell& cell) {
  std::string text;
  const auto read = [](MicroOp op, int node) {
    return name_of(op) + std::string(" of ") + std::to_string(node);
  };
  for (size_t i = 0; i < cell.nodes.size(); ++i) {
    const MicroCell::Node& n = cell.nodes[i];
    text += std::to_string(i + 2) + ": " + read(n.op1, n.in1) + " + " + read(n.op2, n.in2) + "; ";
  }
  text += "output:";
  for (size_t i = 0; i < cell.loose_ends.size(); ++i)
    text += (i ? ", " : " ") + std::to_string(cell.loose_ends[i]);
  return text;
}

}  // namespace

const char* name_of(MicroOp op) {
  switch (op) {
    case MicroOp::sep3:
      return "3x3 separable convolution";
    case MicroOp::sep5:
      return "5x5 separable convolution";
    case MicroOp::avg_pool:
      return "3x3 average pool";
    case MicroOp::max_pool:
      return "3x3 max pool";
    case MicroOp::identity:
      return "identity";
  }
  return "";
}

MicroSpace::MicroSpace(int nodes) : nodes_(nodes) {
  check(nodes >= 1 && nodes <= kMostNodes, ErrorKind::usage, "micro space", "nodes must be 1 to ",
        kMostNodes, ", got ", nodes);
}

DecisionList MicroSpace::decisions(const PolicyShape& shape) const {
  using Kind = Decision::Kind;
  using From = Decision::From;
  DecisionList list;
  list.op_matrix = true;
  list.start_bias = {shape.start_bias, shape.start_bias, 0, 0, 0};
  int32_t first_anchor = 0;
  for (const bool reduction : {false, true}) {
    Decision step;
    step.kind = Kind::advance;
    step.leaves_anchor = step.zero_anchor = true;
    list.steps.insert(list.steps.end(), 2, step);
    for (int node = 2; node < nodes_ + 2; ++node) {
      Decision index;
      index.kind = Kind::index;
      index.count = node;
      index.first_anchor = first_anchor;
      index.temperature = shape.temperature;
      index.tanh_constant = shape.tanh_constant;
      index.distance_bias = shape.distance_bias;
      list.steps.push_back(index);
      index.input = From::bare_anchor;
      list.steps.push_back(index);
      Decision op;
      op.count = kMicroOps;
      op.input = From::bare_anchor;
      op.temperature = shape.temperature;
      op.tanh_constant = shape.tanh_constant / shape.op_reduce;
      op.favoured = 2;
      op.op_bias = reduction ? 0 : shape.op_bias;
      list.steps.push_back(op);
      op.input = From::embedding;
      list.steps.push_back(op);
      Decision leave;
      leave.kind = Kind::advance;
      leave.input = From::embedding;
      leave.leaves_anchor = true;
      list.steps.push_back(leave);
    }
    first_anchor += nodes_ + 2;
  }
  return list;
}

Architecture MicroSpace::parse(const std::string& text) const {
  const std::vector<std::string> words = tokens_of(text).words;
  const size_t want = integers_of(nodes_);
  std::vector<int32_t> integers;
  for (size_t i = 0; i < words.size(); ++i) {
    check(i < want, ErrorKind::usage, "architecture", "token ", i + 1, " '", words[i],
          "' is too many: two cells of ", nodes_, " nodes take ", want, " integers, found ",
          words.size());
    const Place place(i, nodes_);
    integers.push_back(parse_token(words[i], i + 1, place.meaning(), place.most()));
  }
  check(words.size() == want, ErrorKind::usage, "architecture", "found ", words.size(),
        " integers, expected ", want, " (in1 op1 in2 op2 of each of ", nodes_,
        " nodes, normal cell, then reduction cell); see --nodes");
  return {exchanged(std::move(integers))};
}

std::string MicroSpace::to_string(const Architecture& arch) const {
  std::string text;
  for (const int32_t integer : exchanged(arch.choices))
    text += (text.empty() ? "" : " ") + std::to_string(integer);
  return text;
}

MicroArch MicroSpace::decode(const Architecture& arch) const {
  const size_t want = integers_of(nodes_);
  check(arch.choices.size() == want, ErrorKind::usage, "architecture", "has ", arch.choices.size(),
        " integers, expected ", want);
  const std::vector<int32_t> integers = exchanged(arch.choices);
  for (size_t i = 0; i < want; ++i) {
    const Place place(i, nodes_);
    check(integers[i] >= 0 && integers[i] <= place.most(), ErrorKind::usage, "architecture",
          integers[i], " cannot be the ", place.meaning());
  }
  MicroArch decoded;
  const int32_t* at = integers.data();
  for (MicroCell* cell : {&decoded.normal, &decoded.reduction}) {
    std::vector<bool> read(static_cast<size_t>(nodes_) + 2, false);
    for (int node = 0; node < nodes_; ++node, at += kPerNode) {
      cell->nodes.push_back(
          {at[0], static_cast<MicroOp>(at[1]), at[2], static_cast<MicroOp>(at[3])});
      read[static_cast<size_t>(at[0])] = read[static_cast<size_t>(at[2])] = true;
    }
    for (int node = 0; node < nodes_ + 2; ++node)
      if (!read[static_cast<size_t>(node)]) cell->loose_ends.push_back(node);
  }
  return decoded;
}

std::string MicroSpace::to_words(const Architecture& arch) const {
  const MicroArch decoded = decode(arch);
  return "normal cell: " + words_of(decoded.normal) +
         "; reduction cell: " + words_of(decoded.reduction);
}

std::string MicroSpace::count() const {
  Decimal number;
  for (int node = 2; node < nodes_ + 2; ++node) number.multiply(node * kMicroOps, 4);
  return number.text();
}

std::string MicroSpace::paper_count() const {
  Decimal number;
  number.multiply(kMicroOps, 4);
  for (int factor = 2; factor <= nodes_; ++factor) number.multiply(factor, 4);
  return number.text();
}

MicroSpace micro_space_of(const std::string& text) {
  const size_t found = tokens_of(text).words.size(), a_node = 2 * kPerNode;
  check(found > 0 && found % a_node == 0 && found / a_node <= MicroSpace::kMostNodes,
        ErrorKind::usage, "architecture", "found ", found,
        " integers, expected in1 op1 in2 op2 of each node of two cells: a multiple of ", a_node);
  return MicroSpace(static_cast<int>(found / a_node));
}

}  // namespace enas
