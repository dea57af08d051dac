// Gate kernels of ops/highway_cell.h, f32.
#include "ops/cell_rows.h"

namespace enas::ENAS_ISA_NAMESPACE {

void highway_gates(Activation f, const float* s, float* z, float* y, int64_t rows, int64_t n) {
  highway_rows(f, s, z, y, rows, n);
}

// From a tile of the product: h `columns` wide, t `next_part` behind it, rows `stride` apart.
// carry, y and z are of rows of n, n and 2n numbers; z may be null.
void highway_gates_tile(Activation activation, const float* tile, int64_t stride, int64_t next_part,
                        const float* carry, float* z, float* y, int64_t rows, int64_t columns,
                        int64_t n) {
  visit_activation(activation, [=](auto f) {
    for (int64_t r = 0; r < rows; ++r) {
      const float *h = tile + r * stride, *t = h + next_part, *s = carry + r * n;
      float *z_row = z != nullptr ? z + 2 * r * n : nullptr, *y_row = y + r * n;
      each_block(columns,
                 [=](int64_t i, auto& at) { highway_from(f, s, h, t, z_row, y_row, n, i, at); });
    }
  });
}

void highway_gates_back(Activation f, const float* gates, const float* s, const float* dy,
                        float* dz, float* ds, bool add, int64_t rows, int64_t n) {
  highway_rows_backward(f, gates, s, dy, dz, ds, add, rows, n);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
