#include "apps/run/recipe.h"

namespace enas {
namespace {

// What `arch` has of a recipe: sizes of the search network, and of the stand-alone one as train-.
PresetValues of_arch(const Registry& registry, const Recipe& recipe) {
  PresetValues known;
  for (const auto& [name, value] : recipe.search + of_train(recipe.train))
    if (registry.find(name, "arch")) known.emplace_back(name, value);
  return known;
}

}  // namespace

PresetValues operator+(PresetValues left, const PresetValues& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

PresetValues of_train(const PresetValues& values) {
  PresetValues prefixed;
  for (const auto& [name, value] : values)
    prefixed.emplace_back(name.rfind("train-", 0) == 0 ? name : "train-" + name, value);
  return prefixed;
}

void add_recipe(Registry& registry, const std::string& name, const std::string& help,
                const Recipe& recipe, const std::string& space) {
  registry.add_preset(name, help, recipe.search + of_train(recipe.train) + recipe.run, {"run"},
                      space);
  registry.add_preset(name, help, recipe.search, {"search"}, space);
  registry.add_preset(name, help, of_arch(registry, recipe), {"arch"}, space);
  registry.add_preset(name, help, recipe.train, {"train"}, space);
}

}  // namespace enas
