// Geometry of a pooling window over one image, as kernels take it: output row r reads the rows
// r * stride - top + 0 ... kernel - 1, columns alike. A flat one (3x3, stride 1, a border of one)
// has as many rows and columns as it reads: its kernels run over whole rows of W * C values.
#pragma once
#include <cstdint>

namespace enas {

struct PoolShape {
  int64_t height, width, channels;  // of what is pooled
  int64_t rows, columns;            // of the result
  int64_t kernel, stride, top, left;
  bool flat;
};

}  // namespace enas
