// Kernels of ops/structure.h. What only moves elements moves them as unsigned units of up to 16
// bytes, whatever the dtype.
#include "ops/structure.h"

#include <algorithm>

#include "cuda/by_index.cuh"
#include "cuda/elementwise.cuh"
#include "cuda/sync.cuh"

namespace enas::cuda {
namespace {

int64_t row_width(const Tensor& x) {
  int64_t width = 1;
  for (int axis = 1; axis < x.rank(); ++axis) width *= x.size(axis);
  return width;
}

// dx = dy at [from, from + count), zero elsewhere; in units.
template <class Unit>
__global__ void place_rows(const Unit* __restrict__ dy, int64_t from, int64_t count,
                           Unit* __restrict__ dx, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    dx[i] = i >= from && i < from + count ? dy[i - from] : Unit{};
  }
}

constexpr int kMostParts = 64;  // a launch
struct Parts {
  const void* from[kMostParts];
  int64_t start[kMostParts + 1];  // in units of y
};

// Part blockIdx.y to its place.
template <class Unit>
__global__ void join_rows(const Parts parts, Unit* __restrict__ y) {
  const Unit* from = static_cast<const Unit*>(parts.from[blockIdx.y]);
  const int64_t start = parts.start[blockIdx.y], count = parts.start[blockIdx.y + 1] - start;
  for (int64_t i = thread_index(); i < count; i += thread_count()) y[start + i] = from[i];
}

// y[i] = x[index[i]], a warp a row. An index that does not fit is reported; its row becomes zeros.
template <class Unit>
__global__ void copy_rows(const Unit* __restrict__ x, const int32_t* __restrict__ index,
                          Unit* __restrict__ y, int64_t n, int64_t width, int64_t limit,
                          Fault* fault) {
  for (int64_t i = warp_index(); i < n; i += warp_stride()) {
    const int64_t from = index[i];
    const bool fits = from >= 0 && from < limit;
    if (!fits && lane_index() == 0) report_fault(fault, FaultOp::gather_rows, from, i, limit);
    for (int64_t c = lane_index(); c < width; c += kWarp) {
      y[i * width + c] = fits ? x[from * width + c] : Unit{};
    }
  }
}

// y[r] = x[r, index[r]].
template <class Unit>
__global__ void pick_elements(const Unit* __restrict__ x, const int32_t* __restrict__ index,
                              Unit* __restrict__ y, int64_t rows, int64_t columns, Fault* fault) {
  for (int64_t r = thread_index(); r < rows; r += thread_count()) {
    const int64_t c = index[r];
    const bool fits = c >= 0 && c < columns;
    if (!fits) report_fault(fault, FaultOp::pick, c, r, columns);
    y[r] = fits ? x[r * columns + c] : Unit{};
  }
}

// dx[r, index[r]] (+)= dy[r], and zero elsewhere unless it adds; a warp a row.
template <class T>
__global__ void place_picked(const T* __restrict__ dy, const int32_t* __restrict__ index,
                             T* __restrict__ dx, bool add, int64_t rows, int64_t columns) {
  for (int64_t r = warp_index(); r < rows; r += warp_stride()) {
    const int64_t at = index[r];
    T* row = dx + r * columns;
    if (add) {
      if (lane_index() == 0 && at >= 0 && at < columns) row[at] += dy[r];
      continue;
    }
    for (int64_t c = lane_index(); c < columns; c += kWarp) row[c] = c == at ? dy[r] : T(0);
  }
}

// y = [a | b], widths in units; a warp a row.
template <class Unit>
__global__ void join_columns(const Unit* __restrict__ a, int64_t left, const Unit* __restrict__ b,
                             int64_t right, Unit* __restrict__ y, int64_t rows) {
  for (int64_t r = warp_index(); r < rows; r += warp_stride()) {
    Unit* out = y + r * (left + right);
    for (int64_t c = lane_index(); c < left; c += kWarp) out[c] = a[r * left + c];
    for (int64_t c = lane_index(); c < right; c += kWarp) out[left + c] = b[r * right + c];
  }
}

// dx (+)= the columns of dy from its address on; a warp a row.
template <class T>
__global__ void take_columns(const T* __restrict__ dy, int64_t stride, T* __restrict__ dx,
                             int64_t width, bool add, int64_t rows) {
  for (int64_t r = warp_index(); r < rows; r += warp_stride()) {
    for (int64_t c = lane_index(); c < width; c += kWarp) {
      const T g = dy[r * stride + c];
      dx[r * width + c] = add ? dx[r * width + c] + g : g;
    }
  }
}

// Parts [first, end) of a concatenation whose y starts at `out`.
void launch_join(std::span<const Var> parts, char* out) {
  size_t bits = bits_of(out), most = 0;
  for (const Var& part : parts) {
    bits |= bits_of(part.value().raw()) | part.value().bytes();
    most = std::max(most, part.value().bytes());
  }
  visit_unit(bits, [&](auto tag) {
    using Unit = decltype(tag);
    Parts table{};
    for (size_t i = 0; i < parts.size(); ++i) {
      table.from[i] = parts[i].value().raw();
      table.start[i + 1] =
          table.start[i] + static_cast<int64_t>(parts[i].value().bytes() / sizeof(Unit));
    }
    const unsigned across = blocks_for(static_cast<int64_t>(most / sizeof(Unit)), kMapThreads, 256);
    launch("concat_rows", join_rows<Unit>,
           Launch{dim3(across, static_cast<unsigned>(parts.size())), dim3(kMapThreads)}, table,
           static_cast<Unit*>(static_cast<void*>(out)));
  });
}

template <class Unit>
const Unit* units(const Tensor& t) {
  return static_cast<const Unit*>(t.raw());
}
template <class Unit>
Unit* units(Tensor& t) {
  return static_cast<Unit*>(t.raw());
}

}  // namespace

void slice_rows_backward(const Tensor& dy, int64_t begin, Tensor& dx, Into into) {
  const int64_t from = begin * row_width(dx);
  if (into == Into::add) {
    return visit_real(dx.dtype(), "slice_rows", [&](auto tag) {
      using T = decltype(tag);
      launch_map("slice_rows", Same<T>{}, dx.data<T>() + from, true, dy.numel(), dy.data<T>());
    });
  }
  const size_t offset = static_cast<size_t>(from) * size_of(dx.dtype());
  const size_t bits = bits_of(dy.raw()) | bits_of(dx.raw()) | dy.bytes() | dx.bytes() | offset;
  visit_unit(bits, [&](auto tag) {
    using Unit = decltype(tag);
    const auto n = static_cast<int64_t>(dx.bytes() / sizeof(Unit));
    launch("slice_rows", place_rows<Unit>,
           Launch{dim3(blocks_for(n, kMapThreads)), dim3(kMapThreads)}, units<Unit>(dy),
           static_cast<int64_t>(offset / sizeof(Unit)),
           static_cast<int64_t>(dy.bytes() / sizeof(Unit)), units<Unit>(dx), n);
  });
}

void concat_rows_forward(Tensor& y, std::span<const Var> parts) {
  char* out = static_cast<char*>(y.raw());
  for (size_t first = 0; first < parts.size(); first += kMostParts) {
    const std::span<const Var> some =
        parts.subspan(first, std::min<size_t>(kMostParts, parts.size() - first));
    launch_join(some, out);
    for (const Var& part : some) out += part.value().bytes();
  }
}

void gather_rows_forward(const Tensor& x, const Tensor& indices, Tensor& y) {
  const int64_t n = indices.numel();
  const size_t row = static_cast<size_t>(row_width(x)) * size_of(x.dtype());
  visit_unit(bits_of(x.raw()) | bits_of(y.raw()) | row, [&](auto tag) {
    using Unit = decltype(tag);
    launch("gather_rows", copy_rows<Unit>, warps_for(n), units<Unit>(x), indices.data<int32_t>(),
           units<Unit>(y), n, static_cast<int64_t>(row / sizeof(Unit)), x.size(0), fault());
  });
}

void gather_rows_backward(const Tensor& dy, const Tensor& indices, Tensor& dx, Into into) {
  visit_real(dx.dtype(), "gather_rows", [&](auto tag) {
    using T = decltype(tag);
    launch_sums_by_index("gather_rows", dy.data<T>(), indices.data<int32_t>(), indices.numel(),
                         dx.data<T>(), dx.size(0), row_width(dx), into == Into::add);
  });
}

void pick_forward(const Tensor& x, const Tensor& indices, Tensor& y) {
  const int64_t rows = x.size(0);
  visit_unit(size_of(x.dtype()), [&](auto tag) {
    using Unit = decltype(tag);
    launch("pick", pick_elements<Unit>,
           Launch{dim3(blocks_for(rows, kRowThreads)), dim3(kRowThreads)}, units<Unit>(x),
           indices.data<int32_t>(), units<Unit>(y), rows, x.size(1), fault());
  });
}

void pick_backward(const Tensor& dy, const Tensor& indices, Tensor& dx, Into into) {
  visit_real(dx.dtype(), "pick", [&](auto tag) {
    using T = decltype(tag);
    launch("pick", place_picked<T>, warps_for(dx.size(0)), dy.data<T>(), indices.data<int32_t>(),
           dx.data<T>(), into == Into::add, dx.size(0), dx.size(1));
  });
}

void concat_columns_forward(const Tensor& a, const Tensor& b, Tensor& y) {
  const size_t left = static_cast<size_t>(a.size(1)) * size_of(a.dtype());
  const size_t right = static_cast<size_t>(b.size(1)) * size_of(b.dtype());
  const size_t bits = bits_of(a.raw()) | bits_of(b.raw()) | bits_of(y.raw()) | left | right;
  visit_unit(bits, [&](auto tag) {
    using Unit = decltype(tag);
    launch("concat_columns", join_columns<Unit>, warps_for(y.size(0)), units<Unit>(a),
           static_cast<int64_t>(left / sizeof(Unit)), units<Unit>(b),
           static_cast<int64_t>(right / sizeof(Unit)), units<Unit>(y), y.size(0));
  });
}

void concat_columns_backward(const Tensor& dy, int64_t begin, Tensor& dx, Into into) {
  visit_real(dx.dtype(), "concat_columns", [&](auto tag) {
    using T = decltype(tag);
    launch("concat_columns", take_columns<T>, warps_for(dx.size(0)), dy.data<T>() + begin,
           dy.size(1), dx.data<T>(), dx.size(1), into == Into::add, dx.size(0));
  });
}

}  // namespace enas::cuda
