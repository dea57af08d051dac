// What the settings of a phase become in the engine's terms.
#include <algorithm>

#include "apps/ptb/options.h"

namespace enas {

DropoutRates PtbOptions::dropout(const std::string& prefix) const {
  const auto rate = [&](const char* kind) { return settings_.real(prefix + "dropout-" + kind); };
  return {rate("word"), rate("embedding"), rate("input"), rate("recurrent"), rate("output")};
}

RnnChildOptions PtbOptions::child(int64_t vocabulary, const std::string& prefix,
                                  const std::string& init) const {
  RnnChildOptions options;
  options.vocabulary = vocabulary;
  options.hidden = settings_.integer(prefix + "hidden");
  options.share = settings_.text("share") == "edge" ? Share::edge : Share::edge_op;
  options.cell = settings_.text("cell") == "plain" ? CellKind::plain : CellKind::highway;
  options.init_range = settings_.real(init);
  options.dropout = dropout(prefix);
  options.activation_penalty = settings_.real(prefix + "activation-penalty");
  options.slowness_penalty = settings_.real(prefix + "slowness");
  options.mean_all = parity("mean-all");
  return options;
}

RnnChildOptions PtbOptions::shared_child(int64_t vocabulary) const {
  RnnChildOptions options = child(vocabulary, "", "shared-init");
  // Gradient of decay * w means half of it times w^2 in the loss; the official term is half of that
  // coefficient times (w^2)^2.
  if (parity("l4-decay")) options.l4_decay = settings_.real("weight-decay") / 2;
  return options;
}

bool PtbOptions::parity(const std::string& name) const {
  const std::vector<std::string> switches = settings_.list("parity");
  return std::find(switches.begin(), switches.end(), name) != switches.end();
}

RnnTaskOptions PtbOptions::task(const std::string& prefix, const std::string& valid_batch) const {
  RnnTaskOptions options;
  options.batch = settings_.integer(prefix + "batch");
  options.reward_batch = settings_.integer(valid_batch);
  options.bptt = settings_.integer(prefix + "bptt");
  options.seed = seed();
  return options;
}

RnnTaskOptions PtbOptions::shared_task() const {
  RnnTaskOptions options = task("", "reward-batch");
  options.reward_scale = settings_.real("reward-scale");
  options.reward_dropout = parity("reward-dropout");
  return options;
}

SgdOptions PtbOptions::shared_sgd() const {
  SgdOptions options;
  options.clip = settings_.real("shared-clip");
  options.decay = parity("l4-decay") ? 0 : settings_.real("weight-decay");
  options.dense = settings_.flag("dense");
  if (!options.dense) options.decays = RnnChild::is_cell_weight;
  return options;
}

ControllerOptions PtbOptions::controller() const {
  return {static_cast<int>(settings_.integer("controller-hidden")),
          settings_.real("controller-init")};
}

PolicyShape PtbOptions::policy() const {
  return {settings_.real("controller-temperature"), settings_.real("controller-tanh"),
          settings_.real("controller-distance-bias")};
}

ControllerStepOptions PtbOptions::controller_update() const {
  return {settings_.integer("controller-samples"), settings_.real("controller-lr"),
          settings_.real("entropy-weight"), parity("sample-entropy")};
}

SgdOptions PtbOptions::final_sgd() const {
  SgdOptions options;
  options.clip = settings_.real(train("clip"));
  options.decay = settings_.real(train("weight-decay"));
  return options;
}

ExponentialRate PtbOptions::train_rate() const {
  return {settings_.real(train("lr")), 1 / settings_.real(train("lr-decay")),
          settings_.integer(train("lr-decay-from")) - 1};
}

AverageOptions PtbOptions::train_average() const {
  AverageOptions options;
  if (const int64_t from = settings_.integer(train("average-from")); from > 0)
    options.start_step = from;
  options.window = settings_.integer(train("average-window"));
  return options;
}

}  // namespace enas
