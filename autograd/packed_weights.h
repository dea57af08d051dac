// Packed copies of the weights that a recording multiplies by. A recurrent cell uses a weight at
// every step of a window: packed once, each product with few rows is about twice as fast. They
// belong to the tape, which knows when a weight was used last.
#pragma once
#include <cstdint>
#include <vector>

#include "tensor/packed_gemm.h"

namespace enas {

class PackedWeights {
 public:
  // Rows [first, first + rows) of w [K, N], f32 on the CPU: as they lie, or transposed, [N, rows].
  // Packed at the first call and after each change of w, in `parts` (tensor/packed_gemm.h); valid
  // until the next call.
  const PackedMatrix& get(const Tensor& w, bool transpose, int64_t first, int64_t rows,
                          int parts = 1);
  void drop(bool transpose);  // all of this kind
  void drop(const Tensor& w);
  void keep_latest(int64_t bytes);  // drops those used longest ago until the rest has no more
  void clear() { entries_.clear(); }
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Tensor w;  // kept, so that its address means it
    uint32_t version;
    bool transpose;
    int64_t first, rows;
    int parts;
    PackedMatrix packed;
    uint64_t used = 0;
  };
  std::vector<Entry> entries_;  // as many as a child has edges
  uint64_t uses_ = 0;
};

}  // namespace enas
