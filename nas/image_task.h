// A convolutional network with its images: what search, derive, train and eval run (concept of
// nas/search.h). Source: docs/method.md "What we implement" (validation sets are fixed, batch norm
// in search), sections 2.3 and 3.4 (losses, rewards).
#pragma once
#include <algorithm>
#include <concepts>
#include <optional>
#include <span>
#include <vector>

#include "data/image_loader.h"
#include "nas/architecture.h"
#include "nn/parameter.h"
#include "nn/pass.h"
#include "ops/augment.h"
#include "ops/pointwise.h"
#include "ops/softmax_cross_entropy.h"
#include "tensor/readback.h"

namespace enas {

// A training batch: images of the net's dtype, augmented, where the net lives; labels on the CPU.
struct ImageBatch {
  Tensor images;  // [N, H, W, 3]
  Tensor labels;  // i32 [N]
};

// Total negative log-likelihood, nats, and right answers over a number of images.
struct ImageScore {
  double nll = 0;
  int64_t correct = 0, images = 0;
  double loss() const { return nll / static_cast<double>(images); }
  // In [0, 1]; NaN where a logit was not finite.
  double accuracy() const;
};

// Logits on their way to the host.
class UnreadImages {
 public:
  void add(const Tensor& logits, const Tensor& labels);  // labels i32 on the CPU
  ImageScore read() const;                               // waits for them
  // Softmax of each row.
  std::vector<std::vector<double>> probabilities() const;

 private:
  template <class F>
  void each_row(F&& f) const;  // f(row of logits, label)

  std::vector<Readback> logits_;
  std::vector<std::vector<int32_t>> labels_;
};

// Images normalised as in training, not augmented, where `set` lives.
Tensor normalized(const Tensor& images, const Tensor& indices, const ChannelMoments& moments,
                  DType dtype);

struct ImageTaskOptions {
  int64_t reward_batch = 128;  // images of a reward, and at most of each batch of score()
  uint64_t seed = 1;
  ChannelMoments moments = {};    // of the training part
  double auxiliary_weight = 0.4;  // of the auxiliary head's loss
  int64_t drop_path_steps = 0;    // steps over which the drop-path schedule runs; 0: no drop path
  bool reward_dropout = false;    // parity switch: the head's dropout stays on in rewards
};

// What the task asks of a network.
template <class N>
concept ImageNet = requires(N net, Tape& tape, const Architecture& arch, const Tensor& images,
                            const PassMode& mode, const Tensor& gate) {
  { net.forward(tape, arch, images, mode) } -> std::same_as<Logits>;
  { net.parameters() } -> std::same_as<ParameterStore&>;
  // Those that a step may move: all but a frozen auxiliary head.
  { net.trainable() } -> std::same_as<std::vector<Parameter*>>;
  { net.keeps_running() } -> std::convertible_to<bool>;  // statistics, for evaluation
  net.update_running(gate);                              // from the passes that collected
  { net.dtype() } -> std::same_as<DType>;
  { net.device() } -> std::same_as<Device>;
};

// Held-out images in their fixed order: batches for rewards and for whole scores.
class HeldOut {
 public:
  // Refuses (usage) an empty set and a batch below 1. Pixels go to `device`.
  HeldOut(const ImageSet& set, int64_t batch, uint64_t seed, Device device);
  ImageIndices reward_batch(uint64_t sample);  // a full batch of its own for each sample
  ImageIndices score_batch(int64_t k) { return score_.batch_once(0, k); }
  int64_t score_batches() const { return score_.batches(); }  // of nearly equal size
  const Tensor& images() const { return images_; }

 private:
  Tensor images_;
  ImageLoader reward_, score_;
};

template <ImageNet Net>
class ImageTask {
 public:
  // valid may be empty: then rewards and score are refused (usage).
  ImageTask(Net& net, const ImageTaskOptions& options, const ImageSet& valid)
      : net_(net), options_(options) {
    if (valid.size() > 0) valid_.emplace(valid, options.reward_batch, options.seed, net.device());
  }

  // Of shared_step: cross-entropy on a batch, plus the auxiliary head's.
  Var train_loss(Tape& tape, const Architecture& arch, const ImageBatch& batch, uint64_t draw);
  void finish_step(const Tensor& gate) {  // running statistics, unless the step was not finite
    net_.update_running(gate);
    finished_ = true;
  }
  std::vector<Parameter*> all_parameters() { return net_.trainable(); }
  // Of the last step, without the auxiliary head: over all its architectures.
  const UnreadImages& last_score() const { return last_; }

  // Of controller_step: each architecture's accuracy on a held-out batch of its own, number first,
  // first + 1, ...; batch statistics (unless the net keeps running ones), no dropout.
  std::vector<double> rewards(std::span<const Architecture> architectures, uint64_t first);
  // The whole held-out part in its fixed order; batches > 0: only the first ones.
  ImageScore score(const Architecture& arch, int64_t batches = 0);
  int64_t score_batches() const { return valid_ ? valid_->score_batches() : 0; }
  // All images of a set in their order: the figure that is reported.
  ImageScore evaluate(const Architecture& arch, const ImageSet& set);
  // Probabilities of the classes, u8 images [N, H, W, 3].
  std::vector<std::vector<double>> predict(const Architecture& arch, const Tensor& images);

  Net& net() { return net_; }
  const ImageTaskOptions& options() const { return options_; }

 private:
  PassMode scoring_mode() const {
    PassMode mode;
    mode.running = net_.keeps_running();
    mode.seed = options_.seed;
    return mode;
  }
  HeldOut& held_out() {
    check(valid_.has_value(), ErrorKind::usage, "image task",
          "has no held-out images to score on; give some, or do not score");
    return *valid_;
  }
  void score_into(UnreadImages& scores, const Architecture& arch, const Tensor& images,
                  const ImageIndices& batch, const PassMode& mode);
  // All images of a set in their order.
  UnreadImages score_set(const Architecture& arch, const ImageSet& set);

  Net& net_;
  ImageTaskOptions options_;
  std::optional<HeldOut> valid_;
  UnreadImages last_;
  bool finished_ = true;
  Tape scoring_;
};

template <ImageNet Net>
Var ImageTask<Net>::train_loss(Tape& tape, const Architecture& arch, const ImageBatch& batch,
                               uint64_t draw) {
  if (finished_) last_ = UnreadImages();
  finished_ = false;
  PassMode mode;
  mode.dropout = mode.auxiliary = true;
  mode.collect = net_.keeps_running();
  mode.seed = options_.seed, mode.draw = draw;
  if (options_.drop_path_steps > 0) {
    mode.progress = std::min(
        1.0, static_cast<double>(draw + 1) / static_cast<double>(options_.drop_path_steps));
  }
  Logits out = net_.forward(tape, arch, batch.images, mode);
  last_.add(out.logits.value(), batch.labels);
  const Tensor labels = batch.labels.to(net_.device());
  const Var loss = softmax_cross_entropy(std::move(out.logits), labels);
  if (!out.auxiliary.value().defined()) return loss;
  return add(loss, scale(softmax_cross_entropy(std::move(out.auxiliary), labels),
                         options_.auxiliary_weight));
}

template <ImageNet Net>
void ImageTask<Net>::score_into(UnreadImages& scores, const Architecture& arch,
                                const Tensor& images, const ImageIndices& batch,
                                const PassMode& mode) {
  const Tape::NoGrad no_grad(scoring_);
  const Tensor x = normalized(images, batch.indices, options_.moments, net_.dtype());
  scores.add(net_.forward(scoring_, arch, x, mode).logits.value(), batch.labels);
}

template <ImageNet Net>
std::vector<double> ImageTask<Net>::rewards(std::span<const Architecture> architectures,
                                            uint64_t first) {
  HeldOut& held = held_out();
  std::vector<UnreadImages> scores(architectures.size());
  for (size_t s = 0; s < scores.size(); ++s) {
    PassMode mode = scoring_mode();
    mode.dropout = options_.reward_dropout;
    mode.draw = ~uint64_t{0} - (first + s);  // masks that no training step draws
    score_into(scores[s], architectures[s], held.images(), held.reward_batch(first + s), mode);
  }
  if (!scores.empty()) scores.back().read();  // one wait: those before have arrived then
  std::vector<double> list;
  for (const UnreadImages& score : scores) list.push_back(score.read().accuracy());
  return list;
}

template <ImageNet Net>
ImageScore ImageTask<Net>::score(const Architecture& arch, int64_t batches) {
  HeldOut& held = held_out();
  const int64_t all = held.score_batches(), n = batches > 0 ? std::min(batches, all) : all;
  UnreadImages scores;
  for (int64_t k = 0; k < n; ++k)
    score_into(scores, arch, held.images(), held.score_batch(k), scoring_mode());
  return scores.read();
}

template <ImageNet Net>
UnreadImages ImageTask<Net>::score_set(const Architecture& arch, const ImageSet& set) {
  ImageLoader loader(set, std::min(options_.reward_batch, set.size()), options_.seed, std::nullopt);
  const Tensor images = set.images.to(net_.device());
  UnreadImages scores;
  for (int64_t k = 0; k < loader.batches(); ++k)
    score_into(scores, arch, images, loader.batch_once(0, k), scoring_mode());
  return scores;
}

template <ImageNet Net>
ImageScore ImageTask<Net>::evaluate(const Architecture& arch, const ImageSet& set) {
  check(set.size() > 0, ErrorKind::usage, "evaluation", "has no images to score");
  return score_set(arch, set).read();
}

template <ImageNet Net>
std::vector<std::vector<double>> ImageTask<Net>::predict(const Architecture& arch,
                                                         const Tensor& images) {
  const std::vector<int32_t> unknown(static_cast<size_t>(images.size(0)), 0);  // labels
  return score_set(arch, {images, Tensor::from_indices(unknown, {images.size(0)})}).probabilities();
}

}  // namespace enas
