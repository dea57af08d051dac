#include "nas/image_task.h"

#include <cmath>
#include <limits>

namespace enas {
namespace {

// The logits of one image.
struct Row {
  const double* logit;
  size_t classes;
  double most() const { return *std::max_element(logit, logit + classes); }
  // log sum exp; NaN where a logit is not finite.
  double log_total() const {
    const double top = most();
    double total = 0;
    for (size_t c = 0; c < classes; ++c) total += std::exp(logit[c] - top);
    return top + std::log(total);
  }
};

int64_t batches_of(int64_t images, int64_t batch) { return (images + batch - 1) / batch; }

int64_t held_out_batch(const ImageSet& set, int64_t batch) {
  check(set.size() > 0, ErrorKind::usage, "image task", "there are no held-out images to score on");
  check(batch >= 1, ErrorKind::usage, "image task", "a batch must be 1 image or more, got ", batch);
  return std::min(batch, set.size());
}

// Batches of the same number, as even as can be: with batch statistics a small one scores
// differently.
int64_t even_batch(int64_t images, int64_t batch) {
  const int64_t n = batches_of(images, batch);
  return batches_of(images, n);
}

}  // namespace

double ImageScore::accuracy() const {
  if (!std::isfinite(nll)) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(correct) / static_cast<double>(images);
}

void UnreadImages::add(const Tensor& logits, const Tensor& labels) {
  check(logits.rank() == 2 && labels.numel() == logits.size(0), "image score", "logits ",
        logits.shape(), " do not fit labels ", labels.shape());
  logits_.emplace_back(logits);
  const int32_t* label = labels.data<int32_t>();
  labels_.emplace_back(label, label + labels.numel());
}

template <class F>
void UnreadImages::each_row(F&& f) const {
  if (!logits_.empty()) logits_.back().values();  // one wait: the copies before have arrived then
  for (size_t k = 0; k < logits_.size(); ++k) {
    const std::vector<double>& values = logits_[k].values();
    const size_t rows = labels_[k].size(), classes = values.size() / rows;
    for (size_t r = 0; r < rows; ++r)
      f(Row{values.data() + r * classes, classes}, static_cast<size_t>(labels_[k][r]));
  }
}

ImageScore UnreadImages::read() const {
  ImageScore score;
  each_row([&](const Row& row, size_t label) {
    const double* best = std::max_element(row.logit, row.logit + row.classes);
    score.nll += row.log_total() - row.logit[label];
    score.correct += static_cast<size_t>(best - row.logit) == label ? 1 : 0;
    ++score.images;
  });
  return score;
}

std::vector<std::vector<double>> UnreadImages::probabilities() const {
  std::vector<std::vector<double>> list;
  each_row([&](const Row& row, size_t) {
    std::vector<double>& p = list.emplace_back();
    for (size_t c = 0; c < row.classes; ++c) p.push_back(std::exp(row.logit[c] - row.log_total()));
  });
  return list;
}

Tensor normalized(const Tensor& images, const Tensor& indices, const ChannelMoments& moments,
                  DType dtype) {
  AugmentOptions options;
  options.mean = moments.mean;
  options.deviation = moments.deviation;
  options.dtype = dtype;
  return augment(images, indices.to(images.device()), options.plain(), Random{});
}

HeldOut::HeldOut(const ImageSet& set, int64_t batch, uint64_t seed, Device device)
    : reward_(set, held_out_batch(set, batch), seed, Stream::held_out_order),
      score_(set, even_batch(set.size(), held_out_batch(set, batch)), seed,
             Stream::held_out_order) {
  images_ = set.images.to(device);
}

ImageIndices HeldOut::reward_batch(uint64_t sample) {
  const auto number = static_cast<int64_t>(sample % (uint64_t{1} << 62));
  return reward_.batch(number / reward_.batches(), number % reward_.batches());
}

}  // namespace enas
