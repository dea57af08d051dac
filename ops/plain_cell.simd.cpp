// Activations in place for ops/plain_cell.h, f32.
#include "ops/cell_rows.h"

namespace enas::ENAS_ISA_NAMESPACE {

void activation_in_place(Activation f, float* z, int64_t n) { activation_rows(f, z, n); }

void activation_back(Activation f, const float* y, const float* dy, float* dz, int64_t n) {
  activation_rows_backward(f, y, dy, dz, n);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
