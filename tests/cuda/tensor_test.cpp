// Constants, conversions and sums of gradients on the device: the bits of the CPU.
#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <bit>

#include "tests/cuda/compare.h"

namespace enas::test {
namespace {

constexpr DType kDTypes[] = {DType::f32, DType::f64, DType::bf16,
                             DType::f16, DType::i32, DType::u8};
constexpr DType kFloating[] = {DType::f32, DType::f64, DType::bf16, DType::f16};

void expect_bits(const Tensor& there, const Tensor& want, const std::string& what) {
  const Tensor got = there.to(Device::cpu);
  ASSERT_EQ(got.dtype(), want.dtype());
  ASSERT_EQ(std::memcmp(got.raw(), want.raw(), want.bytes()), 0) << what;
}

TEST(CudaTensor, FillsAnyDtypeAtAnyAddress) {
  for (const DType dtype : kDTypes) {
    for (const double value : {0.0, -0.0, 3.0, 65504.5, 1e-7, double{NAN}}) {
      if (!is_floating(dtype) && value != 0 && value != 3) continue;
      for (const int64_t n : {1, 16, 33, 4100}) {
        for (const int64_t offset : {0, 1}) {
          Tensor want = Tensor::zeros({n + 2}, dtype);
          want.slice(offset, offset + n).fill(value);
          Tensor got = Tensor::zeros({n + 2}, dtype).to(Device::cuda);
          got.slice(offset, offset + n).fill(value);
          expect_bits(got, want, testing::PrintToString(value));
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

// Values and their like with the lower bits set, halfway between two of the narrower types and on
// either side, NaNs with payloads, quiet and not.
template <class Bits, class T>
Tensor of_patterns(DType dtype, const std::vector<Bits>& patterns) {
  Tensor t({static_cast<int64_t>(patterns.size())}, dtype);
  for (size_t i = 0; i < patterns.size(); ++i) t.data<T>()[i] = std::bit_cast<T>(patterns[i]);
  return t;
}
Tensor patterns_of(DType dtype) {
  if (dtype == DType::f32) {
    std::vector<uint32_t> bits;
    for (uint32_t top = 0; top < 1u << 16; top += 5) {
      for (const uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0x1000u, 0x2fffu, 0xffffu}) {
        bits.push_back(top << 16 | low);
      }
    }
    return of_patterns<uint32_t, float>(dtype, bits);
  }
  if (dtype == DType::f64) {
    std::vector<uint64_t> bits;
    for (uint64_t top = 0; top < 1u << 16; top += 3) {
      for (const uint64_t low : {uint64_t{0}, uint64_t{1} << 28, (uint64_t{1} << 28) + 1,
                                 uint64_t{0xffff} << 30, uint64_t{1} << 41, uint64_t{1}}) {
        bits.push_back(top << 48 | low);
      }
    }
    return of_patterns<uint64_t, double>(dtype, bits);
  }
  std::vector<uint16_t> bits(1 << 16);
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
  return dtype == DType::bf16 ? of_patterns<uint16_t, BFloat16>(dtype, bits)
                              : of_patterns<uint16_t, Float16>(dtype, bits);
}

TEST(CudaTensor, ConvertsLikeTheCpu) {
  for (const DType from : kFloating) {
    const Tensor x = patterns_of(from), there = x.to(Device::cuda);
    for (const DType to : kFloating) {
      std::ostringstream what;
      what << from << " to " << to;
      expect_bits(there.to(to), x.to(to), what.str());
    }
  }
  EXPECT_EQ(Tensor({0}, DType::f32, Device::cuda).to(DType::f16).numel(), 0);
}

TEST(CudaTensor, AccumulatesAtAnyAddress) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t n : {1, 4, 7, 1030}) {
      Tensor sum = Tensor::full({n}, 0.25, dtype), term = Tensor::full({n}, 3, dtype);
      Tensor there = at_offset(sum, 1);
      cuda::accumulate(there, at_offset(term, 0));
      EXPECT_EQ(there.to_vector(), std::vector<double>(static_cast<size_t>(n), 3.25));
    }
  }
}

}  // namespace
}  // namespace enas::test
