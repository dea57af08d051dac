// The weight gradient of ops/weight_gradient.h: the rows of all uses are stacked by one kernel, a
// and b together, and ONE product makes dw, of 35 x B rows for a window of 35 steps.
#include "ops/weight_gradient.h"

#include <algorithm>

#include "cuda/blas.h"
#include "cuda/elementwise.cuh"

namespace enas::cuda {
namespace {

using Blocks = std::span<const Contribution>;

// Blocks of rows to copy, in the launch's parameters: no table to upload.
constexpr int kPieces = 128;
template <class T>
struct Pieces {
  const T* from[kPieces];
  T* to[kPieces];
  int64_t count[kPieces];
};
static_assert(sizeof(Pieces<float>) <= 4000, "parameters of a launch are at most 4 KiB");

// Blocks along y take a piece each, blocks along x stride over its elements: 16 bytes at a time
// where both ends are aligned.
template <class T>
__global__ void stack_rows(Pieces<T> pieces) {
  constexpr int64_t kWide = sizeof(float4) / sizeof(T);
  const T* const from = pieces.from[blockIdx.y];
  T* const to = pieces.to[blockIdx.y];
  const int64_t n = pieces.count[blockIdx.y];
  const int64_t first = thread_index(), stride = thread_count();
  const bool aligned =
      (reinterpret_cast<uintptr_t>(from) | reinterpret_cast<uintptr_t>(to)) % sizeof(float4) == 0;
  const int64_t wide = aligned ? n / kWide : 0;
  for (int64_t i = first; i < wide; i += stride) {
    reinterpret_cast<float4*>(to)[i] = reinterpret_cast<const float4*>(from)[i];
  }
  for (int64_t i = wide * kWide + first; i < n; i += stride) to[i] = from[i];
}

// Backward leaves the last use first: back to front is the order of recording.
const Contribution& recorded(Blocks list, size_t i) { return list[list.size() - 1 - i]; }

bool neighbours(Blocks list, Tensor Contribution::*member) {
  const auto* next = static_cast<const unsigned char*>((recorded(list, 0).*member).raw());
  for (size_t i = 0; i < list.size(); ++i) {
    const Tensor& block = recorded(list, i).*member;
    if (block.raw() != next || !block.same_storage(recorded(list, 0).*member)) return false;
    next += block.bytes();
  }
  return true;
}

// Collects pieces and launches them, kPieces at a time.
template <class T>
class Stacker {
 public:
  // The rows of all blocks, one after another: where they lie if they are neighbouring slices of
  // one tensor, else in scratch of `size` elements, after flush().
  const T* add(Blocks list, Tensor Contribution::*member, bool in_place, T* scratch) {
    if (in_place) return (recorded(list, 0).*member).template data<T>();
    T* to = scratch;
    for (size_t i = 0; i < list.size(); ++i) {
      const Tensor& block = recorded(list, i).*member;
      if (block.numel() == 0) continue;
      if (used_ == kPieces) flush();
      pieces_.from[used_] = block.template data<T>();
      pieces_.to[used_] = to;
      pieces_.count[used_++] = block.numel();
      longest_ = std::max(longest_, block.numel());
      to += block.numel();
    }
    return scratch;
  }
  void flush() {
    if (used_ == 0) return;
    // Four wide loads a thread.
    const unsigned across = blocks_for(longest_, 256 * 4 * (sizeof(float4) / sizeof(T)), 64);
    launch("weight gradient", stack_rows<T>, {dim3(across, static_cast<unsigned>(used_))}, pieces_);
    used_ = 0, longest_ = 0;
  }

 private:
  Pieces<T> pieces_ = {};
  int used_ = 0;
  int64_t longest_ = 0;
};

}  // namespace

void weight_gradient(Tensor& dw, Blocks list, Into into) {
  if (dw.numel() == 0) return;
  int64_t rows = 0;
  for (const Contribution& block : list) rows += block.a.size(0);
  const int64_t k = dw.size(0), n = dw.size(1);
  visit_real(dw.dtype(), "weight gradient", [&](auto tag) {
    using T = decltype(tag);
    const bool a_lies = neighbours(list, &Contribution::a);
    const bool b_lies = neighbours(list, &Contribution::b);
    // b behind a, at a multiple of 256 bytes.
    const size_t a_bytes =
        a_lies ? 0 : (static_cast<size_t>(rows * k) * sizeof(T) + 255) / 256 * 256;
    const size_t b_bytes = b_lies ? 0 : static_cast<size_t>(rows * n) * sizeof(T);
    Scratch scratch(a_bytes + b_bytes);
    Stacker<T> stacker;
    const T* a = stacker.add(list, &Contribution::a, a_lies, scratch.as<T>());
    const T* b = stacker.add(list, &Contribution::b, b_lies, scratch.as<T>() + a_bytes / sizeof(T));
    stacker.flush();
    gemm<T>("weight gradient", true, false, k, n, rows, a, k, b, n, into == Into::add ? T{1} : T{0},
            dw.data<T>(), n);
  });
}

}  // namespace enas::cuda
