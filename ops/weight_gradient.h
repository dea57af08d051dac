// The weight gradient of every op that multiplies rows by a weight, dw = sum over uses of a^T b:
// shared by matmul and the recurrent cells, so that all uses of a weight in a window meet in one
// list. Internal to ops/.
#pragma once
#include <span>

#include "autograd/tape.h"

namespace enas {

// Rows that BLAS multiplies at once, in f64: the stack still lies in cache, and passes over dw are
// few. In f32 the whole list is one product (tensor/stacked_gemm.h).
constexpr int64_t kStackRows = 128;
// Uses with at most this many rows wait for the others of their window; larger ones gain nothing
// by waiting and would only keep their tensors alive.
constexpr int64_t kWaitingRows = 512;
// On a GPU the whole window is one product, whatever its length: a product of 128 rows fills a
// small part of the machine. Uses with more rows than this fill it alone.
constexpr int64_t kWaitingRowsCuda = 512;

// dw [K, N] gets a^T b of a [rows, K], b [rows, N]: left for the end of the window where rows are
// few, else at once.
void contribute_rows(Grad& dw, const Tensor& a, const Tensor& b);

// The flush of contribute_rows. Small blocks are stacked, in order of recording, and multiplied
// together: one pass over dw for many steps.
void flush_rows(std::span<const Contribution> list, Grad& dw);

namespace cpu {
void weight_gradient(Tensor& dw, std::span<const Contribution> list, Into into);
}  // namespace cpu
namespace cuda {
void weight_gradient(Tensor& dw, std::span<const Contribution> list, Into into);
}  // namespace cuda

}  // namespace enas
