// See image_loader.h.
#include "data/image_loader.h"

#include <algorithm>
#include <numeric>

namespace enas {

std::vector<int32_t> permutation(int64_t n, const Random& random) {
  std::vector<int32_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  PhiloxBlock drawn{};
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    if (i % 4 == 0) drawn = random.block(i / 4);
    const uint64_t left = order.size() - i;
    std::swap(order[i], order[i + (drawn[i % 4] * left >> 32)]);
  }
  return order;
}

ImageLoader::ImageLoader(const ImageSet& set, int64_t batch, uint64_t seed,
                         std::optional<Stream> stream)
    : labels_(set.labels), batch_(batch), seed_(seed), stream_(stream) {
  check(set.size() > 0, "image loader", "found a set without images; expected at least one");
  check(batch >= 1 && batch <= set.size(), ErrorKind::usage, "batch", "found ", batch, " for ",
        set.size(), " images; expected 1..", set.size());
}

const std::vector<int32_t>& ImageLoader::order(int64_t epoch) {
  Cached& cached = cached_[static_cast<size_t>(epoch % 2)];
  if (cached.epoch == epoch) return cached.order;
  cached.order.resize(static_cast<size_t>(images()));
  if (stream_)
    cached.order = permutation(images(), Random{seed_, *stream_, static_cast<uint64_t>(epoch)});
  else
    std::iota(cached.order.begin(), cached.order.end(), 0);
  cached.epoch = epoch;
  return cached.order;
}

// Images first, ..., first + count - 1 of the epoch, going on in the next one.
ImageIndices ImageLoader::gather(int64_t epoch, int64_t first, int64_t count) {
  ImageIndices batch{Tensor(Shape{count}, DType::i32), Tensor(Shape{count}, DType::i32)};
  auto* indices = batch.indices.data<int32_t>();
  auto* labels = batch.labels.data<int32_t>();
  const auto* all_labels = labels_.data<int32_t>();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = first + i;
    const std::vector<int32_t>& from = order(at < images() ? epoch : epoch + 1);
    indices[i] = from[static_cast<size_t>(at % images())];
    labels[i] = all_labels[indices[i]];
  }
  return batch;
}

ImageIndices ImageLoader::batch(int64_t epoch, int64_t k) {
  check(epoch >= 0 && k >= 0 && k < batches(), "image loader", "found batch ", k, " of epoch ",
        epoch, "; expected 0..", batches() - 1, " of an epoch from 0");
  return gather(epoch, k * batch_, batch_);
}

ImageIndices ImageLoader::batch_once(int64_t epoch, int64_t k) {
  check(epoch >= 0 && k >= 0 && k < batches(), "image loader", "found batch ", k, " of epoch ",
        epoch, "; expected 0..", batches() - 1, " of an epoch from 0");
  return gather(epoch, k * batch_, std::min(batch_, images() - k * batch_));
}

}  // namespace enas
