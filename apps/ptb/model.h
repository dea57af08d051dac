// Trained models: model.safetensors rebuilt as a child with its architecture, evaluated or sampled.
#pragma once
#include <memory>
#include <string>

#include "apps/run/app.h"
#include "data/text.h"
#include "nas/rnn/task.h"

namespace enas {

struct Model {
  Architecture arch;
  std::string arch_text;
  std::unique_ptr<RnnChild> child;
};
// Refuses (kind checkpoint) shared weights, another vocabulary, and what load_weights refuses.
Model load_model(const std::string& path, const Corpus& corpus, Device device = Device::cpu);

// "84.1"; one that has exploded as "1.3e+20", and as "above 1e308" where it exceeds a double.
std::string perplexity_text(double perplexity, int digits);

// Test or validation perplexity by the one-stream rule (RnnTask::evaluate); the line for people has
// the source's own perplexity where it is known.
Evaluation evaluate(const Model& model, const Corpus& corpus, const std::string& split);

struct GenerateOptions {
  int64_t tokens = 50;
  double temperature = 1;
  std::string prompt;  // words; unknown ones are <unk>, or refused where the text has none
  uint64_t seed = 1;
};
// The prompt and `tokens` words drawn one after another from softmax(logits / temperature), <eos>
// as a newline. A pure function of its arguments.
std::string generate_text(const Model& model, const Vocabulary& vocabulary,
                          const GenerateOptions& options);

}  // namespace enas
