// What the settings of a phase become in the engine's terms.
#include <algorithm>

#include "apps/cifar/options.h"

namespace enas {

bool CifarOptions::parity(const std::string& name) const {
  const std::vector<std::string> switches = settings_.list("parity");
  return std::find(switches.begin(), switches.end(), name) != switches.end();
}

ImageSpace CifarOptions::space() const {
  if (macro()) {
    return MacroSpace(static_cast<int>(settings_.integer("layers")),
                      {parity("concat-input"), parity("anchor-shift")});
  }
  return MicroSpace(static_cast<int>(settings_.integer("nodes")));
}

ImageSpace CifarOptions::space_of(const std::string& text) const {
  return image_space_of(text, macro(), parity("concat-input"));
}

MacroChildOptions CifarOptions::macro_child(const ImageShape& shape) const {
  MacroChildOptions options;
  options.filters = settings_.integer("filters");
  options.classes = shape.classes;
  options.dropout = settings_.real("dropout");
  options.running_bn = parity("running-bn");
  return options;
}

MicroChildOptions CifarOptions::micro_child(const ImageShape& shape) const {
  MicroChildOptions options;
  options.normal_cells = static_cast<int>(settings_.integer("layers"));
  options.filters = settings_.integer("filters");
  options.classes = shape.classes;
  options.image_size = shape.size;
  options.dropout = settings_.real("dropout");
  options.auxiliary = settings_.text("auxiliary") == "on";
  options.frozen_auxiliary = parity("frozen-aux");
  options.reduce_stride2 = parity("reduce-stride2");
  options.tf_same = parity("tf-same");
  options.he_rows = parity("he-rows");
  return options;
}

MacroFinalOptions CifarOptions::macro_final(const ImageShape& shape) const {
  MacroFinalOptions options;
  options.filters = settings_.integer(train("filters"));
  options.classes = shape.classes;
  options.dropout = settings_.real(train("dropout"));
  options.full_conv = parity("final-full-conv");
  return options;
}

MicroFinalOptions CifarOptions::micro_final(const ImageShape& shape) const {
  MicroFinalOptions options;
  options.normal_cells = static_cast<int>(settings_.integer(train("layers")));
  options.filters = settings_.integer(train("filters"));
  options.classes = shape.classes;
  options.image_size = shape.size;
  options.dropout = settings_.real(train("dropout"));
  options.drop_path_keep = settings_.real(train("drop-path-keep"));
  options.auxiliary = settings_.text(train("auxiliary")) == "on";
  options.frozen_auxiliary = parity("frozen-aux");
  options.tf_same = parity("tf-same");
  return options;
}

PolicyShape CifarOptions::policy() const {
  PolicyShape shape = macro() ? MacroSpace::policy_shape() : MicroSpace::policy_shape();
  shape.temperature = settings_.real("controller-temperature");
  shape.tanh_constant = settings_.real("controller-tanh");
  shape.op_reduce = settings_.real("controller-op-reduce");
  shape.op_bias = settings_.real("controller-op-bias");
  if (parity("op-bias-10")) shape.start_bias = 10;
  return shape;
}

ImageTaskOptions CifarOptions::shared_task() const {
  ImageTaskOptions options;
  options.reward_batch = settings_.integer("reward-batch");
  options.seed = seed();
  options.auxiliary_weight = settings_.real("auxiliary-weight");
  options.reward_dropout = parity("reward-dropout");
  return options;
}

ImageTaskOptions CifarOptions::final_task(int64_t steps_an_epoch) const {
  ImageTaskOptions options;
  options.reward_batch = settings_.integer(train("valid-batch"));
  options.seed = seed();
  options.auxiliary_weight = settings_.real(train("auxiliary-weight"));
  if (!macro() && settings_.real(train("drop-path-keep")) < 1)
    options.drop_path_steps = steps_an_epoch * train_epochs();
  return options;
}

AugmentOptions CifarOptions::augment(const std::string& prefix) const {
  AugmentOptions options;
  options.pad = settings_.integer(prefix + "pad");
  options.flip = settings_.text(prefix + "flip") == "on";
  options.cutout = settings_.integer(prefix + "cutout");
  options.corner = parity("corner-cutout");
  return options;
}

CosineRate CifarOptions::rate(const std::string& own) const {
  return {settings_.real(own + "lr"), settings_.real(own + "lr-min"),
          settings_.integer(own + "lr-period"), settings_.integer(own + "lr-multiply")};
}
CosineRate CifarOptions::shared_rate() const { return rate("shared-"); }
CosineRate CifarOptions::train_rate() const { return rate(train("")); }

SgdOptions CifarOptions::sgd(const std::string& prefix, const std::string& own) const {
  SgdOptions options;
  options.momentum = settings_.real(own + "momentum");
  options.nesterov = settings_.text(own + "nesterov") == "on" && options.momentum > 0;
  options.clip = settings_.real(own + "clip");
  options.decay = settings_.real(prefix + "weight-decay");
  return options;
}
SgdOptions CifarOptions::shared_sgd() const {
  SgdOptions options = sgd("", "shared-");
  options.dense = settings_.flag("dense");
  return options;
}
SgdOptions CifarOptions::final_sgd() const { return sgd(train(""), train("")); }

ControllerOptions CifarOptions::controller() const {
  return {static_cast<int>(settings_.integer("controller-hidden")),
          settings_.real("controller-init")};
}

AdamOptions CifarOptions::controller_adam() const {
  AdamOptions options;
  options.beta1 = settings_.real("controller-beta1");
  options.beta2 = settings_.real("controller-beta2");
  options.epsilon = settings_.real("controller-epsilon");
  return options;
}

ControllerStepOptions CifarOptions::controller_update() const {
  ControllerStepOptions options;
  options.samples = settings_.integer("controller-samples");
  options.lr = settings_.real("controller-lr");
  options.entropy_weight = settings_.real("entropy-weight");
  options.sample_entropy = parity("sample-entropy");
  options.skips.penalty = {settings_.real("skip-target"), parity("kl-sigmoid")};
  options.skips.weight = settings_.real("skip-weight");
  return options;
}

void check_parity(const Settings& settings, const std::string& where) {
  static const std::vector<std::string> macro = {"running-bn", "kl-sigmoid", "concat-input",
                                                 "anchor-shift", "final-full-conv"},
                                        micro = {"tf-same", "op-bias-10", "reduce-stride2",
                                                 "frozen-aux", "he-rows"};
  if (!settings.known("parity")) return;
  const std::string& space = settings.text("space");
  for (const std::string& name : settings.list("parity")) {
    const std::vector<std::string>& others = space == "macro" ? micro : macro;
    check(std::find(others.begin(), others.end(), name) == others.end(), ErrorKind::usage, where,
          "--parity ", name, " belongs to --space ", space == "macro" ? "micro" : "macro",
          ", not to ", space);
  }
}

}  // namespace enas
