#include "tensor/blas.h"

#include <cblas.h>

#include <algorithm>

#include "tensor/thread_pool.h"

namespace enas {
namespace {

// Once, before the first product: threads of its own would change bits and fight with the pool.
void pin_to_one_thread() {
  static const bool pinned = [] {
    openblas_set_num_threads(1);
    return true;
  }();
  (void)pinned;
}

void call(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const float* a, int lda,
          const float* b, int ldb, float beta, float* c, int ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1.0f, a, lda, b, ldb, beta, c, ldc);
}
void call(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const double* a, int lda,
          const double* b, int ldb, double beta, double* c, int ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1.0, a, lda, b, ldb, beta, c, ldc);
}

// Tiles of C: enough of them to share out, none so small that packing dominates. Borders are
// multiples of 16.
struct Tiles {
  int64_t rows, columns;  // extents of a tile
};
Tiles tiles_of(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t kWorth = int64_t{1} << 20;  // multiply-adds: some 20 us
  constexpr int64_t kMost = 16;
  const int64_t wanted = std::clamp<int64_t>(m * n / 16 * k / (kWorth / 16), 1, kMost);
  const auto cut = [](int64_t extent, int64_t pieces) {
    return std::max<int64_t>(((extent + pieces - 1) / pieces + 15) / 16 * 16, 16);
  };
  // The longer side is cut first; a side is never cut below 64.
  const int64_t along_n = n >= m ? std::min(wanted, std::max<int64_t>(n / 64, 1)) : 1;
  const int64_t along_m = std::min((wanted + along_n - 1) / along_n, std::max<int64_t>(m / 64, 1));
  return {cut(m, along_m), cut(n, along_n)};
}

}  // namespace

template <class T>
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const T* a,
          int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  pin_to_one_thread();
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (int64_t i = 0; beta == T{0} && i < m; ++i) std::fill_n(c + i * ldc, n, T{0});
    return;
  }
  const auto ta = transpose_a ? CblasTrans : CblasNoTrans,
             tb = transpose_b ? CblasTrans : CblasNoTrans;
  const Tiles tile = tiles_of(m, n, k);
  const int64_t across = (n + tile.columns - 1) / tile.columns,
                down = (m + tile.rows - 1) / tile.rows;
  parallel_chunks(static_cast<int>(across * down), [&](int chunk) {
    const int64_t i = chunk / across * tile.rows, j = chunk % across * tile.columns;
    const int64_t rows = std::min(tile.rows, m - i), columns = std::min(tile.columns, n - j);
    call(ta, tb, static_cast<int>(rows), static_cast<int>(columns), static_cast<int>(k),
         a + (transpose_a ? i : i * lda), static_cast<int>(lda), b + (transpose_b ? j * ldb : j),
         static_cast<int>(ldb), beta, c + i * ldc + j, static_cast<int>(ldc));
  });
}

template void gemm<float>(bool, bool, int64_t, int64_t, int64_t, const float*, int64_t,
                          const float*, int64_t, float, float*, int64_t);
template void gemm<double>(bool, bool, int64_t, int64_t, int64_t, const double*, int64_t,
                           const double*, int64_t, double, double*, int64_t);

std::string blas_name() {
  return std::string(openblas_get_config()) + " " + openblas_get_corename();
}

}  // namespace enas
