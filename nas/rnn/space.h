// The recurrent-cell space: node 0 reads the input and the carried state with a fixed tanh; each of
// nodes 1..N picks an earlier node and an activation. Source: ENAS.md section 1.2; text form:
// INTERFACE.md "Architecture text".
#pragma once
#include <string>
#include <vector>

#include "nas/architecture.h"
#include "ops/activation.h"

namespace enas {

// Decoded choices: what a child loops over.
struct RnnCell {
  struct Node {
    int previous;  // 0 .. its own number - 1
    Activation activation;
  };
  std::vector<Node> nodes;  // nodes[i] is node i + 1
  std::vector<int>
      loose_ends;  // nodes that no node reads, ascending: their mean is the cell's output
};

class RnnSpace {
 public:
  static constexpr int kMostNodes = 64;
  // nodes: computed nodes after node 0, 1 to 64.
  explicit RnnSpace(int nodes);

  int nodes() const { return nodes_; }
  int operations() const { return kActivations; }
  // Index, then activation for each node; candidate 0 has a zero anchor and a zero key.
  DecisionList decisions(const PolicyShape& shape) const;
  // "previous activation" a node, e.g. "0 2 1 0". Refuses (usage) wrong counts and values, naming
  // the first bad token.
  Architecture parse(const std::string& text) const;
  std::string to_string(const Architecture& arch) const;
  // "1: sigmoid of node 0; 2: tanh of node 1; output: mean of nodes 7, 8".
  std::string to_words(const Architecture& arch) const;
  RnnCell decode(const Architecture& arch) const;  // refuses (usage) what is not of this space
  // Exact number of architectures, N! 4^N, as a decimal text.
  std::string count() const;
  // The cell published with the corrected code (8 nodes after node 0).
  static const char* published() { return "0 2 1 0 2 1 2 2 4 0 5 0 3 2 6 2"; }

 private:
  int nodes_;
};
static_assert(Space<RnnSpace>);

// Number of nodes that a text of pairs describes; refuses (usage) an odd or empty list.
int rnn_nodes_of(const std::string& text);

}  // namespace enas
