// How the columns of a packed operand are cut into panels (tensor/packed_gemm.h,
// tensor/stacked_gemm.h).
#pragma once
#include <algorithm>
#include <cstdint>

#include "tensor/isa.h"

namespace enas {

ISA_SELECT(packed_gemm_geometry, void(int* width, int* vectors));

// Vectors of columns, shared out to panels of nearly equal width: a last one of a single vector
// would run at half the rate. With `parts` a panel has the same columns of each of that many
// matrices side by side, and all numbers here are of one of them.
struct Panels {
  explicit Panels(int64_t n, int64_t parts = 1) : columns(n / parts) {
    int floats = 0, most = 0;
    packed_gemm_geometry(&floats, &most);
    width = floats / parts;
    total = (columns + width - 1) / width;
    count = (total + most - 1) / most;
  }
  int64_t first(int64_t p) const { return total * p / count * width; }  // column
  int64_t padded(int64_t p) const { return first(p + 1) - first(p); }
  int64_t used(int64_t p) const { return std::min(padded(p), columns - first(p)); }
  int64_t columns, width, total, count;
};

}  // namespace enas
