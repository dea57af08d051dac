#include "apps/ptb/model.h"

#include <fmt/format.h>

#include <cmath>
#include <sstream>

#include "apps/ptb/weights.h"
#include "apps/run/console.h"
#include "nn/safetensors.h"
#include "ops/sample.h"

namespace enas {

Model load_model(const std::string& path, const Corpus& corpus, Device device) {
  const WeightFile file = load_weights(path);
  const RnnSpace space = space_of(file.metadata, path);
  const auto text = file.metadata.find("arch");
  check(text != file.metadata.end(), ErrorKind::checkpoint, path,
        "holds shared weights, no single architecture; expected a model.safetensors of train");
  check_vocabulary(file.metadata, corpus, path);
  Model model;
  model.arch_text = text->second;
  try {
    model.arch = space.parse(text->second);
  } catch (const Error& error) {
    fail(ErrorKind::checkpoint, path, "metadata 'arch': ", error.what());
  }
  model.child = std::make_unique<RnnChild>(space, child_options(file.metadata, path), 0, DType::f32,
                                           &model.arch, device);
  restore(model.child->parameters(), file);
  return model;
}

std::string perplexity_text(double perplexity, int digits) {
  if (std::isinf(perplexity)) return "above 1e308";
  return perplexity < 1e6 ? fmt::format("{:.{}f}", perplexity, digits)
                          : fmt::format("{:.1e}", perplexity);
}

Evaluation evaluate(const Model& model, const Corpus& corpus, const std::string& split) {
  RnnTaskOptions options;
  options.batch = options.reward_batch = 1;
  RnnTask task(*model.child, options, corpus.train, corpus.valid, corpus.vocabulary.eos);
  const TextScore score = task.evaluate(model.arch, split == "test" ? corpus.test : corpus.valid);
  const double ppl = score.perplexity();
  std::string text =
      fmt::format("eval: {} perplexity {} over {} tokens", split, perplexity_text(ppl, 3),
                  format_count(static_cast<double>(score.tokens)));
  if (split == "test" && corpus.source_perplexity && std::isfinite(ppl)) {
    text +=
        fmt::format(", {} times the {:.3f} that the source itself gives them",
                    perplexity_text(ppl / *corpus.source_perplexity, 3), *corpus.source_perplexity);
  }
  return {split, model.arch_text, score.loss(), ppl, score.tokens, text};
}

std::string generate_text(const Model& model, const Vocabulary& vocabulary,
                          const GenerateOptions& options) {
  std::vector<int32_t> ids;
  std::istringstream words(options.prompt);
  for (std::string word; words >> word;) {
    check(vocabulary.find(word) || vocabulary.unk >= 0, ErrorKind::usage, "--prompt",
          quote_name(word), " is not among the ", vocabulary.size(),
          " words of the model, which has no <unk>");
    ids.push_back(vocabulary.id(word));
  }
  const size_t given = ids.size();
  const RnnCell cell = model.child->space().decode(model.arch);
  const Random random{options.seed, Stream::generate, 0};
  Tape tape;
  const Tape::NoGrad no_grad(tape);
  Tensor state = model.child->zero_state(1);
  int32_t last = vocabulary.eos;
  for (size_t i = 0; i < given + static_cast<size_t>(options.tokens); ++i) {
    const TextWindow window{1, 1, {last}, {last}};
    const Var output = model.child->encode(tape, cell, window, state, {});
    state = output.value();
    if (i >= given) {
      Tensor logits = model.child->logits(tape, output, {}).value().to(Device::cpu).to(DType::f64);
      for (int64_t v = 0; v < logits.numel(); ++v) logits.data<double>()[v] /= options.temperature;
      ids.push_back(sample_categorical(logits, random, i).actions.data<int32_t>()[0]);
    }
    last = ids[i];
  }
  return vocabulary.text(ids);
}

}  // namespace enas
