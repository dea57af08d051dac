// Gate kernels of ops/lstm_cell.h, f32.
#include "ops/cell_rows.h"

namespace enas::ENAS_ISA_NAMESPACE {

void lstm_gates(const float* c, float* z, float* h_next, float* c_next, int64_t rows, int64_t n) {
  lstm_rows(c, z, h_next, c_next, rows, n);
}

void lstm_gates_back(const float* gates, const float* c, const float* c_next, const float* dh,
                     const float* dc_next, float* dz, float* dc, bool add, int64_t rows,
                     int64_t n) {
  lstm_rows_backward(gates, c, c_next, dh, dc_next, dz, dc, add, rows, n);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
