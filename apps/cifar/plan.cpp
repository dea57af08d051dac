#include "apps/cifar/plan.h"

#include <fmt/format.h>

#include "apps/run/console.h"
#include "apps/run/measured_rate.h"
#include "data/grouped.h"
#include "nas/macro/cost.h"
#include "nas/micro/cost.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

constexpr int64_t kDrawn = 32;  // architectures whose mean cost stands for the space's

struct Phase {
  std::string name, shape;
  NetworkCost cost;    // of one architecture; in search the mean of some
  int64_t weights;     // of the store
  double kept_floats;  // an image, for backward
  int64_t batch, steps_per_epoch, epochs, architectures;
  double evaluated_images;  // an epoch, forward only
};

std::string describe(const Phase& p, double rate) {
  const double per_image = 2.0 * static_cast<double>(p.cost.macs);
  const double step_images = static_cast<double>(p.batch * p.architectures);
  const double step = 3 * per_image * step_images;
  const double epoch =
      step * static_cast<double>(p.steps_per_epoch) + per_image * p.evaluated_images;
  const double total = epoch * static_cast<double>(p.epochs);
  const double weights = 4.0 * static_cast<double>(p.weights),
               gradients = 8.0 * static_cast<double>(p.cost.params),
               kept = 4 * p.kept_floats * step_images;
  return fmt::format(
      "{}: {}, batch {}\n"
      "  weights {} ({}), of one network {}, gradients and momentum {}, kept for backward {}: "
      "about {} in all\n"
      "  {} multiply-adds an image, {:.2f} GFLOP a step, {} an epoch, {}: {}, at least {} at the "
      "{:.0f} GFLOP/s measured here\n",
      p.name, p.shape, p.batch, format_count(static_cast<double>(p.weights)), format_bytes(weights),
      format_count(static_cast<double>(p.cost.params)), format_bytes(gradients), format_bytes(kept),
      format_bytes(weights + gradients + kept), format_count(static_cast<double>(p.cost.macs)),
      step / 1e9, counted(p.steps_per_epoch, "step"), counted(p.epochs, "epoch"),
      format_flop(total), format_seconds(total / rate), rate / 1e9);
}

std::string macro_shape(const ImageSpace& space, int64_t filters) {
  return size_of(space) + ", " + counted(filters, "filter");
}
std::string micro_shape(int normal_cells, const ImageSpace& space, int64_t filters) {
  return fmt::format("{}, {}, {}", counted(normal_cells, "normal cell"), size_of(space),
                     counted(filters, "filter"));
}

// Floats of maps that one image keeps, all layers together: `maps` of `filters` channels each until
// the first reduction; with doubled filters a map has half the floats behind a reduction.
double kept_of(int64_t size, int64_t filters, double layers, double maps, bool doubled) {
  const double map = static_cast<double>(size * size * filters);
  return layers / 3 * maps * map * (doubled ? 1 + 0.5 + 0.25 : 1 + 0.25 + 0.0625);
}
// Maps of a cell: two halves with their normalised sums an edge, the node, and calibration.
double maps_of(const MicroSpace& space) { return 5.0 * space.nodes() + 4; }
constexpr double kMacroMaps = 5;  // 1x1, the operation's two, the sum, and skips

NetworkCost mean_cost(const ImageSpace& space, const CifarOptions& options,
                      const ImageShape& shape) {
  NetworkCost sum;
  for (const Architecture& arch :
       uniform_architectures(decisions_of(space, options.policy()), kDrawn,
                             Random{options.seed(), Stream::uniform_sample, 0})) {
    const NetworkCost cost = child_cost(options, space, shape, arch);
    sum.params += cost.params / kDrawn, sum.macs += cost.macs / kDrawn;
  }
  return sum;
}

Phase search_phase(const CifarOptions& options, const ImageData& data, const ImageShape& shape) {
  const ImageSpace space = options.space();
  const int64_t batch = options.shared_batch();
  const ControllerStepOptions update = options.controller_update();
  Phase phase{"search",
              "",
              mean_cost(space, options, shape),
              0,
              0,
              batch,
              (data.train.size() + batch - 1) / batch,
              options.search_epochs(),
              options.shared_samples(),
              static_cast<double>(options.updates_a_phase() * update.samples *
                                  options.shared_task().reward_batch)};
  if (const auto* macro = std::get_if<MacroSpace>(&space)) {
    const MacroChildOptions network = options.macro_child(shape);
    phase.weights = macro_shared_params(*macro, network);
    phase.shape = macro_shape(space, network.filters);
    phase.kept_floats = kept_of(shape.size, network.filters, macro->layers(), kMacroMaps, false);
  } else {
    const MicroChildOptions network = options.micro_child(shape);
    const auto& micro = std::get<MicroSpace>(space);
    phase.weights = micro_shared_params(micro, network);
    phase.shape = micro_shape(network.normal_cells, space, network.filters);
    phase.kept_floats =
        kept_of(shape.size, network.filters, network.normal_cells + 2, maps_of(micro), true);
  }
  return phase;
}

// `text`: the architecture; of `run`, which has none yet, one drawn from the space.
Phase train_phase(const CifarOptions& options, const ImageData& data, const ImageShape& shape,
                  const std::string& text) {
  const ImageSpace space = options.space_of(text);
  const Architecture arch = parse(space, text);
  const int64_t batch = options.train_batch();
  Phase phase{"train",
              "",
              {},
              0,
              0,
              batch,
              (data.train.size() + batch - 1) / batch,
              options.train_epochs(),
              1,
              static_cast<double>(data.valid.size())};
  phase.cost = final_cost(options, space, shape, arch);
  if (const auto* macro = std::get_if<MacroSpace>(&space)) {
    const MacroFinalOptions network = options.macro_final(shape);
    phase.shape = macro_shape(space, network.filters);
    phase.kept_floats = kept_of(shape.size, network.filters, macro->layers(), kMacroMaps, true);
  } else {
    const MicroFinalOptions network = options.micro_final(shape);
    const auto& micro = std::get<MicroSpace>(space);
    phase.shape = micro_shape(network.normal_cells, space, network.filters);
    phase.kept_floats =
        kept_of(shape.size, network.filters, network.normal_cells + 2, maps_of(micro), true);
  }
  phase.weights = phase.cost.params;
  return phase;
}

}  // namespace

NetworkCost child_cost(const CifarOptions& options, const ImageSpace& space,
                       const ImageShape& shape, const Architecture& arch) {
  if (const auto* macro = std::get_if<MacroSpace>(&space))
    return macro_child_cost(*macro, arch, options.macro_child(shape), shape.size);
  return micro_child_cost(std::get<MicroSpace>(space), arch, options.micro_child(shape));
}

NetworkCost final_cost(const CifarOptions& options, const ImageSpace& space,
                       const ImageShape& shape, const Architecture& arch) {
  if (const auto* macro = std::get_if<MacroSpace>(&space))
    return macro_final_cost(*macro, arch, options.macro_final(shape), shape.size);
  return micro_final_cost(std::get<MicroSpace>(space), arch, options.micro_final(shape));
}

std::string plan_text(const std::string& command, const Settings& settings, const ImageData& data) {
  const CifarOptions options(settings, command);
  const ImageShape shape{static_cast<int64_t>(data.classes.size()), data.height()};
  const double rate = measured_rate();
  std::string text =
      fmt::format("plan of {} on {}; nothing is run\n", command, counted(thread_count(), "thread"));
  std::string arch = command == "train" ? settings.text("arch") : "";
  if (command != "train") {
    text += describe(search_phase(options, data, shape), rate);
    const ImageSpace space = options.space();
    text += fmt::format(
        "  a controller phase scores {}; {} architectures in the space\n",
        counted(options.updates_a_phase() * options.controller_update().samples, "architecture"),
        grouped(count_of(space)));
    arch =
        text_of(space, uniform_architectures(decisions_of(space, options.policy()), 1,
                                             Random{options.seed(), Stream::uniform_sample, 0})[0]);
  }
  if (command != "search") text += describe(train_phase(options, data, shape, arch), rate);
  return text;
}

}  // namespace enas
