// Gate kernels of ops/highway_cell.h, f32.
#include "ops/cell_rows.h"

namespace enas::ENAS_ISA_NAMESPACE {

void highway_gates(Activation f, const float* s, float* z, float* y, int64_t rows, int64_t n) {
  highway_rows(f, s, z, y, rows, n);
}

void highway_gates_back(Activation f, const float* gates, const float* s, const float* dy,
                        float* dz, float* ds, bool add, int64_t rows, int64_t n) {
  highway_rows_backward(f, gates, s, dy, dz, ds, add, rows, n);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
