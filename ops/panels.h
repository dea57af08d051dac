// The register-tile kernels that the convolutions share. A 1x1 over NHWC is one product of rows
// with a small matrix; a K x K over a zero-padded image is the same product: each row of the window
// is a run of K * C neighbouring floats. The matrix is packed into panels of a few vectors of
// columns, with all of its rows each.
//   multiply   c[r, :] (+)= sum over runs of a_run[r, 0..depth) B_run
//   outer      dw[i, :] (+)= sum over pixels of x[p, i] dy[p, :]
// f32, raw pointers; callers split over threads and keep blocks within the caches.
#pragma once
#include <cstdint>

#include "tensor/isa.h"

namespace enas {

// Row r of the product reads `depth` floats at a + r * stride. Without `a` they are zeros, as
// around an image: those rows of the matrix are passed over.
struct PanelRun {
  const float* a;
  int64_t stride, depth;
};
// Pixels of a gradient of weights, `rows` rows of `columns` pixels: pixel (r, p) reads x at
// x + r * x_row + p * x_pixel, and dy likewise.
struct PanelPixels {
  const float* x;
  int64_t x_pixel, x_row;
  const float* dy;
  int64_t dy_pixel, dy_row;
  int64_t rows, columns;
};

#ifdef ENAS_ISA_NAMESPACE
namespace ENAS_ISA_NAMESPACE {
void panels_geometry(int* width, int* vectors);
int64_t panels_fold(int64_t columns, int64_t depth);
void panels_multiply(const PanelRun* runs, int64_t count, int64_t rows, const float* panels,
                     int64_t columns, float* c, int64_t ldc, bool add);
void panels_outer(const PanelPixels& pixels, int64_t m, int64_t columns, float* dw, int64_t ldw,
                  bool add);
}  // namespace ENAS_ISA_NAMESPACE
#else

// Floats of a vector; vectors of a panel, at most.
ISA_SELECT(panels_geometry, void(int* width, int* vectors));
// Rows of a matrix of `depth` that share the vector of its columns past whole vectors: 4, 2 or 1.
ISA_SELECT(panels_fold, int64_t(int64_t columns, int64_t depth));
// c [rows x columns], ldc floats between rows, (+)= the runs' rows times the packed matrix, which
// holds the rows of all runs one after another. c must not overlap the runs. Per call some 100
// rows or what lies in the first cache.
ISA_SELECT(panels_multiply,
           void(const PanelRun* runs, int64_t count, int64_t rows, const float* panels,
                int64_t columns, float* c, int64_t ldc, bool add));
// dw [m x columns], ldw floats between rows, (+)= sum over pixels of x[0..m)^T dy[0..columns).
ISA_SELECT(panels_outer, void(const PanelPixels& pixels, int64_t m, int64_t columns, float* dw,
                              int64_t ldw, bool add));

// Floats that the panels of a [depth x columns] matrix take. Panels are for the instruction set
// that is chosen at the time: made and used within one call of an op.
int64_t panels_size(int64_t depth, int64_t columns);
// Packs rows [at, at + depth) of a matrix of `total` rows; its element (k, j) is
// w[(k - at) * row + j * column].
void panels_pack(const float* w, int64_t row, int64_t column, int64_t at, int64_t depth,
                 int64_t total, int64_t columns, float* panels);
#endif

}  // namespace enas
