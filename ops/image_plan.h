// Layout of one image's scratch for the vector kernels of depthwise convolution. Plain data:
// *.simd.cpp files include this.
//   frame    the loaded image inside its border of zeros. A frame row is `stride` planes: plane p
//            has the pixels q with q % stride == p, so that output pixel j and tap kx read pixel
//            j + kx / stride of plane kx % stride: contiguous floats for any stride
//   counter  dt inside a border that lets each input pixel find all its taps
#pragma once
#include <cstdint>

namespace enas {

struct ImagePlan {
  int64_t height, width, channels, out_height, out_width, kernel, stride, top, left;
  int64_t plane, frame_row, frame_rows;  // floats, floats, rows
  int64_t counter_top, counter_left, counter_row, counter_rows;
  int64_t period;  // of expanded lanes (ops/lanes.h)
};

}  // namespace enas
