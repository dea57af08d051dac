#include "ops/embedding.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

void flush(std::span<const Contribution> list, Grad& dtable) {
  Into into = dtable.into();
  for (size_t i = list.size(); i-- > 0; into = Into::add) {
    dispatch<cpu::embedding_backward, cuda::embedding_backward>(list[i].a, list[i].b,
                                                                dtable.tensor(), into);
  }
}

constexpr int64_t kGrain = 16384;  // elements a chunk

int64_t row_grain(int64_t width) { return std::max<int64_t>(kGrain / (width + 1), 1); }

}  // namespace

Var embedding(const Var& table, const Tensor& indices, const Tensor& row_scale) {
  check(table.rank() == 2, "embedding", "needs a table [V, H], got ", table.shape());
  check(indices.defined() && indices.dtype() == DType::i32, "embedding", "needs i32 indices, got ",
        indices.dtype());
  check(indices.device() == table.value().device(), "embedding", "the table is on ",
        table.value().device(), ", the indices on ", indices.device());
  check(!row_scale.defined() ||
            (row_scale.shape() == Shape{table.size(0)} && row_scale.dtype() == table.dtype()),
        "embedding", "row_scale must be ", table.dtype(), " [", table.size(0), "], got ",
        row_scale.dtype(), " ", row_scale.shape());
  Tensor y({indices.numel(), table.size(1)}, table.dtype(), table.value().device());
  dispatch<cpu::embedding_forward, cuda::embedding_forward>(table.value(), indices, row_scale, y);
  return record("embedding", {table}, y, [indices, row_scale](const Tensor& dy, Grads& dx) {
    Tensor scaled = dy;
    if (row_scale.defined()) {
      scaled = empty_like(dy);
      dispatch<cpu::embedding_scale, cuda::embedding_scale>(dy, indices, row_scale, scaled);
    }
    dx[0].contribute(flush, FlushOrder::sparse, indices, scaled);
  });
}

void cpu::embedding_forward(const Tensor& table, const Tensor& indices, const Tensor& row_scale,
                            Tensor& y) {
  const int64_t n = indices.numel(), width = table.size(1), rows = table.size(0);
  const int32_t* index = indices.data<int32_t>();
  for (int64_t i = 0; i < n; ++i) {
    check(index[i] >= 0 && index[i] < rows, ErrorKind::data, "embedding", "index ", index[i],
          " at position ", i, " is outside the table of ", rows, " rows");
  }
  visit_real(table.dtype(), "embedding", [&](auto tag) {
    using T = decltype(tag);
    const T* in = table.data<T>();
    const T* scale = row_scale.defined() ? row_scale.data<T>() : nullptr;
    T* out = y.data<T>();
    parallel_for(n, row_grain(width), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* row = in + index[i] * width;
        if (scale == nullptr) {
          std::copy_n(row, width, out + i * width);
        } else {
          const T factor = scale[index[i]];
          for (int64_t j = 0; j < width; ++j) out[i * width + j] = factor * row[j];
        }
      }
    });
  });
}

void cpu::embedding_scale(const Tensor& dy, const Tensor& indices, const Tensor& row_scale,
                          Tensor& scaled) {
  const int64_t n = indices.numel(), width = dy.size(1);
  const int32_t* index = indices.data<int32_t>();
  visit_real(dy.dtype(), "embedding", [&](auto tag) {
    using T = decltype(tag);
    const T *in = dy.data<T>(), *scale = row_scale.data<T>();
    T* out = scaled.data<T>();
    parallel_for(n, row_grain(width), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T factor = scale[index[i]];
        for (int64_t j = i * width; j < (i + 1) * width; ++j) out[j] = factor * in[j];
      }
    });
  });
}

namespace {

// Positions ordered by index, those of one index in order of position (a counting sort);
// start[v] ... start[v + 1] are those of row v.
struct Occurrences {
  std::vector<int32_t> start, position;
  const int32_t* index;

  Occurrences(const Tensor& indices, int64_t rows)
      : start(static_cast<size_t>(rows) + 1),
        position(static_cast<size_t>(indices.numel())),
        index(indices.data<int32_t>()) {
    for (size_t i = 0; i < position.size(); ++i) ++start[at(index[i])];
    for (size_t v = 0; v < at(rows); ++v) start[v + 1] += start[v];
    for (size_t i = position.size(); i-- > 0;) {
      position[at(--start[at(index[i])])] = static_cast<int32_t>(i);
    }
  }
  static size_t at(int64_t i) { return static_cast<size_t>(i); }
  int64_t row(int64_t k) const { return index[position[at(k)]]; }
  // The first of k, k + 1 ... with which a row begins.
  int64_t row_begin(int64_t k) const {
    if (at(k) == position.size() || start[at(row(k))] == k) return k;
    return start[at(row(k) + 1)];
  }
};

}  // namespace

void cpu::embedding_backward(const Tensor& indices, const Tensor& dy, Tensor& dtable, Into into) {
  const int64_t n = indices.numel(), rows = dtable.size(0), width = dtable.size(1);
  const Occurrences found(indices, rows);
  visit_real(dtable.dtype(), "embedding", [&](auto tag) {
    using T = decltype(tag);
    const T* in = dy.data<T>();
    T* out = dtable.data<T>();
    const auto sum = [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        T* row = out + found.row(k) * width;
        const T* add = in + found.position[static_cast<size_t>(k)] * width;
        for (int64_t j = 0; j < width; ++j) row[j] += add[j];
      }
    };
    if (into == Into::add) {
      parallel_for(n, row_grain(width), [&](int64_t begin, int64_t end) {
        sum(found.row_begin(begin), found.row_begin(end));
      });
      return;
    }
    // Rows by pieces: cleared as one, then summed while they are in the second cache.
    const int64_t piece = row_grain(width);
    parallel_for(rows, piece, [&](int64_t begin, int64_t end) {
      for (int64_t v = begin; v < end; v += piece) {
        const int64_t stop = std::min(v + piece, end);
        std::fill_n(out + v * width, (stop - v) * width, T{0});
        sum(found.start[static_cast<size_t>(v)], found.start[static_cast<size_t>(stop)]);
      }
    });
  });
}

}  // namespace enas
