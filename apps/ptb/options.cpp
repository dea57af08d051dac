// The options of enas_ptb. A function is long because it is a table: one entry an option.
#include "apps/ptb/options.h"

#include <functional>

#include "apps/run/option_specs.h"

namespace enas {
namespace {

using Commands = std::vector<std::string>;

// Adds a spec under its own name, and for `run` under PREFIX-name where train's options are meant.
void add_train(Registry& registry, OptionSpec spec) {
  spec.commands = {"train"};
  registry.add(spec);
  spec.commands = {"run"};
  spec.name = "train-" + spec.name;
  registry.add(spec);
}
void add_search(Registry& registry, OptionSpec spec) {
  spec.commands = {"run", "search"};
  registry.add(std::move(spec));
}

using Add = std::function<void(OptionSpec)>;

// What a child needs in search and in final training, with each phase's own defaults.
struct ChildDefaults {
  std::string group, hidden, batch, bptt, word, embedding, input, recurrent, output, slowness,
      activation, decay;
  std::string source;
};
void add_child_options(const Add& add, const ChildDefaults& d) {
  add(integer_option("hidden", d.hidden, 1, 8192, "size of state and embedding", d.source, d.group,
                     "units"));
  add(integer_option("batch", d.batch, 1, 4096, "streams of text", d.source, d.group, "streams"));
  add(integer_option("bptt", d.bptt, 1, 512, "time steps a window", d.source, d.group, "steps"));
  add(real_option("dropout-word", d.word, 0, 0.99, "drop rate of whole words", d.source, d.group));
  add(real_option("dropout-embedding", d.embedding, 0, 0.99, "drop rate of the embedding", d.source,
                  d.group));
  add(real_option("dropout-input", d.input, 0, 0.99, "drop rate of the cell's input", d.source,
                  d.group));
  add(real_option("dropout-recurrent", d.recurrent, 0, 0.99,
                  "drop rate of the state inside the cell", d.source, d.group));
  add(real_option("dropout-output", d.output, 0, 0.99, "drop rate before the decoder", d.source,
                  d.group));
  add(real_option("slowness", d.slowness, 0, 1e3, "weight of mean (s_t - s_t-1)^2 in the loss",
                  d.source, d.group));
  add(real_option("activation-penalty", d.activation, 0, 1e3, "weight of mean s_t^2 in the loss",
                  d.source, d.group));
  add(real_option("weight-decay", d.decay, 0, 1, "gradient of decay, times the weight", d.source,
                  d.group));
  add(flag_option("variable-bptt", "draw each window's length (docs/method.md 1.3)", d.source,
                  d.group));
}

void add_method_options(Registry& registry) {
  const Commands sized = {"run", "search", "arch"};
  OptionSpec nodes = integer_option("nodes", "9", 1, RnnSpace::kMostNodes,
                                    "computed nodes after node 0", "docs/method.md 1.3", "method");
  nodes.commands = sized;
  registry.add(nodes);
  OptionSpec share = choice_option("share", "edge-op", {"edge-op", "edge"},
                                   "one matrix an (edge, activation), or one an edge",
                                   "docs/method.md 1.2", "method");
  OptionSpec cell =
      choice_option("cell", "highway", {"highway", "plain"},
                    "gated nodes, or the paper's plain ones", "docs/method.md 1.2", "method");
  for (OptionSpec* spec : {&share, &cell}) {
    spec->commands = {"run", "search", "train", "arch"};
    registry.add(*spec);
  }
  const auto parity = [&](Commands commands, Commands choices) {
    registry.add({.name = "parity",
                  .kind = OptionKind::choice_list,
                  .choices = std::move(choices),
                  .help = "deviations of the published programs, brought back one by one",
                  .source = "docs/method.md 9",
                  .group = "method",
                  .commands = std::move(commands)});
  };
  parity({"run", "search"}, {"mean-all", "node0-searched", "baseline-first", "sample-entropy",
                             "l4-decay", "reward-dropout"});
  parity({"train"}, {"mean-all"});
  parity({"arch"}, {"node0-searched"});
  OptionSpec hidden =
      integer_option("hidden", "200", 1, 8192, "size of state and embedding, for cost",
                     "docs/method.md 1.3", "method", "units");
  OptionSpec vocabulary = integer_option("vocabulary", "10000", 1, 1 << 24, "words, for cost",
                                         "docs/method.md 1.1", "method", "words");
  for (OptionSpec* spec : {&hidden, &vocabulary}) {
    spec->commands = {"arch"};
    registry.add(*spec);
  }
}

void add_search_options(Registry& registry) {
  const Add add = [&](OptionSpec spec) { add_search(registry, std::move(spec)); };
  const std::string shared = "shared weights", policy = "controller", source = "docs/method.md 1.3";
  add_child_options(add, {shared, "200", "128", "35", "0.1", "0.2", "0.75", "0.25", "0.75", "1",
                          "0", "1.6e-6", source});
  add(integer_option("epochs", "600", 1, 100000,
                     "search epochs: a shared phase and a controller phase each", source, "length",
                     "epochs"));
  add(integer_option("reward-batch", "128", 1, 4096, "streams of validation text", source, policy,
                     "streams"));
  add(real_option("shared-lr", "20", 0, 1e3, "SGD rate, times window length / bptt", source,
                  shared));
  add(real_option("shared-clip", "0.1", 0, 1e6, "bound of the gradient norm; 0: off", source,
                  shared));
  add(real_option("shared-init", "0.04", 0, 1, "weights start uniform in +-this", source, shared));
  add(integer_option("shared-samples", "1", 1, 64, "architectures a shared step (M)",
                     "docs/method.md 4", shared));
  add(flag_option("dense", "decay and move all shared weights each step", "docs/method.md 4",
                  shared));
  add(choice_option("strategy", "enas", {"enas", "random"},
                    "the controller, or uniform sampling at the same budget",
                    "docs/method.md, first table", "method"));
  add(integer_option("controller-hidden", "64", 1, 1024, "LSTM size", source, policy, "units"));
  add(real_option("controller-init", "0.01", 0, 1, "weights start uniform in +-this", source,
                  policy));
  add(real_option("controller-lr", "5e-5", 0, 10, "Adam rate", source, policy));
  add(integer_option("controller-steps", "25", 0, 1000000, "policy updates a phase", source, policy,
                     "updates"));
  add(integer_option("controller-samples", "10", 1, 1000, "architectures averaged an update",
                     source, policy));
  add(real_option("controller-temperature", "5", 1e-3, 1e3, "logits are divided by it", source,
                  policy));
  add(real_option("controller-tanh", "2.25", 0, 100,
                  "then bounded to this times tanh; 0: not bounded", source, policy));
  add(real_option("controller-distance-bias", "0.16666666666666666", 0, 100,
                  "of an input's logit: this times the squared distance is subtracted", source,
                  policy));
  add(real_option("entropy-weight", "1e-5", 0, 1e3, "weight of the policy's entropy in the reward",
                  source, policy));
  add(real_option("baseline-decay", "0.999", 0, 1, "of the reward's moving average", source,
                  policy));
  add(real_option("reward-scale", "80", 1e-6, 1e6, "reward = this / validation perplexity", source,
                  policy));
}

void add_train_options(Registry& registry) {
  const Add add = [&](OptionSpec spec) { add_train(registry, std::move(spec)); };
  const std::string group = "final training", source = "docs/method.md 1.4";
  add_child_options(add, {group, "850", "64", "35", "0.15", "0.2", "0.75", "0.25", "0.75", "0", "0",
                          "1.6e-6", source});
  add(integer_option("epochs", "483", 1, 100000, "training epochs", source, group, "epochs"));
  add(integer_option("valid-batch", "64", 1, 4096, "streams of validation text after each epoch",
                     source, group, "streams"));
  add(real_option("lr", "20", 0, 1e3, "SGD rate", source, group));
  add(real_option("lr-decay", "1", 1, 1e3,
                  "the rate is divided by it each epoch from lr-decay-from on", source, group));
  add(integer_option("lr-decay-from", "1", 1, 100000,
                     "first epoch with a smaller rate, counted from 1", source, group, "epoch"));
  add(real_option("clip", "0.25", 0, 1e6, "bound of the gradient norm; 0: off", source, group));
  add(real_option("init", "0.04", 0, 1, "weights start uniform in +-this", source, group));
  add(integer_option("average-from", "0", 0, 1e12,
                     "first step of the running mean of weights; 0: no mean from a step", source,
                     group, "step"));
  add(integer_option(
      "average-window", "0", 0, 100000,
      "start the mean when validation is worse than all but the last so many; 0: off", source,
      group, "epochs"));
}

// Of `arch` and `generate`.
void add_own_options(Registry& registry) {
  const std::string source = "docs/interface.md", group = "output";
  const auto add = [&](OptionSpec spec) { registry.add(of(std::move(spec), {"generate"})); };
  add(text_option("prompt", "TEXT", "words to begin with", source, group));
  add(integer_option("tokens", "50", 1, 1000000, "words to draw", source, group, "words"));
  add(real_option("temperature", "1", 1e-3, 1e3, "logits are divided by it", source, group));
  OptionSpec with_space =
      flag_option("with-space", "draw the edges that were not taken too, in grey",
                  "the paper's Figure 1", group);
  with_space.scope = OptionScope::invocation;
  registry.add(of(std::move(with_space), {"arch"}));
  registry.add_need({{"with-space"}, {"arch"}, "", {"show", "random"}});
  registry.add_need({{"with-space"}, {"arch"}, "to", {}});
}

}  // namespace

Registry ptb_registry() {
  Registry registry("enas_ptb", "efficient neural architecture search for recurrent cells");
  registry.add_command({"run", "", "search, derive, train and evaluate", 0, 0});
  registry.add_command({"search", "", "train shared weights and controller", 0, 0});
  registry.add_command(
      {"derive", "RUN", "rank architectures with a search's shared weights", 1, 1});
  registry.add_command({"train", "", "train one architecture from scratch", 0, 0});
  registry.add_command({"eval", "", "perplexity of trained weights on a split", 0, 0});
  registry.add_command({"resume", "RUN", "continue an interrupted run", 1, 1});
  registry.add_command({"arch", "show|random|count|cost", "describe architectures", 1, 1});
  registry.add_command(
      {"correlate", "RUN", "rank correlation of shared-weight and stand-alone scores", 1, 1});
  registry.add_command({"generate", "RUN", "sample text from a trained model", 1, 1});
  registry.add_command({"export", "", "write weights or an architecture in another form", 0, 0});
  registry.add_command({"data", "info PATH", "say what a data path holds", 2, 2});
  add_common_options(registry);
  add_method_options(registry);
  add_search_options(registry);
  add_train_options(registry);
  add_stage_options(registry, {"text", "validation windows", "windows", "cell"});
  add_own_options(registry);
  add_ptb_presets(registry);
  return registry;
}

}  // namespace enas
