// The presets of enas_ptb.
#include "apps/ptb/options.h"
#include "apps/run/recipe.h"

namespace enas {
namespace {

// demo and quick are made for two CPU cores and minutes; they leave `best` where a short run must:
// one matrix an edge (a quarter of the matrices, each trained four times as often), little dropout
// (nothing overfits in a few epochs), windows of one length, and a controller that learns a hundred
// times faster with more updates (at 5e-5 it would never leave the initial policy).
Recipe demo() {
  const PresetValues search = {{"nodes", "4"},
                               {"hidden", "64"},
                               {"batch", "32"},
                               {"bptt", "20"},
                               {"epochs", "2"},
                               {"dropout-word", "0"},
                               {"dropout-embedding", "0"},
                               {"dropout-input", "0"},
                               {"dropout-recurrent", "0"},
                               {"dropout-output", "0"},
                               {"slowness", "0"},
                               {"reward-batch", "16"},
                               {"shared-lr", "10"},      // at 20 two seeds of three had a step
                               {"shared-clip", "0.25"},  // whose perplexity no double holds
                               {"controller-lr", "0.005"},
                               {"controller-steps", "30"}};
  const PresetValues train = {{"hidden", "64"},        {"batch", "32"},
                              {"bptt", "20"},          {"epochs", "6"},
                              {"dropout-word", "0"},   {"dropout-embedding", "0"},
                              {"dropout-input", "0"},  {"dropout-recurrent", "0"},
                              {"dropout-output", "0"}, {"valid-batch", "16"},
                              {"lr-decay", "3"},       {"lr-decay-from", "4"}};
  return {search, train, {{"samples", "10"}}};
}

Recipe quick() {
  const PresetValues search = {{"nodes", "8"},
                               {"hidden", "100"},
                               {"batch", "32"},
                               {"epochs", "5"},
                               {"share", "edge"},
                               {"dropout-word", "0"},
                               {"dropout-embedding", "0.1"},
                               {"dropout-input", "0"},
                               {"dropout-recurrent", "0.1"},
                               {"dropout-output", "0.2"},
                               {"reward-batch", "64"},
                               {"controller-lr", "0.005"},
                               {"controller-steps", "40"}};
  // Windows of 20 streams: 1.6 times the steps of 32 an epoch, at the same speed. The
  // rate falls early and slowly; docs/results/ptb_quick.md compares.
  const PresetValues train = {{"hidden", "200"},
                              {"batch", "20"},
                              {"epochs", "8"},
                              {"dropout-word", "0"},
                              {"dropout-embedding", "0.1"},
                              {"dropout-input", "0"},
                              {"dropout-recurrent", "0.1"},
                              {"dropout-output", "0.3"},
                              {"lr-decay", "1.5"},
                              {"lr-decay-from", "4"}};
  // Shared scores do not order the first few (docs/results/evidence_ptb.md); an epoch each does.
  return {search, train, {{"samples", "20"}, {"retrain", "3"}, {"retrain-epochs", "1"}}};
}

// What the paper says, where docs/method.md ("Presets", sections 1.3 and 1.4) knows it; final
// training as in the script published with it. Far too much for a CPU: --plan says how much.
Recipe paper() {
  const PresetValues search = {{"nodes", "11"},
                               {"parity", "node0-searched"},
                               {"share", "edge"},
                               {"hidden", "1000"},
                               {"batch", "64"},
                               {"epochs", "150"},
                               {"dropout-word", "0.1"},
                               {"dropout-embedding", "0"},
                               {"dropout-input", "0.65"},
                               {"dropout-recurrent", "0"},
                               {"dropout-output", "0.4"},
                               {"slowness", "0"},
                               {"weight-decay", "2e-7"},
                               {"reward-batch", "64"},
                               {"shared-clip", "0.25"},
                               {"shared-init", "0.025"},
                               {"controller-hidden", "100"},
                               {"controller-init", "0.1"},
                               {"controller-lr", "3.5e-4"},
                               {"controller-steps", "2000"},
                               {"controller-samples", "1"},
                               {"controller-tanh", "2.5"},
                               {"controller-distance-bias", "0"},
                               {"entropy-weight", "1e-4"},
                               {"baseline-decay", "0.95"}};
  const PresetValues train = {{"hidden", "748"},         {"epochs", "2000"},
                              {"dropout-word", "0.21"},  {"dropout-embedding", "0"},
                              {"dropout-input", "0.75"}, {"dropout-output", "0.76"},
                              {"weight-decay", "1e-6"},  {"slowness", "1e-3"},
                              {"lr-decay", "1.0009"},    {"lr-decay-from", "15"}};
  return {search, train, {{"samples", "100"}, {"batches", "1"}}};
}

// The defaults are the recipe with the best evidence, but for what changes the shape of a run:
// windows of unequal length in search, and the mean of weights in final training.
Recipe best() {
  const PresetValues search = {{"variable-bptt", "true"}};
  const PresetValues train = {{"average-from", "2000"}};
  return {search, train, {{"samples", "100"}}};
}

}  // namespace

void add_ptb_presets(Registry& registry) {
  add_recipe(registry, "demo", "builtin:tiny-text in about a minute", demo());
  add_recipe(registry, "quick", "Penn Treebank on two cores within 25 minutes", quick());
  add_recipe(registry, "paper",
             "the paper's own description (without the rate's decay in search; a shared phase is a "
             "whole epoch)",
             paper());
  add_recipe(registry, "best", "the recipe with the best evidence", best());
}

}  // namespace enas
