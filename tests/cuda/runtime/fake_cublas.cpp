// A cuBLAS of plain loops as a shared library: column-major, as the real one's interface. What it
// was told is left in variables that the test finds by name.
#include <cstddef>
#include <cstdlib>

extern "C" {

int fake_math_mode = -1;
void* fake_workspace = nullptr;
size_t fake_workspace_bytes = 0;
int fake_status = 0;  // of the next product

int cublasGetProperty(int which, int* value) {
  const char* major = std::getenv("FAKE_CUBLAS_MAJOR");
  *value = which == 0 ? std::atoi(major != nullptr ? major : "0") : which;
  return 0;
}
int cublasCreate_v2(void** handle) {
  *handle = &fake_math_mode;
  return 0;
}
int cublasSetStream_v2(void*, void*) {
  fake_workspace = nullptr;
  return 0;
}
int cublasSetWorkspace_v2(void*, void* workspace, size_t bytes) {
  fake_workspace = workspace;
  fake_workspace_bytes = bytes;
  return 0;
}
int cublasSetMathMode(void*, int mode) {
  fake_math_mode = mode;
  return 0;
}
const char* cublasGetStatusString(int) { return "words of the fake"; }
}

namespace {

template <class T>
int product(int trans_a, int trans_b, int m, int n, int k, const T* alpha, const T* a, int lda,
            const T* b, int ldb, const T* beta, T* c, int ldc) {
  if (fake_status != 0) return fake_status;
  if (lda < (trans_a ? k : m) || ldb < (trans_b ? n : k) || ldc < m) return 7;
  for (int j = 0; j < n; ++j) {
    for (int i = 0; i < m; ++i) {
      T sum = 0;
      for (int l = 0; l < k; ++l)
        sum += (trans_a ? a[l + i * lda] : a[i + l * lda]) *
               (trans_b ? b[j + l * ldb] : b[l + j * ldb]);
      T& out = c[i + j * ldc];
      out = *alpha * sum + (*beta == T{0} ? T{0} : *beta * out);
    }
  }
  return 0;
}

}  // namespace

extern "C" int cublasSgemm_v2(void*, int ta, int tb, int m, int n, int k, const float* alpha,
                              const float* a, int lda, const float* b, int ldb, const float* beta,
                              float* c, int ldc) {
  return product(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
extern "C" int cublasDgemm_v2(void*, int ta, int tb, int m, int n, int k, const double* alpha,
                              const double* a, int lda, const double* b, int ldb,
                              const double* beta, double* c, int ldc) {
  return product(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
