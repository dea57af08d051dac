#include "apps/cifar/workbench.h"

#include <fmt/format.h>

#include "apps/cifar/learner.h"
#include "apps/cifar/model.h"
#include "apps/cifar/options.h"
#include "apps/cifar/plan.h"
#include "apps/cifar/weights.h"
#include "apps/run/device.h"
#include "apps/run/device_plan.h"
#include "data/grouped.h"
#include "data/scale_images.h"
#include "nas/macro/cost.h"
#include "nas/micro/cost.h"

namespace enas {
namespace {

using DataHandle = std::shared_ptr<const ImageData>;

constexpr int64_t kLeastAuxiliary = 17;  // two reductions leave 5 of them, its pool's window

ImageShape shape_of(const ImageData& data) {
  return {static_cast<int64_t>(data.classes.size()), data.height()};
}

// The images as they were loaded and in the size that was asked for last, made once.
class Sized {
 public:
  explicit Sized(DataHandle data) : loaded_(std::move(data)) {}
  const DataHandle& loaded() const { return loaded_; }
  const DataHandle& at(int64_t size) {  // 0: as loaded
    check(size == 0 || size >= 4, ErrorKind::usage, "enas_cifar", "--image-size ", size,
          " is out of range; expected 4 to 4096, or 0");
    if (size == 0) {
      check_one_size(*loaded_);
      return loaded_;
    }
    if (scaled_ == nullptr || scaled_->height() != size)
      scaled_ = std::make_shared<const ImageData>(scaled_to(*loaded_, size));
    return scaled_;
  }
  const DataHandle& of(const Settings& settings) { return at(settings.integer("image-size")); }

 private:
  DataHandle loaded_, scaled_;
};

Learner shared_learner(const DataHandle& data, const CifarOptions& options,
                       const ImageSpace& space) {
  const auto make = [&](const auto& net) {
    using Net = typename std::decay_t<decltype(net())>;
    return learner_of(
        std::make_shared<ImageLearner<Net>>(data, net, options.shared_task(),
                                            options.shared_augment(), options.shared_batch()),
        space);
  };
  if (const auto* macro = std::get_if<MacroSpace>(&space)) {
    return make([&] {
      return MacroChild(*macro, options.macro_child(shape_of(*data)), options.seed(), DType::f32,
                        nullptr, options.device());
    });
  }
  return make([&] {
    return MicroChild(std::get<MicroSpace>(space), options.micro_child(shape_of(*data)),
                      options.seed(), DType::f32, nullptr, options.device());
  });
}

// Of the stand-alone network that an architecture of the search would be trained as, its auxiliary
// head aside; by `search`, which has no options of final training, its own child.
NetworkCost stand_alone_cost(const CifarOptions& options, const std::string& command,
                             const ImageShape& shape, const ImageSpace& space,
                             const Architecture& arch) {
  if (command != "run") return child_cost(options, space, shape, arch);
  const auto* micro = std::get_if<MicroSpace>(&space);
  if (micro == nullptr) return final_cost(options, space, shape, arch);
  MicroFinalOptions network = options.micro_final(shape);
  network.auxiliary = false;
  return micro_final_cost(*micro, arch, network);
}

// Parity switch stale-lr: the first step after a restart still has the rate of the epoch before.
void delay_restarts(Learner& learner, const CosineRate& rate) {
  const auto epoch = std::make_shared<int64_t>(0);
  learner.begin_epoch = [begin = std::move(learner.begin_epoch), epoch](int64_t begun) {
    *epoch = begun;
    return begin(begun);
  };
  learner.rate = [epoch, rate](double lr, int64_t batch) {
    return batch == 0 ? rate.first_step(*epoch) : lr;
  };
}

Search image_search(const DataHandle& data, const Settings& settings, const std::string& command) {
  const CifarOptions options(settings, command);
  const ImageSpace space = options.space();
  const ImageShape shape = shape_of(*data);
  Search search;
  search.learner = shared_learner(data, options, space);
  search.size = fmt::format("{} space, {}, {} architectures, batch norm with {} statistics",
                            space_name(space), size_of(space), grouped(count_of(space)),
                            options.parity("running-bn") ? "running" : "batch");
  search.decisions = decisions_of(space, options.policy());
  search.operations = operations_of(space);
  search.seed = options.seed();
  search.random = options.random_strategy();
  search.epochs = options.search_epochs();
  search.rate = [rate = options.shared_rate()](int64_t epoch) {
    return rate.at(static_cast<double>(epoch));
  };
  if (options.parity("stale-lr")) delay_restarts(search.learner, options.shared_rate());
  search.per_step = options.shared_samples();
  search.sgd = options.shared_sgd();
  search.controller = options.controller();
  search.adam = options.controller_adam();
  search.update = options.controller_update();
  search.updates = options.updates_a_phase();
  search.baseline = options.baseline();
  search.metadata = image_metadata(space, *data, data->moments, result_toml(settings));
  search.check_weights = [data](const WeightFile& file) {
    check_image_data(file.metadata, *data, file.path);
  };
  // The settings outlive the options that refer to them.
  search.facts = [kept = std::make_shared<const Settings>(settings), command, shape, space](
                     JsonLine& line, const Architecture& arch) {
    const NetworkCost cost =
        stand_alone_cost(CifarOptions(*kept, command), command, shape, space, arch);
    line.add("params", cost.params).add("macs", cost.macs).add("space", space_name(space));
    if (const auto* macro = std::get_if<MacroSpace>(&space)) {
      line.add("layers", macro->layers());
    } else {
      line.add("nodes", std::get<MicroSpace>(space).nodes());
    }
  };
  search.words = [space](const Architecture& arch) { return words_of(space, arch); };
  search.draw = [space](const Architecture& arch) { return draw_image_arch(space, arch); };
  return search;
}

Training image_training(DataHandle data, const Settings& settings, const std::string& command,
                        const std::string& arch_text) {
  const CifarOptions options(settings, command);
  if (options.train_on_all()) data = std::make_shared<const ImageData>(train_on_all(*data));
  const ImageSpace space = options.space_of(arch_text);
  const ImageShape shape = shape_of(*data);
  const int64_t steps = (data->train.size() + options.train_batch() - 1) / options.train_batch();
  Training training;
  training.arch = parse(space, arch_text);
  training.metadata = image_metadata(space, *data, data->moments, result_toml(settings));
  training.metadata["arch"] = text_of(space, training.arch);
  const auto make = [&](const auto& net) {
    using Net = typename std::decay_t<decltype(net())>;
    return learner_of(
        std::make_shared<ImageLearner<Net>>(data, net, options.final_task(steps),
                                            options.final_augment(), options.train_batch()),
        space);
  };
  if (const auto* macro = std::get_if<MacroSpace>(&space)) {
    const MacroFinalOptions network = options.macro_final(shape);
    add_final_options(training.metadata, network);
    training.learner = make([&] {
      return MacroFinal(*macro, training.arch, network, options.seed(), DType::f32,
                        options.device());
    });
  } else {
    const MicroFinalOptions network = options.micro_final(shape);
    add_final_options(training.metadata, network);
    training.learner = make([&] {
      return MicroFinal(std::get<MicroSpace>(space), training.arch, network, options.seed(),
                        DType::f32, options.device());
    });
  }
  training.epochs = options.train_epochs();
  training.rate = [rate = options.train_rate()](int64_t epoch) {
    return rate.at(static_cast<double>(epoch));
  };
  if (options.parity("stale-lr")) delay_restarts(training.learner, options.train_rate());
  training.sgd = options.final_sgd();
  training.select = !options.train_on_all();
  return training;
}

// Batches larger than the data, cells of another space, switches of the other space.
void rehearse_images(const DataHandle& data, const std::string& command, const Settings& settings) {
  const std::string where = "enas_cifar " + command;
  check_parity(settings, where);
  const auto at_most = [&](const std::string& option, int64_t most, const char* part) {
    check(settings.integer(option) <= most, ErrorKind::usage, where, "--", option, " ",
          settings.integer(option), " is too large for ", most, " ", part, " images");
  };
  const std::string prefix = command == "run" ? "train-" : "";
  const bool all = command != "search" && settings.flag("train-on-all");
  if (command != "train") {
    at_most("batch", data->train.size(), "training");
    check(data->valid.size() > 0, ErrorKind::usage, where,
          "the data hold nothing out to take rewards from");
  }
  if (command != "search") at_most(prefix + "batch", data->train.size(), "training");
  const CifarOptions options(settings, command);
  const bool auxiliary =
      !options.macro() && ((command != "train" && settings.text("auxiliary") == "on") ||
                           (command != "search" && settings.text(prefix + "auxiliary") == "on"));
  check(!auxiliary || data->height() == data->width(), ErrorKind::usage, where,
        "an auxiliary head needs square images, the data's are ", data->height(), "x",
        data->width(), "; try --", prefix, "auxiliary off");
  check(!auxiliary || data->height() >= kLeastAuxiliary, ErrorKind::usage, where,
        "an auxiliary head needs images of at least ", kLeastAuxiliary, " pixels, the data's have ",
        data->height(), "; try --", prefix, "auxiliary off");
  check(!all || command == "train" || settings.integer("retrain") == 1, ErrorKind::usage, where,
        "--retrain picks on held-out images, --train-on-all holds none out");
}

std::string plan_of_images(const Workbench& bench, const ImageData& data,
                           const std::string& command, const Settings& settings) {
  std::string text = plan_text(command, settings, data);
  if constexpr (kWithCuda) {
    if (device_of(settings) == Device::cuda) {
      const CifarOptions options(settings, command);
      const ImageSpace space =
          command == "train" ? options.space_of(settings.text("arch")) : options.space();
      const ImageShape shape = shape_of(data);
      const auto of = [](const NetworkCost& cost) {
        return PlanCost{static_cast<double>(cost.macs), static_cast<double>(cost.params)};
      };
      text += device_plan_text(
          bench, command, settings,
          {[&](const Architecture& arch) { return of(child_cost(options, space, shape, arch)); },
           [&](const Architecture& arch) { return of(final_cost(options, space, shape, arch)); }});
    }
  }
  return text;
}

}  // namespace

Workbench image_workbench(DataHandle data) {
  const auto sized = std::make_shared<Sized>(data);
  Workbench bench;
  bench.description = data->description;
  bench.warnings = data->warnings;
  bench.fingerprint = data->fingerprint;
  if (data->test.size() == 0) bench.splits = {"valid"};
  bench.search = [sized](const Settings& settings, const std::string& command) {
    return image_search(sized->of(settings), settings, command);
  };
  bench.training = [sized](const Settings& settings, const std::string& command,
                           const std::string& arch) {
    return image_training(sized->of(settings), settings, command, arch);
  };
  bench.selects = [](const Settings& settings) { return !settings.flag("train-on-all"); };
  bench.model = [sized](const std::string& weights, Device device) -> Evaluator {
    const auto model = std::make_shared<const ImageModel>(load_image_model(weights, device));
    const ImageExtent& extent = model->file.extent;
    const DataHandle images = sized->at(extent.scaled ? extent.height : 0);
    check_image_data(model->file.file.metadata, *images, weights);
    return [images, model](const std::string& split) { return evaluate(*model, *images, split); };
  };
  bench.rehearse = [sized](const std::string& command, const Settings& settings) {
    rehearse_images(sized->of(settings), command, settings);
  };
  bench.plan = [sized, bench](const std::string& command, const Settings& settings) {
    return plan_of_images(bench, *sized->of(settings), command, settings);
  };
  return bench;
}

}  // namespace enas
