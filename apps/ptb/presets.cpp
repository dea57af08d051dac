// The presets of enas_ptb. Its one function is long because it is a table of values.
#include "apps/ptb/options.h"

namespace enas {

// demo and quick are made for two CPU cores and minutes; they leave `best` where a short run must:
// one matrix an edge (a quarter of the matrices, each trained four times as often), little dropout
// (nothing overfits in a few epochs), windows of one length, and a controller that learns a hundred
// times faster with more updates (at 5e-5 it would never leave the initial policy).
void add_ptb_presets(Registry& registry) {
  const std::string demo_help = "builtin:tiny-text in about a minute",
                    quick_help = "Penn Treebank on two cores within 25 minutes";
  const PresetValues demo_search = {{"nodes", "4"},
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
  const PresetValues demo_train = {{"hidden", "64"},        {"batch", "32"},
                                   {"bptt", "20"},          {"epochs", "6"},
                                   {"dropout-word", "0"},   {"dropout-embedding", "0"},
                                   {"dropout-input", "0"},  {"dropout-recurrent", "0"},
                                   {"dropout-output", "0"}, {"valid-batch", "16"},
                                   {"lr-decay", "3"},       {"lr-decay-from", "4"}};
  const PresetValues quick_search = {{"nodes", "8"},
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
  const PresetValues quick_train = {{"hidden", "200"},
                                    {"batch", "20"},
                                    {"epochs", "8"},
                                    {"dropout-word", "0"},
                                    {"dropout-embedding", "0.1"},
                                    {"dropout-input", "0"},
                                    {"dropout-recurrent", "0.1"},
                                    {"dropout-output", "0.3"},
                                    {"lr-decay", "1.5"},
                                    {"lr-decay-from", "4"}};
  const auto run_values = [](PresetValues search, const PresetValues& train, const char* samples) {
    for (const auto& [name, value] : train) search.emplace_back("train-" + name, value);
    search.emplace_back("samples", samples);
    return search;
  };
  // What the paper says, where docs/method.md ("Presets", sections 1.3 and 1.4) knows it; final
  // training as in the script published with it. Far too much for a CPU: --plan says how much.
  const PresetValues paper_search = {{"nodes", "11"},
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
  const PresetValues paper_train = {{"hidden", "748"},         {"epochs", "2000"},
                                    {"dropout-word", "0.21"},  {"dropout-embedding", "0"},
                                    {"dropout-input", "0.75"}, {"dropout-output", "0.76"},
                                    {"weight-decay", "1e-6"},  {"slowness", "1e-3"},
                                    {"lr-decay", "1.0009"},    {"lr-decay-from", "15"}};
  // The defaults are the recipe with the best evidence, but for what changes the shape of a run:
  // windows of unequal length in search, and the mean of weights in final training.
  const PresetValues best_search = {{"variable-bptt", "true"}};
  const PresetValues best_train = {{"average-from", "2000"}};
  PresetValues paper_run = run_values(paper_search, paper_train, "100");
  paper_run.emplace_back("batches", "1");
  const std::string paper_help =
                        "the paper's own description (without the rate's decay in search; a shared "
                        "phase is a whole epoch)",
                    best_help = "the recipe with the best evidence";
  registry.add_preset("paper", paper_help, paper_run, {"run"});
  registry.add_preset("paper", paper_help, paper_search, {"search", "arch"});
  registry.add_preset("paper", paper_help, paper_train, {"train"});
  registry.add_preset("best", best_help, run_values(best_search, best_train, "100"), {"run"});
  registry.add_preset("best", best_help, best_search, {"search", "arch"});
  registry.add_preset("best", best_help, best_train, {"train"});
  registry.add_preset("demo", demo_help, run_values(demo_search, demo_train, "10"), {"run"});
  registry.add_preset("demo", demo_help, demo_search, {"search", "arch"});
  registry.add_preset("demo", demo_help, demo_train, {"train"});
  // Shared scores do not order the first few (docs/results/evidence_ptb.md); an epoch each does.
  PresetValues quick_run = run_values(quick_search, quick_train, "20");
  quick_run.emplace_back("retrain", "3");
  quick_run.emplace_back("retrain-epochs", "1");
  registry.add_preset("quick", quick_help, quick_run, {"run"});
  registry.add_preset("quick", quick_help, quick_search, {"search", "arch"});
  registry.add_preset("quick", quick_help, quick_train, {"train"});
}

}  // namespace enas
