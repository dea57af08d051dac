// The options of enas_cifar. A function is long because it is a table: one entry an option. Where
// macro and micro differ, the value here is of no matter: presets.cpp has both
// (add_cifar_defaults).
#include "apps/cifar/options.h"

#include <functional>

#include "apps/run/option_specs.h"

namespace enas {
namespace {

using Add = std::function<void(OptionSpec)>;

// Adds a spec under its own name, and for `run` under PREFIX-name where train's options are meant.
void add_train(Registry& registry, OptionSpec spec) {
  registry.add(of(spec, {"train"}));
  spec.name = "train-" + spec.name;
  registry.add(of(std::move(spec), {"run"}));
}

const char* const kBoth = "docs/method.md 2.3, 3.4";
const char* const kFinal = "docs/method.md 2.4, 3.4";

// What a network needs in search and in final training alike.
void add_network_options(const Add& add, const std::string& group, const std::string& source) {
  add(integer_option("batch", "160", 2, 4096, "training images a step", source, group, "images"));
  add(integer_option("filters", "20", 2, 2048, "channels until the first reduction", source, group,
                     "channels"));
  add(real_option("dropout", "0.1", 0, 0.99, "drop rate before the linear layer", source, group));
  add(real_option("weight-decay", "2e-4", 0, 1, "gradient of decay, times the weight", source,
                  group));
  add(integer_option("pad", "4", 0, 64, "a crop is moved by up to so many pixels each way", source,
                     group, "pixels"));
  add(choice_option("flip", "on", {"on", "off"}, "flip one image of two left to right", source,
                    group));
  add(integer_option("cutout", "0", 0, 256,
                     "side of the square blanked in every image; 0: none; published with 16",
                     "docs/method.md, first table", group, "pixels"));
  add(choice_option("auxiliary", "off", {"on", "off"},
                    "micro: an auxiliary head behind the last reduction", "docs/method.md 3.4",
                    group));
  add(real_option("auxiliary-weight", "0.4", 0, 100, "of the auxiliary head's loss",
                  "docs/method.md 3.4", group));
}

// The rate's cosine with warm restarts and the rest of SGD; `own`: "shared-" in search.
void add_sgd_options(const Add& add, const std::string& own, const std::string& group,
                     const std::string& source) {
  add(real_option(own + "lr", "0.05", 0, 100, "SGD rate after a restart", source, group));
  add(real_option(own + "lr-min", "0.0005", 0, 100, "SGD rate at the end of a period", source,
                  group));
  add(integer_option(own + "lr-period", "10", 1, 100000, "epochs of the first cosine period",
                     source, group, "epochs"));
  add(integer_option(own + "lr-multiply", "2", 1, 100,
                     "each period is so many times the one before", source, group));
  add(real_option(own + "momentum", "0.9", 0, 0.9999, "of SGD", source, group));
  add(choice_option(own + "nesterov", "on", {"on", "off"}, "Nesterov's form of the momentum",
                    source, group));
  add(real_option(own + "clip", "0", 0, 1e6, "bound of the gradient norm; 0: off, as published",
                  "docs/method.md, first table", group));
}

void add_method_options(Registry& registry) {
  const std::string group = "method";
  registry.add(of(choice_option("space", "micro", {"macro", "micro"},
                                "whole networks, or a normal and a reduction cell",
                                "docs/method.md 2, 3", group),
                  {"run", "search", "train", "arch", "export"}));
  registry.add(of(integer_option("layers", "6", 1, 64, "macro: layers; micro: normal cells", kBoth,
                                 group, "layers"),
                  {"run", "search", "arch"}));
  registry.add(of(integer_option("nodes", "5", 1, MicroSpace::kMostNodes,
                                 "micro: computed nodes of a cell", "docs/method.md 3.1", group),
                  {"run", "search", "arch"}));
  registry.add(of(integer_option("image-size", "0", 0, 4096,
                                 "side of the square that images are scaled to, from 4 on; 0: "
                                 "the size that they have",
                                 "docs/interface.md", "data", "pixels"),
                  {"run", "search", "train"}));
  const auto parity = [&](std::vector<std::string> commands, std::vector<std::string> choices) {
    registry.add({.name = "parity",
                  .kind = OptionKind::choice_list,
                  .choices = std::move(choices),
                  .help = "deviations of the published programs, brought back one by one",
                  .source = "docs/method.md 9",
                  .group = group,
                  .commands = std::move(commands)});
  };
  parity({"search"}, {"running-bn", "kl-sigmoid", "tf-same", "op-bias-10", "concat-input",
                      "reduce-stride2", "frozen-aux", "corner-cutout", "anchor-shift",
                      "baseline-first", "sample-entropy", "reward-dropout", "he-rows", "stale-lr"});
  parity({"run"},
         {"running-bn", "kl-sigmoid", "tf-same", "op-bias-10", "concat-input", "reduce-stride2",
          "frozen-aux", "corner-cutout", "anchor-shift", "baseline-first", "sample-entropy",
          "reward-dropout", "final-full-conv", "he-rows", "stale-lr"});
  parity({"train"},
         {"tf-same", "concat-input", "frozen-aux", "corner-cutout", "final-full-conv", "stale-lr"});
  parity({"arch"}, {"concat-input", "reduce-stride2", "final-full-conv"});
  parity({"export"}, {"concat-input"});
}

void add_arch_sizes(Registry& registry) {
  const auto add = [&](OptionSpec spec) { registry.add(of(std::move(spec), {"arch"})); };
  add(integer_option("filters", "20", 2, 2048, "channels of the search network, for cost", kBoth,
                     "method", "channels"));
  add(integer_option("train-filters", "36", 2, 2048,
                     "channels of the stand-alone network, for cost", kFinal, "method",
                     "channels"));
  add(integer_option("train-layers", "15", 1, 64,
                     "micro: normal cells of the stand-alone network, for cost", kFinal, "method",
                     "layers"));
  add(integer_option("classes", "10", 1, 1 << 20, "classes, for cost", kBoth, "method"));
  add(integer_option("image-size", "32", 4, 4096, "height and width of the images, for cost", kBoth,
                     "method", "pixels"));
}

void add_search_options(Registry& registry) {
  const Add add = [&](OptionSpec spec) { registry.add(of(std::move(spec), {"run", "search"})); };
  const std::string shared = "shared weights", policy = "controller";
  add_network_options(add, shared, kBoth);
  add_sgd_options(add, "shared-", shared, kBoth);
  add(integer_option("epochs", "150", 1, 100000,
                     "search epochs: a shared phase and a controller phase each", kBoth, "length",
                     "epochs"));
  add(integer_option("shared-samples", "1", 1, 64, "architectures a shared step (M)",
                     "docs/method.md 4", shared));
  add(flag_option("dense", "decay and move all shared weights each step", "docs/method.md 4",
                  shared));
  add(choice_option("strategy", "enas", {"enas", "random"},
                    "the controller, or uniform sampling at the same budget",
                    "docs/method.md, first table", "method"));
  add(integer_option("reward-batch", "160", 2, 4096, "held-out images of a reward", kBoth, policy,
                     "images"));
  add(integer_option("controller-hidden", "64", 1, 1024, "LSTM size", "docs/method.md 2.2, 3.3",
                     policy, "units"));
  add(real_option("controller-init", "0.1", 0, 1, "weights start uniform in +-this",
                  "docs/method.md 2.2, 3.3", policy));
  add(real_option("controller-lr", "0.0035", 0, 10, "Adam rate", kBoth, policy));
  add(real_option("controller-beta1", "0", 0, 0.9999, "of Adam", "docs/method.md 4", policy));
  add(real_option("controller-beta2", "0.999", 0, 0.999999, "of Adam", "docs/method.md 4", policy));
  add(real_option("controller-epsilon", "1e-3", 1e-12, 1, "of Adam", "docs/method.md 4", policy));
  add(integer_option("controller-steps", "30", 0, 1000000, "policy updates a phase", kBoth, policy,
                     "updates"));
  add(integer_option("controller-samples", "10", 1, 1000, "architectures averaged an update", kBoth,
                     policy));
  add(real_option("controller-temperature", "1", 1e-3, 1e3, "logits are divided by it",
                  "docs/method.md 2.2, 3.3", policy));
  add(real_option("controller-tanh", "1.1", 0, 100,
                  "then bounded to this times tanh; 0: not bounded", "docs/method.md 2.2, 3.3",
                  policy));
  add(real_option("controller-op-reduce", "2.5", 1e-3, 1e3,
                  "the bound of operations is divided by it", "docs/method.md 3.3", policy));
  add(real_option("controller-op-bias", "0.25", 0, 100,
                  "micro: added to the separable convolutions' logits in the normal cell, "
                  "subtracted from the others'",
                  "docs/method.md 3.3", policy));
  add(real_option("entropy-weight", "1e-4", 0, 1e3, "weight of the policy's entropy in the reward",
                  kBoth, policy));
  add(real_option("baseline-decay", "0.99", 0, 1, "of the reward's moving average", kBoth, policy));
  add(real_option("skip-target", "0.4", 0.001, 0.999, "macro: P(skip) that the policy is held to",
                  "docs/method.md 2.2", policy));
  add(real_option("skip-weight", "0.8", 0, 1e3, "macro: weight of KL(policy || target) in the loss",
                  "docs/method.md 2.2", policy));
}

void add_train_options(Registry& registry) {
  const Add add = [&](OptionSpec spec) { add_train(registry, std::move(spec)); };
  const std::string group = "final training";
  add_network_options(add, group, kFinal);
  add_sgd_options(add, "", group, kFinal);
  add(integer_option("layers", "15", 1, 64,
                     "micro: normal cells (macro: the architecture's own depth)", kFinal, group,
                     "layers"));
  add(integer_option("epochs", "630", 1, 100000, "training epochs", kFinal, group, "epochs"));
  add(integer_option("valid-batch", "160", 2, 4096, "held-out images a batch of validation",
                     "docs/method.md 2.3", group, "images"));
  add(real_option("drop-path-keep", "0.6", 0.01, 1,
                  "micro: rate at which the last layer keeps a path at the end; 1: no drop path",
                  "docs/method.md 3.4", group));
  registry.add(
      of(flag_option("train-on-all", "train on held-out images too and keep the last weights",
                     "docs/method.md, first table", group),
         {"run", "train"}));
}

void add_predict_options(Registry& registry) {
  const std::string source = "docs/interface.md", group = "output";
  registry.add(
      of(integer_option("top", "3", 1, 1000, "classes shown of an image", source, group, "classes"),
         {"predict"}));
  OptionSpec json = flag_option("json", "print one JSON object, nothing else", source, group);
  json.scope = OptionScope::invocation;
  registry.add(of(std::move(json), {"predict"}));
}

// What has an effect only in one space or with a switch.
void add_needs(Registry& registry) {
  const auto in_space = [&](const char* space, std::vector<std::string> options,
                            std::vector<std::string> commands) {
    registry.add_need({std::move(options), std::move(commands), "space", {space}});
  };
  in_space("micro", {"nodes"}, {"run", "search", "arch"});
  in_space("micro", {"auxiliary", "controller-op-reduce", "controller-op-bias"}, {"run", "search"});
  in_space("macro", {"skip-target", "skip-weight"}, {"run", "search"});
  in_space("micro", {"train-auxiliary", "train-layers", "train-drop-path-keep"}, {"run"});
  in_space("micro", {"auxiliary", "drop-path-keep"}, {"train"});
  registry.add_need({{"auxiliary-weight"}, {"run", "search", "train"}, "auxiliary", {"on"}});
  registry.add_need({{"train-auxiliary-weight"}, {"run"}, "train-auxiliary", {"on"}});
  registry.add_need({{"space", "parity"}, {"export"}, "weights", {""}});
}

}  // namespace

Registry cifar_registry() {
  Registry registry("enas_cifar", "efficient neural architecture search for image classifiers");
  registry.add_command({"run", "", "search, derive, train and evaluate", 0, 0});
  registry.add_command({"search", "", "train shared weights and controller", 0, 0});
  registry.add_command(
      {"derive", "RUN", "rank architectures with a search's shared weights", 1, 1});
  registry.add_command({"train", "", "train one architecture from scratch", 0, 0});
  registry.add_command({"eval", "", "accuracy of trained weights on a split", 0, 0});
  registry.add_command({"resume", "RUN", "continue an interrupted run", 1, 1});
  registry.add_command({"arch", "show|random|count|cost", "describe architectures", 1, 1});
  registry.add_command(
      {"correlate", "RUN", "rank correlation of shared-weight and stand-alone scores", 1, 1});
  registry.add_command({"predict", "RUN IMAGE...", "classes of PNG or JPEG images", 2, 1 << 20});
  registry.add_command({"export", "", "write weights or an architecture in another form", 0, 0});
  registry.add_command({"data", "info PATH", "say what a data path holds", 2, 2});
  add_common_options(registry);
  registry.set_variants("space");
  add_method_options(registry);
  add_arch_sizes(registry);
  add_search_options(registry);
  add_train_options(registry);
  add_stage_options(registry, {"images", "batches", "batches", "arch"});
  add_predict_options(registry);
  add_needs(registry);
  add_cifar_defaults(registry);
  add_cifar_presets(registry);
  return registry;
}

}  // namespace enas
