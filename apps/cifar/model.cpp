#include "apps/cifar/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "apps/run/console.h"

namespace enas {
namespace {

constexpr int64_t kBatch = 100;  // images at a time; running statistics make it a matter of memory

// The task needs no held-out images to evaluate.
template <class Net>
void drive(ImageModel& model, const std::shared_ptr<Net>& net) {
  restore(net->parameters(), model.file.file);
  ImageTaskOptions options;
  options.reward_batch = kBatch;
  options.moments = model.file.moments;
  const auto task = std::make_shared<ImageTask<Net>>(*net, options, ImageSet{});
  const Architecture arch = model.file.arch;
  model.evaluate = [net, task, arch](const ImageSet& set) { return task->evaluate(arch, set); };
  model.predict = [net, task, arch](const Tensor& images) { return task->predict(arch, images); };
}

}  // namespace

ImageModel load_image_model(const std::string& path, Device device) {
  ImageModel model{load_model_file(path), {}, {}};
  const ModelFile& file = model.file;
  if (const auto* macro = std::get_if<MacroSpace>(&file.space)) {
    drive(model, std::make_shared<MacroFinal>(*macro, file.arch, macro_final_options(file),
                                              uint64_t{0}, DType::f32, device));
  } else {
    drive(model,
          std::make_shared<MicroFinal>(std::get<MicroSpace>(file.space), file.arch,
                                       micro_final_options(file), uint64_t{0}, DType::f32, device));
  }
  return model;
}

Evaluation evaluate(const ImageModel& model, const ImageData& data, const std::string& split) {
  const ImageSet& set = split == "test" ? data.test : data.valid;
  check(set.size() > 0, ErrorKind::usage, "eval", "the data have no ", split,
        split == "test" ? " images; try --split valid" : " images");
  const ImageScore score = model.evaluate(set);
  // Figures from the re-encoded pixels are not those of the published set: each says so.
  const bool jpeg = data.description.find("JPEG pixels") != std::string::npos;
  const std::string text =
      fmt::format("eval: {} accuracy {:.2f} % of {} images{}", split, 100 * score.accuracy(),
                  format_count(static_cast<double>(score.images)), jpeg ? " (JPEG pixels)" : "");
  return {split,        text_of(model.file.space, model.file.arch),
          score.loss(), score.accuracy(),
          score.images, text};
}

std::vector<Guess> top_guesses(const std::vector<double>& probabilities,
                               const std::vector<std::string>& classes, int64_t most) {
  std::vector<size_t> order(probabilities.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return probabilities[a] > probabilities[b]; });
  if (static_cast<int64_t>(order.size()) > most) order.resize(static_cast<size_t>(most));
  std::vector<Guess> guesses;
  for (const size_t c : order) guesses.push_back({classes[c], probabilities[c]});
  return guesses;
}

}  // namespace enas
