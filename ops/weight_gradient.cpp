#include "ops/weight_gradient.h"

#include <cstring>

#include "tensor/blas.h"
#include "tensor/dispatch.h"
#include "tensor/single_gemm.h"
#include "tensor/stacked_gemm.h"
#include "tensor/thread_pool.h"

namespace enas {

void contribute_rows(Grad& dw, const Tensor& a, const Tensor& b) {
  const int64_t most = a.device() == Device::cuda ? kWaitingRowsCuda : kWaitingRows;
  if (a.size(0) > most) {
    const Contribution one{a, b};
    flush_rows({&one, 1}, dw);
  } else {
    dw.contribute(flush_rows, FlushOrder::dense, a, b);
  }
}

void flush_rows(std::span<const Contribution> list, Grad& dw) {
  dispatch<cpu::weight_gradient, cuda::weight_gradient>(dw.tensor(), list, dw.into());
}

namespace {

using Blocks = std::span<const Contribution>;
constexpr int64_t kFewestPacked = 8;  // rows: packing one for its single use would not pay

// Backward leaves the last use first: back to front is the order of recording.
const Contribution& recorded(Blocks list, size_t i) { return list[list.size() - 1 - i]; }

int64_t rows_of(Blocks list) {
  int64_t rows = 0;
  for (const Contribution& block : list) rows += block.a.size(0);
  return rows;
}

// The rows of all blocks, one after another: where they lie if they are neighbouring slices of one
// tensor, else copied to scratch.
template <class T>
const T* stack(Blocks list, Tensor Contribution::*member, Tensor& scratch) {
  const T* const first = (recorded(list, 0).*member).template data<T>();
  const T* next = first;
  bool neighbours = true;
  for (size_t i = 0; i < list.size(); ++i) {
    const Tensor& block = recorded(list, i).*member;
    neighbours =
        neighbours && block.data<T>() == next && block.same_storage(recorded(list, 0).*member);
    next += block.numel();
  }
  if (neighbours) return first;
  scratch = Tensor({rows_of(list), (list[0].*member).size(1)}, dtype_of<T>);
  T* const out = scratch.data<T>();
  std::vector<int64_t> at(list.size() + 1, 0);
  for (size_t i = 0; i < list.size(); ++i) {
    at[i + 1] = at[i] + (recorded(list, i).*member).numel();
  }
  const int64_t grain =
      std::max<int64_t>(16384 * static_cast<int64_t>(list.size()) / (at.back() + 1), 1);
  parallel_for(static_cast<int64_t>(list.size()), grain, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      const Tensor& block = recorded(list, i).*member;
      if (block.numel() > 0) std::memcpy(out + at[i], block.data<T>(), block.bytes());
    }
  });
  return out;
}

// All blocks in order of recording, in one product that packs their rows by itself.
void add_packed(Blocks list, Tensor& dw, bool add) {
  const int64_t m = dw.size(0), n = dw.size(1);
  if (list.size() == 1 && single_gemm_suits(true, false, m, n, list[0].a.size(0))) {
    single_gemm(true, false, m, n, list[0].a.size(0), list[0].a.data<float>(), m,
                list[0].b.data<float>(), n, add, dw.data<float>(), n);
    return;
  }
  std::vector<RowBlock> blocks;
  for (size_t i = 0; i < list.size(); ++i) {
    const Contribution& one = recorded(list, i);
    blocks.push_back({one.a.data<float>(), one.b.data<float>(), one.a.size(0)});
  }
  stacked_gemm(blocks, m, n, add, dw.data<float>());
}

template <class T>
void add_product(Blocks list, Tensor& dw, bool add) {
  Tensor scratch_a, scratch_b;
  const T* a = stack<T>(list, &Contribution::a, scratch_a);
  const T* b = stack<T>(list, &Contribution::b, scratch_b);
  const int64_t k = dw.size(0), n = dw.size(1);
  gemm<T>(true, false, k, n, rows_of(list), a, k, b, n, add ? T{1} : T{0}, dw.data<T>(), n);
}

}  // namespace

void cpu::weight_gradient(Tensor& dw, Blocks list, Into into) {
  visit_real(dw.dtype(), "weight gradient", [&](auto tag) {
    using T = decltype(tag);
    bool add = into == Into::add;
    if constexpr (std::is_same_v<T, float>) {
      if (rows_of(list) >= kFewestPacked) return add_packed(list, dw, add);
    }
    // From the back of the list, that is in order of recording.
    for (size_t end = list.size(); end > 0;) {
      size_t begin = end - 1;
      int64_t rows = list[begin].a.size(0);
      while (begin > 0 && rows + list[begin - 1].a.size(0) <= kStackRows) {
        rows += list[--begin].a.size(0);
      }
      add_product<T>(list.subspan(begin, end - begin), dw, add);
      add = true;
      end = begin;
    }
  });
}

}  // namespace enas
