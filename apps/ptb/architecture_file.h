// A cell in texts, numbers and drawings.
#pragma once
#include <string>

#include "apps/run/draw.h"
#include "nas/rnn/child.h"

namespace enas {

// Parameters and multiply-adds a token of the stand-alone network of one architecture, tied table
// included.
struct CellCost {
  int64_t params = 0, macs = 0;
};
CellCost cost_of(const RnnSpace& space, const RnnChildOptions& options);
// Weights of the search network: every edge of the space.
int64_t shared_parameters(const RnnSpace& space, const RnnChildOptions& options);

// {"arch", "space", "nodes", "node0", "edges": [[from, to, activation]...], "loose_ends", "words"}.
std::string cell_json(const RnnSpace& space, const Architecture& arch);
// The text that --arch names: a file, the text itself, or `published`; RnnSpace::parse checks it.
std::string cell_text(const std::string& argument);

// The cell as a drawing: the chosen edges in colour over all edges of the space where `with_space`.
Drawing draw_cell(const RnnSpace& space, const Architecture& arch, bool with_space = false);

}  // namespace enas
