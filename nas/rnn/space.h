// The recurrent-cell space: node 0 reads the input and the carried state with a fixed tanh; each of
// nodes 1..N picks an earlier node and an activation. Source: the paper, section 2.1;
// docs/method.md section 1.2; text form: docs/interface.md "Architecture text".
#pragma once
#include <string>
#include <vector>

#include "nas/architecture.h"
#include "ops/activation.h"

namespace enas {

// Decoded choices: what a child loops over.
struct RnnCell {
  Activation first = Activation::tanh;  // of node 0
  struct Node {
    int previous;  // 0 .. its own number - 1
    Activation activation;
  };
  std::vector<Node> nodes;  // nodes[i] is node i + 1
  // Nodes that no node reads, ascending: their mean is the cell's output.
  std::vector<int> loose_ends;
};

class RnnSpace {
 public:
  static constexpr int kMostNodes = 64;
  // nodes: computed nodes after node 0, 1 to 64. searched_first: node 0's activation is the first
  // choice (parity switch node0-searched, the paper's own space); its texts carry the prefix enas1:
  // and the official activation ids.
  explicit RnnSpace(int nodes, bool searched_first = false);

  int nodes() const { return nodes_; }
  bool searched_first() const { return searched_first_; }
  int operations() const { return kActivations; }
  // Index, then activation for each node; candidate 0 has a zero anchor and a zero key.
  DecisionList decisions(const PolicyShape& shape) const;
  // "previous activation" a node, e.g. "0 2 1 0"; or "enas1: f0 (previous activation)*" with the
  // official ids (2 identity, 3 sigmoid), where f0 other than tanh needs searched_first. Refuses
  // (usage) wrong counts and values, naming the first bad token.
  Architecture parse(const std::string& text) const;
  std::string to_string(const Architecture& arch) const;
  // "1: sigmoid of node 0; 2: tanh of node 1; output: mean of nodes 7, 8".
  std::string to_words(const Architecture& arch) const;
  RnnCell decode(const Architecture& arch) const;  // refuses (usage) what is not of this space
  // Number of architectures as a decimal text: exact, N! 4^N (times 4 where node 0 is searched),
  // and by the paper's formula k^M M! with M = N + 1 nodes in all, which counts connections that
  // cannot be made.
  std::string count() const;
  std::string paper_count() const;
  // The cell published with the corrected code (8 nodes after node 0).
  static const char* published() { return "0 2 1 0 2 1 2 2 4 0 5 0 3 2 6 2"; }
  // The cell of the paper's own (withdrawn) program, 11 nodes after a searched node 0.
  static const char* published_official() {
    return "enas1: 0 0 0 1 1 2 1 2 0 2 0 5 1 1 0 6 1 8 1 8 1 8 1";
  }

 private:
  int nodes_;
  bool searched_first_;
};
static_assert(Space<RnnSpace>);

// The smallest space that a text belongs to: its number of nodes, and searched_first where it is of
// the enas1: form with a first activation other than tanh. Refuses (usage) a wrong number of
// integers.
RnnSpace rnn_space_of(const std::string& text);

}  // namespace enas
