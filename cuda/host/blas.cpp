// Matrix products of cuda/blas.h on the CPU: plain loops, as the reference of kernels.
#include "cuda/blas.h"

#include <mutex>
#include <vector>

#include "cuda/host/memory.h"
#include "cuda/runtime.h"
#include "tensor/check.h"

namespace enas::cuda {
namespace {
Math chosen = Math::f32;
}

template <class T>
void gemm(const char* op, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
          const T* a, int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  const std::lock_guard lock(host::runtime_mutex());
  check(lda >= (transpose_a ? m : k) && ldb >= (transpose_b ? k : n) && ldc >= n, op, "rows of ",
        lda, ", ", ldb, " and ", ldc, " elements are too short for ", m, " x ", n, " x ", k);
  ++counters().gemms;
  counters().flops += 2 * static_cast<uint64_t>(m * n * k);
  counters().gemm_bytes += gemm_bytes<T>(m, n, k);
  if (!begin_launch(op)) return;
  a = host::on_host(a);
  b = host::on_host(b);
  c = host::on_host(c);
  std::vector<T> row(static_cast<size_t>(n));
  for (int64_t i = 0; i < m; ++i) {
    std::fill(row.begin(), row.end(), T{0});
    for (int64_t l = 0; l < k; ++l) {
      const T left = transpose_a ? a[l * lda + i] : a[i * lda + l];
      for (int64_t j = 0; j < n; ++j) {
        row[static_cast<size_t>(j)] += left * (transpose_b ? b[j * ldb + l] : b[l * ldb + j]);
      }
    }
    for (int64_t j = 0; j < n; ++j) {
      T& out = c[i * ldc + j];
      out = row[static_cast<size_t>(j)] + (beta == T{0} ? T{0} : beta * out);
    }
  }
  host::memory().check_guards(op);
}
template void gemm<float>(const char*, bool, bool, int64_t, int64_t, int64_t, const float*, int64_t,
                          const float*, int64_t, float, float*, int64_t);
template void gemm<double>(const char*, bool, bool, int64_t, int64_t, int64_t, const double*,
                           int64_t, const double*, int64_t, double, double*, int64_t);

void set_math(Math math) { chosen = math; }
Math math() { return chosen; }
std::string blas_unavailable() { return ""; }
std::string blas_name() { return "plain loops on the CPU"; }

}  // namespace enas::cuda
