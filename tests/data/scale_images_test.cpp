// data/scale_images.h: means of areas, by hand; whole sets keep their parts.
#include "data/scale_images.h"

#include <gtest/gtest.h>

#include <cstring>

namespace enas {
namespace {

// One image of grey pixels, row by row.
Tensor grey(int64_t height, int64_t width, const std::vector<int>& values) {
  Tensor image({1, height, width, 3}, DType::u8);
  for (size_t i = 0; i < values.size(); ++i)
    for (size_t c = 0; c < 3; ++c)
      image.data<uint8_t>()[3 * i + c] = static_cast<uint8_t>(values[i] + static_cast<int>(c));
  return image;
}

void expect_grey(const Tensor& image, const std::vector<int>& values) {
  ASSERT_EQ(image.numel(), static_cast<int64_t>(3 * values.size()));
  for (size_t i = 0; i < values.size(); ++i)
    for (size_t c = 0; c < 3; ++c)
      EXPECT_EQ(image.data<uint8_t>()[3 * i + c], values[i] + static_cast<int>(c)) << i << ' ' << c;
}

TEST(ScaleImages, TakesTheMeanOfTheAreaThatAPixelCovers) {
  expect_grey(scale_images(grey(2, 2, {1, 2, 3, 4}), 1, 1), {3});  // 2.5, rounded up
  // Three columns to two: each covers one and a half; (10 + 20 / 2) / 1.5, (20 / 2 + 40) / 1.5.
  expect_grey(scale_images(grey(1, 3, {10, 20, 40}), 1, 2), {13, 33});
  // Two rows to three: the middle one covers a third of a pixel on either side.
  expect_grey(scale_images(grey(2, 1, {0, 90}), 3, 1), {0, 45, 90});
  // Rows and columns at once; the border of the four lies in the middle pixel.
  expect_grey(scale_images(grey(2, 2, {0, 40, 80, 120}), 3, 3),
              {0, 20, 40, 40, 60, 80, 80, 100, 120});
}

TEST(ScaleImages, KeepsEveryByteAtTheSameSizeAndEveryConstant) {
  Tensor images({5, 7, 4, 3}, DType::u8);
  for (int64_t i = 0; i < images.numel(); ++i)
    images.data<uint8_t>()[i] = static_cast<uint8_t>(i * 37 % 256);
  const Tensor same = scale_images(images, 7, 4);
  EXPECT_EQ(std::memcmp(same.raw(), images.raw(), images.bytes()), 0);
  std::memset(images.data<uint8_t>(), 255, images.bytes());
  for (const auto& [height, width] : {std::pair(3, 11), std::pair(31, 2), std::pair(1, 1)}) {
    const Tensor scaled = scale_images(images, height, width);
    ASSERT_EQ(scaled.shape(), (Shape{5, height, width, 3}));
    for (int64_t i = 0; i < scaled.numel(); ++i) ASSERT_EQ(scaled.data<uint8_t>()[i], 255);
  }
}

TEST(ScaleImages, PartsOfASetStayWhatTheyWere) {
  const ImageData data = load_images("builtin:shapes10", 1), scaled = scaled_to(data, 5);
  EXPECT_EQ(scaled.height(), 5);
  EXPECT_EQ(scaled.width(), 5);
  EXPECT_TRUE(scaled.scaled);
  EXPECT_EQ(scaled.fingerprint, data.fingerprint);
  EXPECT_NE(scaled.description.find(", scaled to 5 x 5"), std::string::npos);
  for (const auto part :
       {&ImageData::train, &ImageData::valid, &ImageData::test, &ImageData::all}) {
    const ImageSet &was = data.*part, &is = scaled.*part;
    EXPECT_EQ(is.size(), was.size());
    const Tensor again = scale_images(was.images, 5, 5);
    EXPECT_EQ(std::memcmp(is.images.raw(), again.raw(), again.bytes()), 0);
    EXPECT_EQ(std::memcmp(is.labels.raw(), was.labels.raw(), was.labels.bytes()), 0);
  }
  // Means stay, deviations shrink.
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(scaled.moments.mean[c], data.moments.mean[c], 2e-3);
    EXPECT_LT(scaled.moments.deviation[c], data.moments.deviation[c]);
  }
}

}  // namespace
}  // namespace enas
