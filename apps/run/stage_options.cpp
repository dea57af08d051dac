// The options of derive, of run directories and of trained weights, which both apps have alike. A
// function is long because it is a table: one entry an option.
#include "apps/run/option_specs.h"

namespace enas {
namespace {

constexpr const char* kInterface = "docs/interface.md";
constexpr const char* kSwitches = "docs/method.md, first table";
constexpr const char* kEvidence = "docs/method.md 6";

void add_derive_options(Registry& registry, const StageWords& words) {
  const auto add = [&](OptionSpec spec) { registry.add(of(std::move(spec), {"run", "derive"})); };
  const std::string source = "docs/method.md 4", group = "derive";
  add(integer_option("samples", "100", 1, 100000, "controller samples, and as many uniform ones",
                     source, group));
  add(integer_option("top", "10", 1, 100000, "architectures of each group kept in top.json", source,
                     group));
  add(integer_option("batches", "0", 0, 1000000,
                     "score on the first so many " + words.batches + "; 0: all", source, group,
                     words.batches_unit));
}

void add_correlate_options(Registry& registry) {
  const auto add = [&](OptionSpec spec) { registry.add(of(std::move(spec), {"correlate"})); };
  add(integer_option("samples", "20", 2, 10000, "uniform architectures", kEvidence, "correlate"));
  add(integer_option("epochs", "3", 1, 100000, "training epochs of each", kEvidence, "correlate",
                     "epochs"));
}

// How many networks are trained.
void add_length_options(Registry& registry) {
  const std::string group = "length";
  const auto add = [&](OptionSpec spec) { registry.add(of(std::move(spec), {"run"})); };
  add(flag_option("baseline", "train the best uniform architecture too, into RUN/random", kSwitches,
                  group));
  add(integer_option("retrain", "1", 1, 100,
                     "train the first so many ranks into RUN/retrain-R and pick on validation",
                     kSwitches, group, "architectures"));
  add(integer_option("retrain-epochs", "0", 0, 100000,
                     "with --retrain: train each so long, then the best from scratch in full; 0: "
                     "each in full",
                     kSwitches, group, "epochs"));
  registry.add(of(integer_option("seeds", "1", 1, 1000,
                                 "trainings with seeds from --seed on, into RUN/seed-S; the best "
                                 "is linked",
                                 kEvidence, group, "trainings"),
                  {"train"}));
  registry.add_need({{"baseline"}, {"run"}, "strategy", {"enas"}});
}

// Of the commands that take a weight file or an architecture.
void add_file_options(Registry& registry, const StageWords& words) {
  const auto add = [&](OptionSpec spec, std::vector<std::string> commands,
                       OptionScope scope = OptionScope::result) {
    spec.scope = scope;
    registry.add(of(std::move(spec), std::move(commands)));
  };
  add(text_option("arch", "FILE|TEXT|published", "the architecture", kInterface, "method"),
      {"train", "arch", "export"});
  add(text_option("weights", "FILE|RUN", "model.safetensors or a run directory", kInterface,
                  "files"),
      {"eval", "export"});
  add(choice_option("split", "test", {"valid", "test"}, "which " + words.data, kInterface, "data"),
      {"eval"});
  add(flag_option("plan", "print shapes, weights, memory, FLOPs and time, and stop", kInterface,
                  "general"),
      {"run", "search", "train"}, OptionScope::invocation);
  add(choice_option("format", "", {"safetensors", "json", "dot", "svg"},
                    "form of the file, always needed", kInterface, "files"),
      {"export"});
  add(flag_option("json", "print one JSON object, nothing else", kInterface, "output"),
      {"eval", "arch"}, OptionScope::invocation);
  const std::string& name = words.drawing;
  add(text_option("to", "FOLDER",
                  "show, random: write drawings there, " + name + ".svg and " + name + ".dot",
                  kInterface, "files"),
      {"arch"}, OptionScope::invocation);
  add(text_option("to", "FILE", "the file to write, always needed", kInterface, "files"),
      {"export"}, OptionScope::invocation);
  registry.add_need({{"to"}, {"arch"}, "", {"show", "random"}});
  registry.add_need({{"arch"}, {"arch"}, "", {"show", "count", "cost"}});
}

}  // namespace

void add_stage_options(Registry& registry, const StageWords& words) {
  add_derive_options(registry, words);
  add_correlate_options(registry);
  add_length_options(registry);
  add_file_options(registry, words);
}

}  // namespace enas
