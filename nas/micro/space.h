// The micro space of convolutional networks: a normal and a reduction cell. Nodes 0 and 1 are a
// cell's inputs (the output before the previous one, and the previous); each further node adds two
// operations, each on an earlier node. Source: the paper, section 2.4; docs/method.md sections 3.1
// and 3.3; text form: docs/interface.md "Architecture text".
#pragma once
#include <string>
#include <vector>

#include "nas/architecture.h"

namespace enas {

// The ids of texts and embedding rows.
enum class MicroOp : uint8_t { sep3, sep5, avg_pool, max_pool, identity };
inline constexpr int kMicroOps = 5;
const char* name_of(MicroOp op);  // "3x3 separable convolution"
inline bool is_separable(MicroOp op) { return op == MicroOp::sep3 || op == MicroOp::sep5; }
inline int64_t kernel_of(MicroOp op) { return op == MicroOp::sep5 ? 5 : 3; }

// Decoded choices: what a child loops over.
struct MicroCell {
  struct Node {
    int in1;  // in1, in2: earlier nodes
    MicroOp op1;
    int in2;
    MicroOp op2;
  };
  std::vector<Node> nodes;      // nodes[i] is node i + 2
  std::vector<int> loose_ends;  // nodes, inputs too, that no node reads, ascending
};
struct MicroArch {
  MicroCell normal, reduction;
};

class MicroSpace {
 public:
  static constexpr int kMostNodes = 32;
  // nodes: computed nodes a cell, 1 to 32.
  explicit MicroSpace(int nodes = 5);

  int nodes() const { return nodes_; }
  int operations() const { return kMicroOps; }
  // C = 1.1, of operations 1.1 / 2.5; no temperature; in the normal cell 0.25 for the separable
  // convolutions (docs/method.md section 3.3). start_bias 10 is the parity switch op-bias-10.
  static PolicyShape policy_shape() {
    return {.temperature = 1,
            .tanh_constant = 1.1,
            .distance_bias = 0,
            .op_reduce = 2.5,
            .op_bias = 0.25};
  }
  // Both inputs, then both operations of a node; the normal cell first.
  DecisionList decisions(const PolicyShape& shape) const;
  // "in1 op1 in2 op2" a node, normal cell then reduction cell, e.g. "0 2 0 0 1 4 2 1". Refuses
  // (usage) wrong counts and values, naming the first bad token.
  Architecture parse(const std::string& text) const;
  std::string to_string(const Architecture& arch) const;
  // "normal cell: 2: 3x3 average pool of node 0 + identity of node 1; output: nodes 2; ..."
  std::string to_words(const Architecture& arch) const;
  MicroArch decode(const Architecture& arch) const;  // refuses (usage) what is not of this space
  // Number of architectures as a decimal text: exact (ordered choices), and by the paper's formula
  // (5 (B - 2)!)^4 with B = nodes + 2, which counts one input and one operation a node.
  std::string count() const;
  std::string paper_count() const;
  // The cells published with the official code (5 nodes each).
  static const char* published() {
    return "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1";
  }

 private:
  int nodes_;
};
static_assert(Space<MicroSpace>);

// The space that a text belongs to, by its number of integers. Refuses (usage) a wrong one.
MicroSpace micro_space_of(const std::string& text);

}  // namespace enas
