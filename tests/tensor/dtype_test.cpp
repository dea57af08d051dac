// bf16 and f16 against slow references over all 65536 patterns, and rounding at every midpoint.
#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>

namespace enas {
namespace {

// The value of a binary float with `mantissa_bits` and an exponent of `exponent_bits`, by its
// definition.
double decode(uint32_t bits, int exponent_bits, int mantissa_bits) {
  const int sign = static_cast<int>(bits >> 15);
  const int exponent = static_cast<int>(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int mantissa = static_cast<int>(bits) & ((1 << mantissa_bits) - 1);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  double value = 0;
  if (exponent == (1 << exponent_bits) - 1) {
    value = mantissa ? NAN : INFINITY;
  } else if (exponent == 0) {
    value = std::ldexp(mantissa, 1 - bias - mantissa_bits);
  } else {
    value = std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
  }
  return sign ? -value : value;
}

template <class Half>
void every_pattern(int exponent_bits, int mantissa_bits) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    Half half;
    half.bits = static_cast<uint16_t>(bits);
    const float value = static_cast<float>(half);
    const double want = decode(bits, exponent_bits, mantissa_bits);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(std::isnan(static_cast<float>(Half(value)))) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), want) << bits;
    ASSERT_EQ(std::signbit(value), std::signbit(want)) << bits;
    ASSERT_EQ(Half(value).bits, bits);
  }
}

// Between neighbours: just under the midpoint rounds down, the midpoint to even, just over it up.
template <class Half>
void every_midpoint(uint32_t infinity) {
  for (uint32_t bits = 0; bits < infinity; ++bits) {
    Half low, high;
    low.bits = static_cast<uint16_t>(bits);
    high.bits = static_cast<uint16_t>(bits + 1);
    // The neighbour of the largest finite value is where infinity would lie if it were finite.
    const double a = static_cast<double>(static_cast<float>(low));
    Half below;
    below.bits = static_cast<uint16_t>(bits - 1);
    const double b = bits + 1 == infinity ? a + (a - static_cast<double>(static_cast<float>(below)))
                                          : static_cast<double>(static_cast<float>(high));
    const auto middle = static_cast<float>((a + b) / 2);
    if (!std::isfinite(middle)) continue;
    ASSERT_EQ(static_cast<double>(middle), (a + b) / 2) << bits;
    ASSERT_EQ(Half(middle).bits, bits % 2 ? bits + 1 : bits) << bits;
    ASSERT_EQ(Half(std::nextafterf(middle, 0)).bits, bits) << bits;
    ASSERT_EQ(Half(std::nextafterf(middle, INFINITY)).bits, bits + 1) << bits;
    ASSERT_EQ(Half(-middle).bits, 0x8000u | (bits % 2 ? bits + 1 : bits)) << bits;
  }
}

TEST(DType, BFloat16Patterns) { every_pattern<BFloat16>(8, 7); }
TEST(DType, Float16Patterns) { every_pattern<Float16>(5, 10); }
TEST(DType, BFloat16RoundsToNearestEven) { every_midpoint<BFloat16>(0x7f80); }
TEST(DType, Float16RoundsToNearestEven) { every_midpoint<Float16>(0x7c00); }

TEST(DType, OverflowAndNan) {
  EXPECT_EQ(Float16(65519.996f).bits, 0x7bff);
  EXPECT_EQ(Float16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(Float16(-1e30f).bits, 0xfc00);
  EXPECT_EQ(BFloat16(3.4e38f).bits, 0x7f80);
  // A NaN whose payload lies in the bits that are cut off must not become infinity.
  EXPECT_TRUE(std::isnan(static_cast<float>(BFloat16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(static_cast<float>(Float16(std::bit_cast<float>(0x7f800001u)))));
}

TEST(DType, SizesAndNames) {
  EXPECT_EQ(size_of(DType::f64), 8u);
  EXPECT_EQ(size_of(DType::bf16), 2u);
  EXPECT_EQ(size_of(DType::u8), 1u);
  EXPECT_EQ(name_of(DType::i32), "i32");
  EXPECT_TRUE(is_floating(DType::f16));
  EXPECT_FALSE(is_floating(DType::u8));
  EXPECT_EQ(dtype_of<const double>, DType::f64);
}

TEST(DType, VisitRealRefusesStorageTypes) {
  EXPECT_EQ(visit_real(DType::f64, "op", [](auto tag) { return sizeof tag; }), 8u);
  EXPECT_THROW(visit_real(DType::bf16, "op", [](auto tag) { return sizeof tag; }), Error);
}

}  // namespace
}  // namespace enas
