// Defaults of both spaces and the presets of enas_cifar. A function is long because it is a table
// of values.
#include "apps/cifar/options.h"
#include "apps/run/recipe.h"

namespace enas {
namespace {

const std::vector<std::string> kSearching = {"run", "search", "arch"};

// Hours on a GPU: the tables of docs/method.md.
void add_long(Registry& registry) {
  const PresetValues controller = {
      {"controller-hidden", "100"},    {"controller-lr", "3.5e-4"},  {"controller-beta1", "0.9"},
      {"controller-epsilon", "1e-8"},  {"controller-steps", "2000"}, {"controller-samples", "1"},
      {"controller-temperature", "5"}, {"controller-tanh", "2.5"},   {"controller-op-reduce", "1"},
      {"controller-op-bias", "0"},     {"entropy-weight", "0.1"},    {"weight-decay", "1e-4"},
      {"shared-lr-min", "0.001"}};
  const PresetValues train = {
      {"weight-decay", "1e-4"}, {"lr-min", "0.001"}, {"cutout", "16"}, {"train-on-all", "true"}};
  const PresetValues run = {{"batches", "1"}};
  const std::string help =
      "the paper's own description (in search loose ends pass a 1x1, so that a cell keeps its "
      "channels; in the final network they are concatenated, a single one is the output)";
  add_recipe(registry, "paper", help,
             {controller + PresetValues{{"parity", "concat-input"}}, train, run}, "macro");
  add_recipe(registry, "paper", help,
             {controller + PresetValues{{"parity", "reduce-stride2"}}, train, run}, "micro");
  const std::string best = "the recipe with the best evidence";
  for (const char* space : {"macro", "micro"})
    add_recipe(registry, "best", best, {{}, {{"cutout", "16"}}, {}}, space);
}

}  // namespace

void add_cifar_defaults(Registry& registry) {
  registry.add_defaults("macro", "docs/method.md 2.2, 2.3",
                        {{"layers", "12"},
                         {"filters", "36"},
                         {"batch", "128"},
                         {"epochs", "310"},
                         {"weight-decay", "5e-4"},
                         {"reward-batch", "128"},
                         {"controller-lr", "0.001"},
                         {"controller-steps", "50"},
                         {"controller-samples", "20"},
                         {"controller-tanh", "1.5"},
                         {"controller-op-reduce", "1"},
                         {"controller-op-bias", "0"}},
                        kSearching);
  registry.add_defaults("micro", "docs/method.md 3.3, 3.4",
                        {{"layers", "6"},
                         {"filters", "20"},
                         {"batch", "160"},
                         {"epochs", "150"},
                         {"weight-decay", "2e-4"},
                         {"reward-batch", "160"},
                         {"controller-lr", "0.0035"},
                         {"controller-steps", "30"},
                         {"controller-samples", "10"},
                         {"controller-tanh", "1.1"},
                         {"controller-op-reduce", "2.5"},
                         {"controller-op-bias", "0.25"}},
                        kSearching);
  const PresetValues macro = {{"filters", "96"},        {"batch", "100"},    {"epochs", "310"},
                              {"lr-min", "0.001"},      {"dropout", "0.5"},  {"valid-batch", "100"},
                              {"weight-decay", "4e-4"}, {"auxiliary", "off"}},
                     micro = {{"filters", "36"},        {"batch", "144"},   {"epochs", "630"},
                              {"lr-min", "0.0001"},     {"dropout", "0.2"}, {"valid-batch", "144"},
                              {"weight-decay", "4e-4"}, {"auxiliary", "on"}};
  registry.add_defaults("macro", "docs/method.md 2.4", macro, {"train"});
  registry.add_defaults("micro", "docs/method.md 3.4", micro, {"train"});
  registry.add_defaults("macro", "docs/method.md 2.4", of_train(macro), {"run"});
  registry.add_defaults("micro", "docs/method.md 3.4", of_train(micro), {"run"});
  registry.add_defaults("macro", "docs/method.md 2.4", {{"train-filters", "96"}}, {"arch"});
  registry.add_defaults("micro", "docs/method.md 3.4", {{"train-filters", "36"}}, {"arch"});
}

// demo and quick are made for two CPU cores: smaller networks, one cosine over all epochs, and a
// controller with a higher rate, for in a few epochs the published one would hardly leave the
// initial policy.
void add_cifar_presets(Registry& registry) {
  const std::string demo = "builtin:shapes10 on two cores in one or two minutes",
                    quick = "CIFAR-10 on two cores within 80 minutes";
  const PresetValues controller = {
      {"reward-batch", "100"}, {"controller-lr", "0.01"}, {"controller-samples", "10"}};
  // With [C]'s epsilon of 1e-3 the macro policy, whose gradients are smaller, would stand still.
  const PresetValues plain_adam = {{"controller-beta1", "0.9"}, {"controller-epsilon", "1e-8"}};
  // With 4 epochs the shared weights of the micro space are still at chance, 10 %; with 16 at 31.
  const auto epochs = [](const char* n) {
    return PresetValues{{"epochs", n}, {"shared-lr-period", n}};
  };
  const PresetValues demo_search =
                         controller +
                         PresetValues{{"batch", "64"}, {"controller-steps", "10"}, {"pad", "2"}},
                     demo_train = {{"batch", "64"},  {"lr-period", "6"},     {"epochs", "6"},
                                   {"dropout", "0"}, {"valid-batch", "100"}, {"pad", "2"}},
                     demo_run = {{"samples", "5"}, {"top", "3"}};
  add_recipe(
      registry, "demo", demo,
      {demo_search + epochs("4") + plain_adam + PresetValues{{"layers", "4"}, {"filters", "12"}},
       demo_train + PresetValues{{"filters", "16"}}, demo_run},
      "macro");
  add_recipe(
      registry, "demo", demo,
      {demo_search + epochs("16") + PresetValues{{"layers", "1"}, {"nodes", "2"}, {"filters", "8"}},
       demo_train +
           PresetValues{
               {"layers", "1"}, {"filters", "16"}, {"drop-path-keep", "1"}, {"auxiliary", "off"}},
       demo_run},
      "micro");
  const PresetValues quick_search = controller + PresetValues{{"batch", "64"},
                                                              {"epochs", "10"},
                                                              {"shared-lr-period", "10"},
                                                              {"controller-steps", "50"}},
                     quick_train = {{"batch", "64"},    {"epochs", "12"},   {"lr-period", "12"},
                                    {"lr-min", "1e-4"}, {"dropout", "0.1"}, {"valid-batch", "100"}},
                     quick_run = {{"samples", "20"}, {"top", "5"}};
  add_recipe(registry, "quick", quick,
             {quick_search + plain_adam + PresetValues{{"layers", "6"}, {"filters", "16"}},
              quick_train + PresetValues{{"filters", "20"}}, quick_run},
             "macro");
  add_recipe(
      registry, "quick", quick,
      {quick_search + PresetValues{{"layers", "3"}, {"filters", "10"}},
       quick_train +
           PresetValues{
               {"layers", "3"}, {"filters", "12"}, {"drop-path-keep", "0.9"}, {"auxiliary", "off"}},
       quick_run},
      "micro");
  add_long(registry);
}

}  // namespace enas
