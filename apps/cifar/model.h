// Trained models: model.safetensors rebuilt as the final network of its architecture.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/cifar/weights.h"
#include "apps/run/app.h"

namespace enas {

struct ImageModel {
  ModelFile file;
  std::function<ImageScore(const ImageSet&)> evaluate;
  // Probabilities of the classes, of u8 images [N, H, W, 3].
  std::function<std::vector<std::vector<double>>(const Tensor& images)> predict;
};
// Refuses (kind checkpoint) shared weights and what does not fit its own metadata.
ImageModel load_image_model(const std::string& path, Device device);

Evaluation evaluate(const ImageModel& model, const ImageData& data, const std::string& split);

// A class with its probability, the most probable first.
struct Guess {
  std::string name;
  double probability;
};
std::vector<Guess> top_guesses(const std::vector<double>& probabilities,
                               const std::vector<std::string>& classes, int64_t most);

}  // namespace enas
