#include "apps/cifar/commands.h"

#include <fmt/format.h>

#include "apps/cifar/arch_command.h"
#include "apps/cifar/model.h"
#include "apps/cifar/options.h"
#include "apps/cifar/workbench.h"
#include "apps/run/commands.h"
#include "apps/run/console.h"

namespace enas {
namespace {

Terms cifar_terms() {
  Terms terms;
  terms.program = "enas_cifar";
  terms.example = "builtin:shapes10";
  terms.items = "images";
  terms.batches = "batches";
  terms.data = "images";
  terms.key = terms.figure = "accuracy";
  terms.position = "batch";
  terms.measured = "correct";
  terms.better = Better::higher;
  terms.reward_digits = 4;
  terms.figure_of = [](double mean) { return mean; };
  terms.show = [](double figure, int digits) {
    return fmt::format("{:.{}f} %", 100 * figure, digits);
  };
  return terms;
}

// predict RUN IMAGE...: the most probable classes of each image.
int predict(const App& app, const Invocation& call) {
  Settings settings = call.settings;
  const std::string& run = call.operands[0];
  const std::string file = weight_source(app, "predict", run, "-").file;
  const bool json = settings.flag("json");
  Console notes({.output = 2});  // standard output is for the classes alone
  const ImageModel model =
      load_image_model(file, choose_device(settings, app.name("predict"), notes));
  std::string list;
  for (size_t i = 1; i < call.operands.size(); ++i) {
    const std::string& path = call.operands[i];
    const ImageExtent& extent = model.file.extent;
    const Tensor image = load_image(path, extent.height, extent.width, extent.scaled);
    const std::vector<Guess> guesses =
        top_guesses(model.predict(image)[0], model.file.classes, settings.integer("top"));
    std::string line;
    for (const Guess& guess : guesses) {
      line += line.empty() ? "" : json ? "," : ", ";
      line += json
                  ? JsonLine().add("class", guess.name).add("probability", guess.probability).text()
                  : fmt::format("{} {:.1f} %", guess.name, 100 * guess.probability);
    }
    if (json) {
      list += (list.empty() ? "" : ",") + std::string("{\"image\":") + json_string(path) +
              ",\"classes\":[" + line + "]}";
    } else {
      Console().result(path + ": " + line);
    }
  }
  if (json) Console().result("{\"images\":[" + list + "]}");
  return 0;
}

// The space of a text: where it comes from a weight file its metadata say it, else --space.
ImageSpace space_for(const std::string& text, const Settings& settings, const Metadata& metadata) {
  const auto found = metadata.find("space");
  if (found != metadata.end())
    return image_space_of(text, found->second == "macro", text.rfind("concat:", 0) == 0);
  return CifarOptions(settings, "").space_of(text);
}

App cifar_app() {
  App app{cifar_terms(), cifar_registry(), {}, {}, {}, {}, {}};
  app.open = [](const std::string& data) {
    return image_workbench(std::make_shared<const ImageData>(load_images(data, kHoldOutSeed)));
  };
  app.architecture = [](const std::string& argument, const Settings& settings) {
    const CifarOptions options(settings, "");
    check_parity(settings, "enas_cifar");
    const std::string text = image_arch_text(argument, options.macro());
    const ImageSpace space = options.space_of(text);
    const auto* macro = std::get_if<MacroSpace>(&space);
    if (macro != nullptr && settings.known("layers"))
      check_agrees(settings, "layers", macro->layers(), "enas_cifar");
    return text_of(space, parse(space, text));
  };
  app.draw = [](const std::string& text, const Settings& settings, const Metadata& metadata) {
    const ImageSpace space = space_for(text, settings, metadata);
    return draw_image_arch(space, parse(space, text));
  };
  app.describe = [](const std::string& text, const Settings& settings, const Metadata& metadata) {
    const ImageSpace space = space_for(text, settings, metadata);
    return image_arch_json(space, parse(space, text));
  };
  app.commands = {{"arch", cifar_arch_command}, {"predict", predict}};
  return app;
}

}  // namespace

int enas_cifar(int argc, const char* const* argv) { return run_command(cifar_app(), argc, argv); }

}  // namespace enas
