// What an app makes for the stages of a run, over data that have been loaded.
#pragma once
#include <functional>
#include <string>

#include "apps/run/draw.h"
#include "apps/run/json_text.h"
#include "apps/run/learner.h"
#include "apps/run/weights.h"
#include "nas/controller.h"
#include "nn/average.h"

namespace enas {

// For search, derive and correlate: the shared weights of a space and how they are trained.
struct Search {
  Learner learner;
  std::string size;  // "8 nodes, 2,642,411,520 architectures"
  DecisionList decisions;
  int operations = 0;  // rows of the controller's embedding
  uint64_t seed = 1;
  bool random = false;  // --strategy random

  int64_t epochs = 1;
  std::function<double(int64_t epoch)> rate;
  int64_t per_step = 1;  // architectures a shared step (M)
  SgdOptions sgd;

  ControllerOptions controller;
  AdamOptions adam;
  ControllerStepOptions update;
  int64_t updates = 0;  // a controller phase
  RewardBaseline baseline{0.999};

  Metadata metadata;  // of shared.safetensors
  // Refuses weights that belong to other data.
  std::function<void(const WeightFile&)> check_weights;

  // For people and files of RUN/arch/: adds "params", "macs", "space" and sizes of the stand-alone
  // network; the architecture in words; its drawing.
  std::function<void(JsonLine&, const Architecture&)> facts;
  std::function<std::string(const Architecture&)> words;
  std::function<Drawing(const Architecture&)> draw;
};

// For train: one architecture from scratch.
struct Training {
  Learner learner;
  Architecture arch;
  int64_t epochs = 1;
  std::function<double(int64_t epoch)> rate;
  SgdOptions sgd;
  AverageOptions average;
  bool select = true;  // keeps the weights best on validation; else the last ones
  Metadata metadata;   // of model.safetensors
};

}  // namespace enas
