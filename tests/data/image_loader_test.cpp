// Batches of images: every epoch visits every image once in its own batches, the last batch borrows
// from the next epoch, and all is pure in seed, stream, epoch and batch.
#include "data/image_loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace enas {
namespace {

constexpr uint64_t kSeed = 5;

// n images of one pixel, (i, 2 i, 3 i); label i mod 7.
ImageSet numbered(int64_t n) {
  ImageSet set{Tensor(Shape{n, 1, 1, 3}, DType::u8), Tensor(Shape{n}, DType::i32)};
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < 3; ++c)
      set.images.data<uint8_t>()[3 * i + c] = static_cast<uint8_t>((c + 1) * i);
    set.labels.data<int32_t>()[i] = static_cast<int32_t>(i % 7);
  }
  return set;
}

std::vector<int32_t> values(const Tensor& indices) {
  const auto* begin = indices.data<int32_t>();
  return {begin, begin + indices.numel()};
}

std::vector<int32_t> counting(int32_t n) {
  std::vector<int32_t> numbers(static_cast<size_t>(n));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// The first n indices of the epoch, in order.
std::vector<int32_t> epoch_of(ImageLoader& loader, int64_t epoch) {
  std::vector<int32_t> all;
  for (int64_t k = 0; k < loader.batches(); ++k) {
    const std::vector<int32_t> batch = values(loader.batch(epoch, k).indices);
    all.insert(all.end(), batch.begin(), batch.end());
  }
  return all;
}

TEST(ImageLoader, PermutationsAreUniform) {
  std::map<std::vector<int32_t>, int> counts;
  const int draws = 12000;
  for (uint64_t step = 0; step < draws; ++step)
    ++counts[permutation(4, Random{kSeed, Stream::test, step})];
  EXPECT_EQ(counts.size(), 24u);
  const double mean = draws / 24., sigma = std::sqrt(mean * 23 / 24);
  for (const auto& [order, count] : counts) EXPECT_NEAR(count, mean, 4.5 * sigma);
  EXPECT_EQ(permutation(1, {}), std::vector<int32_t>{0});
  EXPECT_TRUE(permutation(0, {}).empty());
  std::vector<int32_t> long_one = permutation(1000, Random{kSeed, Stream::test, 0});
  EXPECT_NE(long_one, counting(1000));
  std::sort(long_one.begin(), long_one.end());
  EXPECT_EQ(long_one, counting(1000));
}

TEST(ImageLoader, AnEpochVisitsEveryImageAndBorrowsWhatItLacks) {
  const ImageSet set = numbered(50);
  ImageLoader loader(set, 16, kSeed, Stream::image_order);
  EXPECT_EQ(loader.batches(), 4);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const std::vector<int32_t> now = epoch_of(loader, epoch), next = epoch_of(loader, epoch + 1);
    ASSERT_EQ(now.size(), 64u);
    std::vector<int32_t> own(now.begin(), now.begin() + 50);
    std::sort(own.begin(), own.end());
    EXPECT_EQ(own, counting(50));
    // Borrowed from the next epoch, which draws them again.
    EXPECT_TRUE(std::equal(now.begin() + 50, now.end(), next.begin()));
    EXPECT_NE(std::vector<int32_t>(now.begin(), now.begin() + 50),
              std::vector<int32_t>(next.begin(), next.begin() + 50));
  }
}

TEST(ImageLoader, BatchesArePureInSeedStreamEpochAndBatch) {
  const ImageSet set = numbered(100);
  ImageLoader loader(set, 30, kSeed, Stream::image_order);
  ImageLoader backwards(set, 30, kSeed, Stream::image_order);
  ImageLoader other_seed(set, 30, kSeed + 1, Stream::image_order);
  ImageLoader other_stream(set, 30, kSeed, Stream::held_out_order);
  for (int64_t epoch = 6; epoch-- > 0;)
    for (int64_t k = 4; k-- > 0;) {
      const std::vector<int32_t> batch = values(backwards.batch(epoch, k).indices);
      EXPECT_EQ(values(loader.batch(epoch, k).indices), batch);
      EXPECT_EQ(values(ImageLoader(set, 30, kSeed, Stream::image_order).batch(epoch, k).indices),
                batch);
      EXPECT_NE(values(other_seed.batch(epoch, k).indices), batch);
      EXPECT_NE(values(other_stream.batch(epoch, k).indices), batch);
    }
}

TEST(ImageLoader, LabelsAreThoseOfTheIndices) {
  const ImageSet set = numbered(20);
  ImageLoader loader(set, 6, kSeed, Stream::image_order);
  const ImageIndices batch = loader.batch(1, 3);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(values(batch.labels)[i], values(batch.indices)[i] % 7);
}

TEST(ImageLoader, OnceVisitsEveryImageWithAShorterLastBatch) {
  const ImageSet set = numbered(50);
  ImageLoader loader(set, 16, kSeed, Stream::held_out_order);
  ImageLoader in_order(set, 16, kSeed, std::nullopt);
  std::vector<int32_t> all, ordered;
  for (int64_t k = 0; k < 4; ++k) {
    const std::vector<int32_t> batch = values(loader.batch_once(0, k).indices);
    EXPECT_EQ(batch.size(), k < 3 ? 16u : 2u);
    all.insert(all.end(), batch.begin(), batch.end());
    const std::vector<int32_t> next = values(in_order.batch_once(0, k).indices);
    ordered.insert(ordered.end(), next.begin(), next.end());
  }
  EXPECT_NE(all, counting(50));
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, counting(50));
  EXPECT_EQ(ordered, counting(50));
  EXPECT_EQ(values(in_order.batch(0, 3).indices).back(), 13);
}

TEST(ImageLoader, RefusesWhatCannotBeBatched) {
  const ImageSet set = numbered(5);
  for (const int64_t batch : {-1, 0, 6}) {
    try {
      ImageLoader(set, batch, kSeed, Stream::image_order);
      ADD_FAILURE() << batch;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_NE(std::string(error.what()).find("expected 1..5"), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(ImageLoader(ImageSet{}, 1, kSeed, Stream::image_order), Error);
  ImageLoader loader(set, 5, kSeed, Stream::image_order);
  EXPECT_EQ(loader.batches(), 1);
  EXPECT_THROW(loader.batch(0, 1), Error);
  EXPECT_THROW(loader.batch_once(-1, 0), Error);
}

}  // namespace
}  // namespace enas
