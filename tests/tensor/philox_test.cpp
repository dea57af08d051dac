#include "tensor/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace enas {
namespace {

using Words = PhiloxBlock;

// The known-answer vectors published with Random123 (philox4x32, 10 rounds). Counter word 1 is
// index bits 32 to 39 under the stream's 24 bits.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32(0, 0, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32(~uint64_t{0}, 0xffffff, ~uint64_t{0}, 0xffffffffff),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32(0x299f31d0a4093822, 0x85a308, 0x0370734413198a2e, 0xd3243f6a88),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, EveryCoordinateMatters) {
  std::set<Words> seen;
  for (const uint64_t seed : {uint64_t{1}, uint64_t{2}, uint64_t{1} << 32}) {
    for (const uint32_t stream : {1u, 2u, 256u}) {
      for (const uint64_t step : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32}) {
        for (const uint64_t index : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32})
          seen.insert(philox4x32(seed, stream, step, index));
      }
    }
  }
  EXPECT_EQ(seen.size(), 81u);
}

TEST(Philox, BitsWalkThroughTheBlock) {
  const Random random{9, Stream::test, 4};
  for (uint64_t i = 0; i < 12; ++i) EXPECT_EQ(random.bits(i), philox4x32(9, 14, 4, i / 4)[i % 4]);
}

TEST(Philox, UniformsAreInRangeAndEven) {
  const Random random{3, Stream::test, 0};
  constexpr int kDraws = 100000, kBins = 20;
  double narrow[kBins] = {}, wide[kBins] = {};
  for (uint64_t i = 0; i < kDraws; ++i) {
    const float u = random.uniform(i);
    const double v = random.uniform53(i);
    ASSERT_TRUE(u >= 0 && u < 1 && v >= 0 && v < 1);
    ++narrow[static_cast<int>(u * kBins)];
    ++wide[static_cast<int>(v * kBins)];
  }
  double chi_narrow = 0, chi_wide = 0;
  for (int k = 0; k < kBins; ++k) {
    chi_narrow += std::pow(narrow[k] - kDraws / kBins, 2) / (kDraws / kBins);
    chi_wide += std::pow(wide[k] - kDraws / kBins, 2) / (kDraws / kBins);
  }
  EXPECT_LT(chi_narrow, 43.8);  // 19 degrees of freedom, p = 0.001
  EXPECT_LT(chi_wide, 43.8);
}

TEST(Philox, StreamsAndStepsAreUncorrelated) {
  constexpr int kDraws = 20000;
  const Random base{1, Stream::init, 0};
  for (const Random other :
       {Random{1, Stream::text, 0}, Random{1, Stream::init, 1}, Random{2, Stream::init, 0}}) {
    double product = 0;
    for (uint64_t i = 0; i < kDraws; ++i)
      product += 12 * (base.uniform53(i) - 0.5) * (other.uniform53(i) - 0.5);
    EXPECT_LT(std::fabs(product) / std::sqrt(kDraws), 3.5);  // standard deviations
  }
}

TEST(Philox, BelowCoversItsRange) {
  std::set<uint32_t> seen;
  for (uint64_t i = 0; i < 400; ++i) {
    const uint32_t k = Random{1, Stream::test, 0}.below(7, i);
    ASSERT_LT(k, 7u);
    seen.insert(k);
  }
  EXPECT_EQ(seen.size(), 7u);
}

}  // namespace
}  // namespace enas
