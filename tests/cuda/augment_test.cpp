// Augmented images on the device have the bits of the CPU's.
#include "ops/augment.h"

#include <gtest/gtest.h>

#include "tests/cuda/compare.h"

namespace enas::test {
namespace {

constexpr Random kRandom{11, Stream::augmentation, 3};

Tensor some_images(int64_t count, int64_t height, int64_t width) {
  std::vector<double> v(static_cast<size_t>(count * height * width * 3));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>(i * 37 % 251);
  return Tensor::from(v, {count, height, width, 3}, DType::u8);
}

TEST(CudaAugment, TheBitsOfTheCpu) {
  const Tensor set = some_images(9, 13, 10);
  const Tensor indices = Tensor::from_indices({8, 0, 3, 3, 5, 1, 2, 7, 6, 4, 0, 8}, {12});
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int mode : {0, 1, 2, 3, 4, 5, 6, 7}) {
      AugmentOptions o;
      o.pad = mode & 1 ? 4 : 0, o.flip = mode & 2, o.cutout = mode & 4 ? 6 : 0;
      o.corner = mode == 5;
      o.mean = {0.4914, 0.4822, 0.4465}, o.deviation = {0.247, 0.2435, 0.2616};
      o.dtype = dtype;
      const Tensor want = augment(set, indices, o, kRandom, 5);
      expect_same_each_run(want, 0, [&] {
        return augment(set.to(Device::cuda), indices.to(Device::cuda), o, kRandom, 5);
      });
      if (HasFatalFailure()) return;
    }
  }
}

TEST(CudaAugment, ManyImages) {
  const Tensor set = some_images(5, 1, 1);
  std::vector<int32_t> indices(65600);
  for (size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<int32_t>(i % 5);
  const Tensor list = Tensor::from_indices(indices, {65600});
  const Tensor want = augment(set, list, {}, kRandom);
  expect_near(augment(set.to(Device::cuda), list.to(Device::cuda), {}, kRandom), want, 0);
}

TEST(CudaAugment, AnIndexOutsideIsTold) {
  const Tensor set = some_images(3, 2, 2).to(Device::cuda);
  for (const int32_t wrong : {-1, 3}) {
    const Tensor y =
        augment(set, Tensor::from_indices({0, wrong}, {2}).to(Device::cuda), {}, kRandom);
    try {
      y.to_vector();
      FAIL() << wrong << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      EXPECT_EQ(std::string(error.what()),
                "augment: index " + std::to_string(wrong) + " at position 1 is outside 3 rows");
    }
  }
}

}  // namespace
}  // namespace enas::test
