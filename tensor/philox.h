// Philox4x32-10, a counter-based generator (Salmon, Moraes, Dror, Shaw 2011, "Parallel random
// numbers: as easy as 1, 2, 3"). A draw is a pure function of (seed, stream, step, index): the same
// on every device and for every thread count, and a resumed run needs four integers. The last eight
// index bits beyond 2^32 share a word with the stream.
#pragma once
#include <array>
#include <cstdint>

namespace enas {

// Who draws. Appending is safe; renumbering changes every run.
enum class Stream : uint32_t {
  init = 1,
  text = 2,    // builtin:tiny-text
  window = 3,  // window lengths
  word_dropout = 4,
  embedding_dropout = 5,
  input_dropout = 6,
  recurrent_dropout = 7,
  output_dropout = 8,
  shared_sample = 9,   // architectures of a shared phase
  policy_sample = 10,  // architectures of a controller phase
  derive_sample = 11,
  uniform_sample = 12,
  reward_window = 13,
  test = 14,  // inputs of tests and benchmarks
  bootstrap = 15,
  correlate_sample = 16,
  generate = 17,
};

std::array<uint32_t, 4> philox4x32(uint64_t seed, uint32_t stream, uint64_t step, uint64_t index);

// The draws of one (seed, stream, step).
struct Random {
  uint64_t seed = 1;
  Stream stream = Stream::test;
  uint64_t step = 0;

  uint32_t bits(uint64_t index) const {
    return philox4x32(seed, static_cast<uint32_t>(stream), step, index / 4)[index % 4];
  }
  // [0, 1) with 24 bits, exact in f32.
  float uniform(uint64_t index) const { return static_cast<float>(bits(index) >> 8) * 0x1p-24f; }
  // [0, 1) with 53 bits.
  double uniform53(uint64_t index) const {
    const auto block = philox4x32(seed, static_cast<uint32_t>(stream), step, index);
    const uint64_t wide = static_cast<uint64_t>(block[0]) << 32 | block[1];
    return static_cast<double>(wide >> 11) * 0x1p-53;
  }
  // An integer in [0, n), n <= 2^32, without visible bias (64-bit multiply).
  uint32_t below(uint32_t n, uint64_t index) const {
    return static_cast<uint32_t>(static_cast<uint64_t>(bits(index)) * n >> 32);
  }
};

}  // namespace enas
