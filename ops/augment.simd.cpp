// Kernel of ops/augment.h for f32: bytes to normalised values, three channels.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// out = (in - centre) * scale, channel by channel; a run starts at channel 0.
void augment_run(const uint8_t* in, const float* centre, const float* scale, float* out,
                 int64_t values) {
  // Channels repeat every 3 vectors.
  constexpr int kPeriod = 3 * kWidth;
  float centres[kPeriod], scales[kPeriod];
  for (int i = 0; i < kPeriod; ++i) centres[i] = centre[i % 3], scales[i] = scale[i % 3];
  int64_t i = 0;
  for (; i + kPeriod <= values; i += kPeriod) {
    for (int k = 0; k < kPeriod; ++k)
      out[i + k] = (static_cast<float>(in[i + k]) - centres[k]) * scales[k];
  }
  for (int k = 0; i < values; ++i, ++k)
    out[i] = (static_cast<float>(in[i]) - centres[k]) * scales[k];
}

}  // namespace enas::ENAS_ISA_NAMESPACE
