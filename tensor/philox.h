// Philox4x32-10, a counter-based generator (Salmon, Moraes, Dror, Shaw 2011, "Parallel random
// numbers: as easy as 1, 2, 3"). A draw is a pure function of (seed, stream, step, index): the same
// on every device and for every thread count, and a resumed run needs four integers. Bits 32 to 39
// of the index share a word with the stream.
#pragma once
#include <compare>
#include <cstdint>

#include "tensor/device.h"

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
  image_order = 18,     // of training images
  held_out_order = 19,  // of those that score
  image_hold_out = 20,  // which images of a folder are held out
  shapes = 21,          // builtin:shapes10
  augmentation = 22,    // crop, flip, cutout of an image
  drop_path = 23,
  head_dropout = 24,  // before a classifier
};

struct PhiloxBlock {
  uint32_t word[4];
  ENAS_HD uint32_t operator[](uint64_t i) const { return word[i]; }
  auto operator<=>(const PhiloxBlock&) const = default;
};
ENAS_HD inline PhiloxBlock philox4x32(uint64_t seed, uint32_t stream, uint64_t step,
                                      uint64_t index) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  // Counter words: index (40 bits), stream (24 bits) beside its top, step (64 bits).
  uint32_t c0 = static_cast<uint32_t>(index),
           c1 = static_cast<uint32_t>(index >> 32 & 0xff) | stream << 8;
  uint32_t c2 = static_cast<uint32_t>(step), c3 = static_cast<uint32_t>(step >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = kMultiplier0 * c0, p1 = kMultiplier1 * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ key0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ key1;
    c3 = static_cast<uint32_t>(p0);
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return {{c0, c1, c2, c3}};
}

// The draws of one (seed, stream, step).
struct Random {
  uint64_t seed = 1;
  Stream stream = Stream::test;
  uint64_t step = 0;

  // The four words of bits(4 block), ..., bits(4 block + 3): kernels draw them together.
  ENAS_HD PhiloxBlock block(uint64_t block) const {
    return philox4x32(seed, static_cast<uint32_t>(stream), step, block);
  }
  ENAS_HD uint32_t bits(uint64_t index) const {
    const PhiloxBlock drawn = block(index / 4);
    const uint64_t at = index % 4;  // selected, not indexed: a GPU keeps no array in registers
    return at == 0   ? drawn.word[0]
           : at == 1 ? drawn.word[1]
           : at == 2 ? drawn.word[2]
                     : drawn.word[3];
  }
  // [0, 1) with 24 bits, exact in f32.
  ENAS_HD float uniform(uint64_t index) const { return uniform_of(bits(index)); }
  ENAS_HD static float uniform_of(uint32_t bits) {
    return static_cast<float>(bits >> 8) * 0x1p-24f;
  }
  // [0, 1) with 53 bits.
  ENAS_HD double uniform53(uint64_t index) const {
    const PhiloxBlock drawn = block(index);
    const uint64_t wide = static_cast<uint64_t>(drawn.word[0]) << 32 | drawn.word[1];
    return static_cast<double>(wide >> 11) * 0x1p-53;
  }
  // An integer in [0, n), n <= 2^32, without visible bias (64-bit multiply).
  ENAS_HD uint32_t below(uint32_t n, uint64_t index) const {
    return static_cast<uint32_t>(static_cast<uint64_t>(bits(index)) * n >> 32);
  }
};

}  // namespace enas
