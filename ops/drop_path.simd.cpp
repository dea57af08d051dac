// Kernel of ops/drop_path.h for f32: one example.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// y (+)= x * factor over n elements.
void drop_path_scale(const float* x, float factor, float* y, int64_t n, bool add) {
  if (add) {
    for (int64_t i = 0; i < n; ++i) y[i] += x[i] * factor;
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] * factor;
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
