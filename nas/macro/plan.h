// What of a macro network an architecture reaches. Stored tensors: 0 is the stem, k the output of
// layer k - 1. Source: docs/method.md sections 2.1 and 2.4, "macro skips", "macro input".
#pragma once
#include <string>
#include <vector>

#include "nas/macro/space.h"

namespace enas {

struct MacroPlan {
  struct Layer {
    bool reached = false;  // by the last layer; without concat_input always
    // The stored tensors it reads. First the op's input, then the skips; under concat_input those
    // that its 1x1 reads, the predecessor where none is chosen.
    std::vector<int> sources;
  };
  std::vector<Layer> layers;
  // Of each stored tensor the last layer that reads it: it is reduced until then. -1: none; the
  // head counts as layer number layers.size().
  std::vector<int> last_reader;

  // Whether the reduction after this layer takes the tensor along.
  bool reduces(int tensor, int layer) const {
    return last_reader[static_cast<size_t>(tensor)] > layer;
  }
};
MacroPlan macro_plan(const MacroArch& arch, bool concat_input);

// "stem", "layer.3": a stored tensor, as in the names of parameters.
std::string tensor_name(int tensor);

// Reductions stand after layers L/3 - 1 and 2 (L/3) - 1 (from 0); with fewer than 3 layers nowhere.
bool reduces_after(int layer, int layers);

}  // namespace enas
