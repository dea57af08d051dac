// Layout of one image's scratch for the vector kernels of depthwise convolution. Plain data:
// *.simd.cpp files include this.
//   frame    the loaded image inside its border of zeros. A frame row is `stride` planes: plane p
//            has the pixels q with q % stride == p, so that output pixel j and tap kx read pixel
//            j + kx / stride of plane kx % stride: contiguous floats for any stride
//   dt frame dt, the gradient of the output, inside a border in which every input pixel finds all
//            the outputs that read it. With stride 1 the gradient of the input is a convolution of
//            this frame with the kernel turned round
#pragma once
#include <cstdint>

namespace enas {

struct ImagePlan {
  int64_t height, width, channels, out_height, out_width, kernel, stride, top, left;
  int64_t plane, frame_row, frame_rows;      // floats, floats, rows
  int64_t dt_top, dt_left, dt_row, dt_rows;  // of the dt frame: pixels, pixels, floats, rows
  int64_t period;                            // of expanded lanes (ops/lanes.h)
};

}  // namespace enas
