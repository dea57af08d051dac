// The macro space of convolutional networks: each of L layers picks an operation and, among the
// earlier tensors, the skips that it reads. Source: the paper, section 2.3; docs/method.md sections
// 2.1, 2.2 and 2.4; text form: docs/interface.md "Architecture text".
#pragma once
#include <string>
#include <vector>

#include "nas/architecture.h"

namespace enas {

// The ids of texts and embedding rows.
enum class MacroOp : uint8_t { conv3, sep3, conv5, sep5, avg_pool, max_pool };
inline constexpr int kMacroOps = 6;
const char* name_of(MacroOp op);  // "3x3 convolution"
inline bool is_pool(MacroOp op) { return op == MacroOp::avg_pool || op == MacroOp::max_pool; }
inline bool is_separable(MacroOp op) { return op == MacroOp::sep3 || op == MacroOp::sep5; }
inline int64_t kernel_of(MacroOp op) { return op == MacroOp::conv5 || op == MacroOp::sep5 ? 5 : 3; }

// Decoded choices: what a child loops over. Layer i (from 0) has i skip candidates: the stem and
// layers 0 .. i-2, or under `concat` layers 0 .. i-1.
struct MacroArch {
  struct Layer {
    MacroOp op;
    std::vector<bool> skips;  // candidate k chosen
  };
  std::vector<Layer> layers;
  // The MacroSpace::kStem or layer that candidate k of a layer is.
  static int source(int candidate, bool concat) { return concat ? candidate : candidate - 1; }
};

struct MacroSpaceOptions {
  bool concat_input = false;  // parity switch: a layer's op reads its chosen earlier layers
  bool anchor_shift = false;  // parity switch: candidate k is scored with the anchor of layer k
};

class MacroSpace {
 public:
  static constexpr int kMostLayers = 64;
  static constexpr int kStem = -1;
  explicit MacroSpace(int layers, const MacroSpaceOptions& options = {});

  int layers() const { return layers_; }
  bool concat_input() const { return options_.concat_input; }
  bool anchor_shift() const { return options_.anchor_shift; }
  int operations() const { return kMacroOps; }
  // C = 1.5, no temperature (docs/method.md section 2.2).
  static PolicyShape policy_shape() {
    return {.temperature = 1, .tanh_constant = 1.5, .distance_bias = 0};
  }
  // Operation, then the skips of each layer, all at once. A candidate's key is that of its own
  // layer; the stem's anchor is zero.
  DecisionList decisions(const PolicyShape& shape) const;
  // A layer's operation, then a bit a candidate: "3 0 0 0 1 0"; under concat_input behind the
  // prefix concat:. Refuses (usage) wrong counts, values and prefix, naming the first bad token.
  Architecture parse(const std::string& text) const;
  std::string to_string(const Architecture& arch) const;
  // "1: 3x3 separable convolution; 2: 5x5 convolution, skips from stem; ..." Layers count from 1.
  std::string to_words(const Architecture& arch) const;
  MacroArch decode(const Architecture& arch) const;  // refuses (usage) what is not of this space
  // Number of architectures as a decimal text: 6^L 2^(L (L-1) / 2), which is exact and the paper's.
  std::string count() const;
  std::string paper_count() const { return count(); }
  // The 24-layer network published with the official code.
  static const char* published();

 private:
  int layers_;
  MacroSpaceOptions options_;
};
static_assert(Space<MacroSpace>);

// The space that a text belongs to: its number of layers, concat_input by its prefix. Refuses
// (usage) a wrong number of integers.
MacroSpace macro_space_of(const std::string& text);

}  // namespace enas
