#include "apps/ptb/commands.h"

#include <cmath>

#include "apps/ptb/arch_command.h"
#include "apps/ptb/architecture_file.h"
#include "apps/ptb/model.h"
#include "apps/ptb/options.h"
#include "apps/ptb/workbench.h"
#include "apps/run/commands.h"

namespace enas {
namespace {

Terms ptb_terms() {
  Terms terms;
  terms.program = "enas_ptb";
  terms.example = "builtin:tiny-text";
  terms.items = "tokens";
  terms.batches = "windows";
  terms.data = "text";
  terms.key = "ppl";
  terms.figure = "perplexity";
  terms.position = "window";
  terms.measured = "nll";
  terms.better = Better::lower;
  terms.reward_digits = 2;
  terms.figure_of = [](double mean) { return std::exp(mean); };
  terms.show = perplexity_text;
  return terms;
}

int generate(const App& app, const Invocation& call) {
  Settings settings = call.settings;
  const WeightSource source =
      weight_source(app, "generate", call.operands[0], text_or_empty(settings, "data"));
  const Corpus corpus = load_corpus(source.data);
  GenerateOptions options;
  options.tokens = settings.integer("tokens");
  options.temperature = settings.real("temperature");
  options.prompt = text_or_empty(settings, "prompt");
  options.seed = static_cast<uint64_t>(settings.integer("seed"));
  Console notes({.output = 2});  // standard output is for the text alone
  const Device device = choose_device(settings, app.name("generate"), notes);
  Console().result(
      generate_text(load_model(source.file, corpus, device), corpus.vocabulary, options));
  return 0;
}

App ptb_app() {
  App app{ptb_terms(), ptb_registry(), {}, {}, {}, {}, {}};
  app.open = [](const std::string& data) {
    return text_workbench(std::make_shared<const Corpus>(load_corpus(data)));
  };
  app.architecture = [](const std::string& argument, const Settings&) {
    const std::string text = cell_text(argument);
    const RnnSpace space = rnn_space_of(text);
    return space.to_string(space.parse(text));
  };
  app.draw = [](const std::string& text, const Settings&, const Metadata&) {
    const RnnSpace space = rnn_space_of(text);
    return draw_cell(space, space.parse(text));
  };
  app.describe = [](const std::string& text, const Settings&, const Metadata&) {
    const RnnSpace space = rnn_space_of(text);
    return cell_json(space, space.parse(text));
  };
  app.commands = {{"arch", arch_command}, {"generate", generate}};
  return app;
}

}  // namespace

int enas_ptb(int argc, const char* const* argv) { return run_command(ptb_app(), argc, argv); }

}  // namespace enas
