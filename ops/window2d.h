// Geometry of a square window over the two middle axes of [N, H, W, C].
//   same     symmetric border p = (K - 1) / 2; output floor((in + 2p - K) / stride) + 1
//   tf_same  output ceil(in / stride); the border's odd pixel comes last
//   valid    no border
// Source: docs/method.md sections 2.1 and 3.2.
#pragma once
#include <algorithm>
#include <cstdint>

#include "tensor/check.h"

namespace enas {

enum class Padding : uint8_t { same, tf_same, valid };

struct Window2d {
  int64_t kernel = 3, stride = 1;
  Padding padding = Padding::same;

  // Rows or columns that come out of `in`, at least 1.
  int64_t output(int64_t in) const {
    check(kernel >= 1 && stride >= 1, "window", "kernel and stride must be 1 or more, got ", kernel,
          " and ", stride);
    if (padding == Padding::tf_same) return (in + stride - 1) / stride;
    const int64_t slack = in - kernel + (padding == Padding::same ? (kernel - 1) / 2 * 2 : 0);
    check(in >= 1 && slack >= 0, "window", "a kernel of ", kernel, " does not fit into ", in,
          " rows or columns; use a larger image or padding");
    return slack / stride + 1;
  }
  // Rows or columns of border before the first one: output i reads inputs i * stride - before(in)
  // + 0 ... kernel - 1.
  int64_t before(int64_t in) const {
    if (padding == Padding::valid) return 0;
    if (padding == Padding::same) return (kernel - 1) / 2;
    return std::max<int64_t>((output(in) - 1) * stride + kernel - in, 0) / 2;
  }
};

}  // namespace enas
