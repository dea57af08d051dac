// Batches of images as indices and labels (docs/method.md, "omega epoch"): an epoch visits a
// permutation of all N images in ceil(N / batch) full batches; the last is filled from the next
// epoch's permutation, which visits those images all the same. Everything is a pure function of
// (seed, stream, epoch, batch), so that a resume needs only integers. Pixels stay where they are:
// ops/augment.h takes the whole set and the indices.
#pragma once
#include <optional>
#include <vector>

#include "data/image_set.h"
#include "tensor/philox.h"

namespace enas {

// What one batch consists of.
struct ImageIndices {
  Tensor indices;  // i32 [n], into the set
  Tensor labels;   // i32 [n]
};

// A permutation of 0, ..., n - 1: Fisher-Yates with the draws of (seed, stream, epoch).
std::vector<int32_t> permutation(int64_t n, const Random& random);

class ImageLoader {
 public:
  // Shuffled by the stream: Stream::image_order to train, Stream::held_out_order to score; without
  // one the images come as they lie. Refuses (kind usage) a batch larger than the set.
  ImageLoader(const ImageSet& set, int64_t batch, uint64_t seed, std::optional<Stream> stream);

  int64_t images() const { return labels_.size(0); }
  int64_t batch_size() const { return batch_; }
  int64_t batches() const { return (images() + batch_ - 1) / batch_; }  // an epoch

  // Batch k of the epoch, always full.
  ImageIndices batch(int64_t epoch, int64_t k);
  // The same without images of the next epoch: the last one may be shorter, every image comes once.
  ImageIndices batch_once(int64_t epoch, int64_t k);

 private:
  const std::vector<int32_t>& order(int64_t epoch);
  ImageIndices gather(int64_t epoch, int64_t first, int64_t count);

  Tensor labels_;
  int64_t batch_;
  uint64_t seed_;
  std::optional<Stream> stream_;
  // The last two epochs asked for: a batch touches at most two.
  struct Cached {
    int64_t epoch = -1;
    std::vector<int32_t> order;
  };
  std::array<Cached, 2> cached_;
};

}  // namespace enas
