// What follows the products of ops/cell_input.h, f32.
#include "ops/cell_rows.h"

namespace enas::ENAS_ISA_NAMESPACE {

// dx (+)= tile * mask; the mask may be null. Rows of the tile lie `stride` apart, of the others n.
void masked_tile(const float* tile, int64_t stride, const float* mask, float* dx, bool add,
                 int64_t rows, int64_t columns, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, tile += stride, dx += n) {
    const float* const factor = mask != nullptr ? mask + r * n : nullptr;
    each_block(columns, [=](int64_t i, auto& at) {
      auto v = at.get(tile + i);
      if (factor != nullptr) v *= at.get(factor + i);
      at.put(dx + i, add ? at.get(dx + i) + v : v);
    });
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
