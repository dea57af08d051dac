// A convolutional network with its images, and the Learner that drives it (apps/run/learner.h).
#pragma once
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "apps/cifar/space.h"
#include "apps/run/learner.h"
#include "data/image_set.h"
#include "nas/image_task.h"

namespace enas {

template <ImageNet Net>
struct ImageLearner {
  // make: () -> Net, which is built in place.
  template <class Make>
  ImageLearner(std::shared_ptr<const ImageData> images, Make&& make, ImageTaskOptions options,
               const AugmentOptions& augmentation, int64_t batch)
      : data(std::move(images)),
        net(make()),
        task(net, with_moments(options, *data), data->valid),
        loader(data->train, batch, options.seed, Stream::image_order),
        augment_options(augmentation),
        pixels(data->train.images.to(net.device())) {
    augment_options.mean = data->moments.mean;
    augment_options.deviation = data->moments.deviation;
    augment_options.dtype = net.dtype();
  }

  // A pure function of (seed, epoch, batch): an image's crop and flip hang on its own index.
  ImageBatch batch(int64_t number) {
    const ImageIndices chosen = loader.batch(epoch, number);
    const Random random{task.options().seed, Stream::augmentation, static_cast<uint64_t>(epoch)};
    return {augment(pixels, chosen.indices.to(net.device()), augment_options, random),
            chosen.labels};
  }

  std::shared_ptr<const ImageData> data;
  Net net;
  ImageTask<Net> task;
  ImageLoader loader;
  AugmentOptions augment_options;
  Tensor pixels;
  int64_t epoch = 0;  // begun last

 private:
  static ImageTaskOptions with_moments(ImageTaskOptions options, const ImageData& data) {
    options.moments = data.moments;
    return options;
  }
};

template <ImageNet Net>
Learner learner_of(const std::shared_ptr<ImageLearner<Net>>& images, const ImageSpace& space) {
  Learner learner;
  learner.weights = &images->net.parameters();
  learner.text = [space](const Architecture& arch) { return text_of(space, arch); };
  learner.begin_epoch = [images](int64_t epoch) {
    images->epoch = epoch;
    return std::vector<int64_t>(static_cast<size_t>(images->loader.batches()),
                                images->loader.batch_size());
  };
  learner.step = [images](Tape& tape, std::span<const Architecture> architectures, int64_t batch,
                          uint64_t number, Sgd& sgd, double lr, const Tensor& previous) {
    StepReport report = shared_step(tape, images->task, architectures, images->batch(batch), number,
                                    sgd, lr, previous);
    return Learner::Step{std::move(report),
                         [score = images->task.last_score()] { return score.read().accuracy(); }};
  };
  learner.rewards = [images](std::span<const Architecture> architectures, uint64_t first) {
    return images->task.rewards(architectures, first);
  };
  if (images->data->valid.size() > 0) learner.score_batches = images->task.score_batches();
  learner.score = [images](const Architecture& arch, int64_t batches) {
    return images->task.score(arch, batches).accuracy();
  };
  const int64_t of_batch = learner.score_batches > 0
                               ? images->data->valid.size() / learner.score_batches
                               : images->task.options().reward_batch;
  learner.noise = [of_batch](int64_t batches) {
    const double n = static_cast<double>(batches * of_batch);
    return fmt::format("a score from {} images has a standard error of up to {:.1f} points",
                       batches * of_batch, 100 * 0.5 / std::sqrt(n));
  };
  return learner;
}

}  // namespace enas
