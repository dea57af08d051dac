// cuBLAS behind dlopen. Same bits in every run on one card: one stream, a workspace of our own, no
// atomics (cuBLAS's default).
#include "cuda/blas.h"

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cuda/library.h"
#include "cuda/runtime.h"
#include "cuda/stream.h"
#include "tensor/check.h"
#include "tensor/device.h"

namespace enas::cuda {
namespace {

constexpr size_t kWorkspace = size_t{32} << 20;  // what NVIDIA advises for sm_90

// The functions that we use, by the names that the header gives them.
struct Functions {
  decltype(&cublasGetProperty) get_property = nullptr;
  decltype(&cublasCreate_v2) create = nullptr;
  decltype(&cublasSetStream_v2) set_stream = nullptr;
  decltype(&cublasSetWorkspace_v2) set_workspace = nullptr;
  decltype(&cublasSetMathMode) set_math_mode = nullptr;
  decltype(&cublasGetStatusString) status_string = nullptr;
  decltype(&cublasSgemm_v2) sgemm = nullptr;
  decltype(&cublasDgemm_v2) dgemm = nullptr;

  int property(libraryPropertyType which) const {
    int value = 0;
    return get_property(which, &value) == CUBLAS_STATUS_SUCCESS ? value : -1;
  }
};

constexpr const char* kAdvice =
    "; install the CUDA toolkit's cuBLAS, or set ENAS_CUBLAS to its file, or LD_LIBRARY_PATH to "
    "its folder";

// Fills `found`; what is wrong in words, or nothing.
std::string find_functions(Functions& found) {
  const std::string wanted = "cuBLAS " + std::to_string(CUBLAS_VER_MAJOR);
  std::string why;
  void* library = open_library(blas_files(CUBLAS_VER_MAJOR), why);
  if (library == nullptr) return wanted + " was not found: " + why + kAdvice;
  std::string missing;
  const auto find = [&](auto& function, const char* name) {
    void* address = find_function(library, name);
    if (address == nullptr && missing.empty()) missing = name;
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
  };
  find(found.get_property, "cublasGetProperty");
  find(found.create, "cublasCreate_v2");
  find(found.set_stream, "cublasSetStream_v2");
  find(found.set_workspace, "cublasSetWorkspace_v2");
  find(found.set_math_mode, "cublasSetMathMode");
  find(found.status_string, "cublasGetStatusString");
  find(found.sgemm, "cublasSgemm_v2");
  find(found.dgemm, "cublasDgemm_v2");
  if (!missing.empty()) return wanted + " was opened, but has no " + missing + kAdvice;
  const int major = found.property(MAJOR_VERSION);
  if (major != CUBLAS_VER_MAJOR)
    return wanted + " is what this build was compiled for; version " + std::to_string(major) +
           " was found" + kAdvice;
  return "";
}

Math math_at_start() {
  const char* wish = std::getenv("ENAS_CUDA_MATH");
  const std::string_view text = wish != nullptr ? wish : "";
  if (text == "tf32") return Math::tf32;
  check(text.empty() || text == "f32", ErrorKind::usage, "ENAS_CUDA_MATH", "is '", text,
        "'; it takes f32 or tf32");
  return Math::f32;
}
Math& chosen_math() {
  static Math kept = math_at_start();
  return kept;
}

// Counting only it is an address, so that the bytes are those of a run.
void* workspace() {
  if (counting()) {
    static void* const counted = allocate(kWorkspace);
    return counted;
  }
  static void* const kept = allocate(kWorkspace);
  return kept;
}

struct Blas {
  Functions call;
  cublasHandle_t handle = nullptr;
  Math math = Math::f32;
};

void check_blas(const Blas& blas, cublasStatus_t status, const char* where) {
  if (status == CUBLAS_STATUS_SUCCESS) [[likely]]
    return;
  const bool memory = status == CUBLAS_STATUS_ALLOC_FAILED;
  fail(memory ? ErrorKind::memory : ErrorKind::device, where, "cuBLAS answered ",
       blas.call.status_string(status),
       memory ? "; try a smaller --batch or a smaller network" : "");
}

Blas* start() {
  auto* made = new Blas;
  const std::string why = find_functions(made->call);
  check(why.empty(), ErrorKind::device, "cublas", why);
  const cudaStream_t queue = stream();  // first: it makes the context
  check_blas(*made, made->call.create(&made->handle), "cublas");
  check_blas(*made, made->call.set_stream(made->handle, queue), "cublas");  // resets the workspace
  check_blas(*made, made->call.set_workspace(made->handle, workspace(), kWorkspace), "cublas");
  check_blas(*made, made->call.set_math_mode(made->handle, CUBLAS_DEFAULT_MATH), "cublas");
  return made;
}

Blas& blas() {
  static Blas* const kept = start();
  if (kept->math != chosen_math()) {
    kept->math = chosen_math();
    check_blas(
        *kept,
        kept->call.set_math_mode(kept->handle, kept->math == Math::tf32 ? CUBLAS_TF32_TENSOR_OP_MATH
                                                                        : CUBLAS_DEFAULT_MATH),
        "cublas");
  }
  return *kept;
}

// cuBLAS takes 32-bit sizes. A row stride shorter than a row is legal where there is one row.
int narrow(const char* op, int64_t value) {
  check(value >= 0 && value <= INT_MAX, op, "a matrix product of size or stride ", value,
        " is beyond cuBLAS's 32 bits");
  return static_cast<int>(value);
}
int stride(const char* op, int64_t given, int64_t columns, int64_t rows) {
  check(given >= columns || rows <= 1, op, "rows of ", columns, " elements lie ", given, " apart");
  return narrow(op, std::max(given, columns));
}

template <class T>
void zero_rows(const char* op, int64_t m, int64_t n, T* c, int64_t ldc) {
  if (counting()) return;
  check_cuda(
      cudaMemset2DAsync(c, static_cast<size_t>(std::max(ldc, n)) * sizeof(T), 0,
                        static_cast<size_t>(n) * sizeof(T), static_cast<size_t>(m), stream()),
      op);
}

}  // namespace

// Row-major C = A B is column-major C' = B' A', with the same memory read as the transposes.
template <class T>
void gemm(const char* op, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
          const T* a, int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (beta == T{0}) zero_rows(op, m, n, c, ldc);
    return;
  }
  const int rows = narrow(op, m), columns = narrow(op, n), inner = narrow(op, k);
  const int a_stride = transpose_a ? stride(op, lda, m, k) : stride(op, lda, k, m);
  const int b_stride = transpose_b ? stride(op, ldb, k, n) : stride(op, ldb, n, k);
  const int c_stride = stride(op, ldc, n, m);
  ++counters().gemms;
  counters().flops +=
      2 * static_cast<uint64_t>(m) * static_cast<uint64_t>(n) * static_cast<uint64_t>(k);
  counters().gemm_bytes += gemm_bytes<T>(m, n, k);
  if (!begin_launch(op)) {
    workspace();
    return;
  }
  Blas& with = blas();
  const T one{1};
  const auto first = transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
             second = transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  cublasStatus_t status;
  if constexpr (sizeof(T) == sizeof(float)) {
    status = with.call.sgemm(with.handle, first, second, columns, rows, inner, &one, b, b_stride, a,
                             a_stride, &beta, c, c_stride);
  } else {
    status = with.call.dgemm(with.handle, first, second, columns, rows, inner, &one, b, b_stride, a,
                             a_stride, &beta, c, c_stride);
  }
  check_blas(with, status, op);
  check_launch(op);
}

template void gemm(const char*, bool, bool, int64_t, int64_t, int64_t, const float*, int64_t,
                   const float*, int64_t, float, float*, int64_t);
template void gemm(const char*, bool, bool, int64_t, int64_t, int64_t, const double*, int64_t,
                   const double*, int64_t, double, double*, int64_t);

void set_math(Math wanted) { chosen_math() = wanted; }
Math math() { return chosen_math(); }

std::string blas_unavailable() {
  Functions functions;
  return counting() ? "" : find_functions(functions);
}

std::string blas_name() {
  const char* arithmetic = math() == Math::tf32 ? "tf32" : "f32";
  if (counting()) return std::string("no cuBLAS: products are counted, not run; ") + arithmetic;
  Functions functions;
  const std::string why = find_functions(functions);
  if (!why.empty()) return "cuBLAS is absent";
  return "cuBLAS " + std::to_string(functions.property(MAJOR_VERSION)) + "." +
         std::to_string(functions.property(MINOR_VERSION)) + "." +
         std::to_string(functions.property(PATCH_LEVEL)) + ", " + arithmetic + ", workspace " +
         std::to_string(kWorkspace >> 20) + " MiB";
}

}  // namespace enas::cuda
