// The files of RUN/arch/ and what --arch accepts: a file (best.json, best.txt), the text itself, or
// `published`.
#pragma once
#include <string>
#include <vector>

#include "apps/run/draw.h"
#include "nas/derive.h"
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
// One architecture with its score, as best.json holds it.
std::string architecture_json(const RnnSpace& space, const Candidate& candidate, int64_t rank,
                              const CellCost& cost);
// best.json, best.txt, best.svg, best.dot, top.json (the first `top` of each group) and
// best-random.json of ranked candidates.
void write_architectures(const std::string& folder, const RnnSpace& space,
                         std::span<const Candidate> ranked, int64_t top, const CellCost& cost);
// The architecture's text. Refuses (kind usage) what is neither; the text itself is checked by
// RnnSpace::parse.
std::string architecture_text(const std::string& argument);

// The cell as a drawing: the chosen edges in colour over all edges of the space where `with_space`.
Drawing draw_cell(const RnnSpace& space, const Architecture& arch, bool with_space = false);

}  // namespace enas
