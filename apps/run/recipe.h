// A preset as the apps write it: the values of its search, of its training and, for `run` alone, of
// what it does besides.
#pragma once
#include <string>

#include "apps/run/options.h"

namespace enas {

struct Recipe {
  PresetValues search, train, run;
};

// Both, one after the other.
PresetValues operator+(PresetValues left, const PresetValues& right);
// As `run` names the options of a training: with the prefix train-.
PresetValues of_train(const PresetValues& values);

// Registers the recipe for run, search, train and arch, under one space or all.
void add_recipe(Registry& registry, const std::string& name, const std::string& help,
                const Recipe& recipe, const std::string& space = {});

}  // namespace enas
