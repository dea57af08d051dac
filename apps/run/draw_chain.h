// A chain's skips as tracks: a track is a line beside the chain, from one source past its readers.
#pragma once
#include <vector>

#include "apps/run/draw.h"

namespace enas {

struct ChainTrack {
  int source = 0;
  std::vector<int> readers = {};  // ascending, from source + 2 on
  bool faint = false;
  bool right = true;  // the side of the chain
  int lane = 0;       // from 0, the one next to the boxes
  int end() const { return readers.back(); }
};

// Short tracks lie inside, on the side where they come closer to the boxes; those of one lane do
// not overlap. By source. Errors as to_svg.
std::vector<ChainTrack> chain_tracks(const Drawing& drawing);

}  // namespace enas
