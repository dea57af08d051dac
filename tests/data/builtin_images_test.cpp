// builtin:shapes10: the same bytes everywhere, balanced, without repeated images, and neither
// colours nor a linear map of the pixels tell the class.
#include "data/builtin_images.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "autograd/tape.h"
#include "data/image_loader.h"
#include "ops/matmul.h"
#include "ops/softmax_cross_entropy.h"
#include "tensor/fnv.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

constexpr uint64_t kFewHash = 0x64675f39bf63058;  // of shapes10(7, {40, 10, 20})

uint64_t hash(const Tensor& images) {
  Fnv1a hash;
  for (int64_t i = 0; i < images.numel(); ++i) hash.add(images.data<uint8_t>()[i]);
  return hash.value();
}

TEST(Shapes10, BytesAreTheSameOnEveryMachineForAnyCounts) {
  const ImageSource few = shapes10(7, {40, 10, 20});
  EXPECT_EQ(hash(few.train.images), kFewHash);
  const ImageSource more = shapes10(7, {80, 20, 20});
  EXPECT_EQ(hash(more.train.images.slice(0, 50)), kFewHash);
  EXPECT_EQ(hash(more.test.images), hash(few.test.images));
  EXPECT_NE(hash(shapes10(8, {40, 10, 20}).train.images), kFewHash);
}

TEST(Shapes10, PartsAreBalancedAndNoImageComesTwice) {
  const ImageSource source = shapes10();
  EXPECT_EQ(source.classes.size(), 10u);
  EXPECT_EQ(source.train.size(), 9000);
  EXPECT_EQ(source.held_out, 1000);
  EXPECT_EQ(source.test.size(), 1000);
  std::set<std::string> seen;
  for (const ImageSet* set : {&source.train, &source.test}) {
    std::vector<int64_t> counts(10);
    for (int64_t i = 0; i < set->size(); ++i) {
      ++counts[static_cast<size_t>(set->labels.data<int32_t>()[i])];
      const auto* begin = set->images.data<uint8_t>() + i * 3072;
      seen.emplace(begin, begin + 3072);
    }
    EXPECT_EQ(counts, std::vector<int64_t>(10, set->size() / 10));
  }
  EXPECT_EQ(seen.size(), 10000u);
}

// Inputs of softmax regression: x [N, D] in about -1..1.
Tensor pixels_of(const ImageSet& set) {
  Tensor x(Shape{set.size(), 3072});
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data<float>()[i] = static_cast<float>(set.images.data<uint8_t>()[i]) / 128 - 1;
  return x;
}
// The mean and the mean square of each channel.
Tensor colours_of(const ImageSet& set) {
  const Tensor pixels = pixels_of(set);
  Tensor x = Tensor::zeros(Shape{set.size(), 6});
  for (int64_t i = 0; i < pixels.numel(); ++i) {
    float* row = x.data<float>() + i / 3072 * 6 + i % 3;
    const float value = pixels.data<float>()[i];
    row[0] += value / 1024;
    row[3] += value * value / 1024;
  }
  return x;
}

// Test accuracy of softmax regression after some epochs of gradient descent.
double linear_accuracy(const ImageSource& source, Tensor (*features)(const ImageSet&), double rate,
                       int64_t epochs) {
  const Tensor x = features(source.train), test = features(source.test);
  const int64_t dims = x.size(1), batch = 100;
  Parameter weight{"weight", Tensor::zeros(Shape{dims, 10}), {}};
  ImageLoader loader(source.train, batch, 1, Stream::image_order);
  for (int64_t step = 0; step < epochs * loader.batches(); ++step) {
    const ImageIndices indices = loader.batch(step / loader.batches(), step % loader.batches());
    Tensor rows(Shape{batch, dims});
    for (int64_t i = 0; i < batch; ++i)
      std::copy_n(x.data<float>() + indices.indices.data<int32_t>()[i] * dims, dims,
                  rows.data<float>() + i * dims);
    Tape tape;
    const Var logits = matmul(rows, tape.use(weight));
    tape.backward(softmax_cross_entropy(logits, indices.labels));
    for (int64_t i = 0; i < weight.value.numel(); ++i)
      weight.value.data<float>()[i] -= static_cast<float>(rate) * weight.grad.data<float>()[i];
  }
  const Tensor logits = matmul(test, weight.value).value();
  int64_t right = 0;
  for (int64_t i = 0; i < source.test.size(); ++i) {
    const float* row = logits.data<float>() + i * 10;
    right += std::max_element(row, row + 10) - row == source.test.labels.data<int32_t>()[i];
  }
  return static_cast<double>(right) / static_cast<double>(source.test.size());
}

TEST(Shapes10, ALinearClassifierStaysPoor) {
  EXPECT_LT(linear_accuracy(shapes10(), pixels_of, .005, 6), .25);
}

TEST(Shapes10, ColoursDoNotTellTheClass) {
  EXPECT_LT(linear_accuracy(shapes10(), colours_of, .5, 6), .25);
}

TEST(Shapes10, AnyNumberOfThreadsDrawsTheSame) {
  const int threads = thread_count();
  std::set<uint64_t> hashes;
  for (const int n : {1, 2, 3, 8}) {
    set_thread_count(n);
    hashes.insert(hash(shapes10(3, {100, 10, 10}).train.images));
  }
  set_thread_count(threads);
  EXPECT_EQ(hashes.size(), 1u);
}

}  // namespace
}  // namespace enas
