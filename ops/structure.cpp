#include "ops/structure.h"

#include <cstring>

#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

// The indices where x lives, tested unless both are on a GPU.
Tensor indices_for(const char* op, const Var& x, const Tensor& given, int64_t extent) {
  check(given.rank() == 1 && given.dtype() == DType::i32, op, "needs indices i32 [n], got ",
        given.dtype(), " ", given.shape());
  const Device device = x.value().device();
  const Tensor indices = device == Device::cpu ? given.to(device) : given;
  if (indices.device() == Device::cpu) {
    const int32_t* index = indices.data<int32_t>();
    for (int64_t i = 0; i < indices.numel(); ++i) {
      check(index[i] >= 0 && index[i] < extent, op, "index ", index[i], " at ", i,
            " is outside an axis of ", extent);
    }
  }
  return indices.to(device);
}

// Elements of one row of the leading axis.
int64_t row_width(const Tensor& x) {
  int64_t width = 1;
  for (int axis = 1; axis < x.rank(); ++axis) width *= x.size(axis);
  return width;
}

void flush_gather_rows(std::span<const Contribution> list, Grad& dx) {
  for (size_t i = 0; i < list.size(); ++i) {
    dispatch<cpu::gather_rows_backward, cuda::gather_rows_backward>(
        list[i].a, list[i].b, dx.tensor(), i == 0 ? dx.into() : Into::add);
  }
}

constexpr int64_t kGrain = 8192;  // elements a chunk

}  // namespace

Var reshape(const Var& x, const Shape& shape) {
  return record(
      "reshape", {x}, x.value().reshape(shape),
      [before = x.shape()](const Tensor& dy, Grads& dx) { dx[0].accept(dy.reshape(before)); });
}

Var slice_rows(const Var& x, int64_t begin, int64_t end) {
  check(x.rank() >= 1 && begin >= 0 && begin <= end && end <= x.size(0), "slice_rows", "rows ",
        begin, " to ", end, " of ", x.shape());
  return record("slice_rows", {x}, x.value().slice(begin, end),
                [begin](const Tensor& dy, Grads& dx) {
                  dispatch<cpu::slice_rows_backward, cuda::slice_rows_backward>(
                      dy, begin, dx[0].tensor(), dx[0].into());
                });
}

Var concat_rows(std::span<const Var> parts) {
  check(!parts.empty(), "concat_rows", "needs at least one part");
  const Var& first = parts[0];
  check(first.rank() >= 1, "concat_rows", "needs at least one axis, got ", first.shape());
  Shape shape = first.shape();
  shape.set(0, 0);
  std::vector<Input> inputs;
  inputs.reserve(parts.size());
  for (const Var& part : parts) {
    Shape aligned = part.shape();
    if (aligned.rank() >= 1) aligned.set(0, first.size(0));
    check(aligned == first.shape() && part.dtype() == first.dtype(), "concat_rows",
          "needs parts alike but for the leading axis, got ", first.dtype(), " ", first.shape(),
          " and ", part.dtype(), " ", part.shape());
    check(part.value().device() == first.value().device(), "concat_rows",
          "parts on different devices; move them to one");
    shape.set(0, shape[0] + part.size(0));
    inputs.emplace_back(part);
  }
  Tensor y(shape, first.dtype(), first.value().device());
  dispatch<cpu::concat_rows_forward, cuda::concat_rows_forward>(y, parts);
  std::vector<int64_t> counts;
  for (const Var& part : parts) counts.push_back(part.size(0));
  return record("concat_rows", std::span<const Input>(inputs), std::move(y),
                [counts](const Tensor& dy, Grads& dx) {
                  int64_t at = 0;
                  for (size_t i = 0; i < counts.size(); at += counts[i], ++i) {
                    if (dx[i].needed()) dx[i].accept(dy.slice(at, at + counts[i]));
                  }
                });
}

Var gather_rows(const Var& x, const Tensor& rows) {
  check(x.rank() >= 1, "gather_rows", "needs at least one axis, got ", x.shape());
  const Tensor indices = indices_for("gather_rows", x, rows, x.size(0));
  Shape shape = x.shape();
  shape.set(0, indices.size(0));
  Tensor y(shape, x.dtype(), x.value().device());
  dispatch<cpu::gather_rows_forward, cuda::gather_rows_forward>(x.value(), indices, y);
  return record("gather_rows", {x}, std::move(y), [indices](const Tensor& dy, Grads& dx) {
    dx[0].contribute(flush_gather_rows, FlushOrder::sparse, dy, indices);
  });
}

Var pick(const Var& x, const Tensor& columns) {
  check(x.rank() == 2 && columns.rank() == 1 && columns.size(0) == x.size(0), "pick",
        "needs x [rows, n] and indices [rows], got ", x.shape(), " and ", columns.shape());
  const Tensor indices = indices_for("pick", x, columns, x.size(1));
  Tensor y({x.size(0)}, x.dtype(), x.value().device());
  dispatch<cpu::pick_forward, cuda::pick_forward>(x.value(), indices, y);
  return record("pick", {x}, std::move(y), [indices](const Tensor& dy, Grads& dx) {
    dispatch<cpu::pick_backward, cuda::pick_backward>(dy, indices, dx[0].tensor(), dx[0].into());
  });
}

Var concat_columns(const Var& a, const Var& b) {
  check(a.rank() == 2 && b.rank() == 2 && a.size(0) == b.size(0) && a.dtype() == b.dtype(),
        "concat_columns", "needs [r, m] and [r, n] of one dtype, got ", a.dtype(), " ", a.shape(),
        " and ", b.dtype(), " ", b.shape());
  const int64_t left = a.size(1);
  Tensor y({a.size(0), left + b.size(1)}, a.dtype(), a.value().device());
  dispatch<cpu::concat_columns_forward, cuda::concat_columns_forward>(a.value(), b.value(), y);
  return record("concat_columns", {a, b}, std::move(y), [left](const Tensor& dy, Grads& dx) {
    for (const size_t side : {size_t{0}, size_t{1}}) {
      if (!dx[side].needed()) continue;
      dispatch<cpu::concat_columns_backward, cuda::concat_columns_backward>(
          dy, side == 0 ? 0 : left, dx[side].tensor(), dx[side].into());
    }
  });
}

void cpu::slice_rows_backward(const Tensor& dy, int64_t begin, Tensor& dx, Into into) {
  if (into == Into::write) {
    if (begin > 0) dx.slice(0, begin).fill(0);
    const int64_t end = begin + dy.size(0);
    if (end < dx.size(0)) dx.slice(end, dx.size(0)).fill(0);
    return dx.slice(begin, end).copy_from(dy);
  }
  visit_real(dx.dtype(), "slice_rows", [&](auto tag) {
    using T = decltype(tag);
    const T* up = dy.data<T>();
    T* out = dx.data<T>() + begin * row_width(dx);
    for (int64_t i = 0; i < dy.numel(); ++i) out[i] += up[i];
  });
}

void cpu::concat_rows_forward(Tensor& y, std::span<const Var> parts) {
  int64_t at = 0;
  for (const Var& part : parts) {
    y.slice(at, at + part.size(0)).copy_from(part.value());
    at += part.size(0);
  }
}

void cpu::gather_rows_forward(const Tensor& x, const Tensor& indices, Tensor& y) {
  const int64_t width = row_width(x);
  const size_t bytes = static_cast<size_t>(width) * size_of(x.dtype());
  const int32_t* index = indices.data<int32_t>();
  const char* in = static_cast<const char*>(x.raw());
  char* out = static_cast<char*>(y.raw());
  parallel_for(indices.numel(), kGrain / (width + 1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::memcpy(out + static_cast<size_t>(i) * bytes, in + static_cast<size_t>(index[i]) * bytes,
                  bytes);
    }
  });
}

// Each chunk owns a range of target rows and reads all indices: rows are summed in order.
void cpu::gather_rows_backward(const Tensor& dy, const Tensor& indices, Tensor& dx, Into into) {
  if (into == Into::write) dx.fill(0);
  const int64_t n = indices.numel(), width = row_width(dx), targets = dx.size(0);
  const int32_t* index = indices.data<int32_t>();
  visit_real(dx.dtype(), "gather_rows", [&](auto tag) {
    using T = decltype(tag);
    const T* up = dy.data<T>();
    T* out = dx.data<T>();
    const int chunks = chunk_count(n * width, 4 * kGrain);
    parallel_chunks(chunks, [&](int chunk) {
      const int64_t begin = targets * chunk / chunks, end = targets * (chunk + 1) / chunks;
      for (int64_t i = 0; i < n; ++i) {
        if (index[i] < begin || index[i] >= end) continue;
        T* row = out + index[i] * width;
        for (int64_t c = 0; c < width; ++c) row[c] += up[i * width + c];
      }
    });
  });
}

void cpu::pick_forward(const Tensor& x, const Tensor& indices, Tensor& y) {
  const int64_t rows = x.size(0), columns = x.size(1);
  const size_t bytes = size_of(x.dtype());
  const int32_t* index = indices.data<int32_t>();
  const char* in = static_cast<const char*>(x.raw());
  char* out = static_cast<char*>(y.raw());
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(out + static_cast<size_t>(r) * bytes,
                in + static_cast<size_t>(r * columns + index[r]) * bytes, bytes);
  }
}

void cpu::pick_backward(const Tensor& dy, const Tensor& indices, Tensor& dx, Into into) {
  if (into == Into::write) dx.fill(0);
  const int32_t* index = indices.data<int32_t>();
  visit_real(dx.dtype(), "pick", [&](auto tag) {
    using T = decltype(tag);
    const T* up = dy.data<T>();
    T* out = dx.data<T>();
    for (int64_t r = 0; r < dx.size(0); ++r) out[r * dx.size(1) + index[r]] += up[r];
  });
}

void cpu::concat_columns_forward(const Tensor& a, const Tensor& b, Tensor& y) {
  const size_t left = static_cast<size_t>(a.size(1)) * size_of(a.dtype());
  const size_t right = static_cast<size_t>(b.size(1)) * size_of(b.dtype());
  const char *from_a = static_cast<const char*>(a.raw()),
             *from_b = static_cast<const char*>(b.raw());
  char* out = static_cast<char*>(y.raw());
  parallel_for(y.size(0), kGrain / (y.size(1) + 1), [&](int64_t begin, int64_t end) {
    for (auto r = static_cast<size_t>(begin); r < static_cast<size_t>(end); ++r) {
      std::memcpy(out + r * (left + right), from_a + r * left, left);
      std::memcpy(out + r * (left + right) + left, from_b + r * right, right);
    }
  });
}

void cpu::concat_columns_backward(const Tensor& dy, int64_t begin, Tensor& dx, Into into) {
  const int64_t width = dx.size(1), stride = dy.size(1);
  visit_real(dx.dtype(), "concat_columns", [&](auto tag) {
    using T = decltype(tag);
    const T* up = dy.data<T>() + begin;
    T* out = dx.data<T>();
    parallel_for(dx.size(0), kGrain / (width + 1), [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        for (int64_t c = 0; c < width; ++c) {
          const T g = up[r * stride + c];
          out[r * width + c] = into == Into::add ? out[r * width + c] + g : g;
        }
      }
    });
  });
}

}  // namespace enas
