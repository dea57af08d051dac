#include "apps/ptb/workbench.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/ptb/architecture_file.h"
#include "apps/ptb/model.h"
#include "apps/ptb/options.h"
#include "apps/ptb/plan.h"
#include "apps/ptb/weights.h"
#include "apps/run/device_plan.h"
#include "data/grouped.h"

namespace enas {
namespace {

using CorpusHandle = std::shared_ptr<const Corpus>;

// A child with its text.
struct TextChild {
  TextChild(CorpusHandle text, const RnnSpace& space, const RnnChildOptions& options,
            const RnnTaskOptions& task_options, WindowPlan::Kind kind, const Architecture* only,
            Device device)
      : corpus(std::move(text)),
        child(space, options, task_options.seed, DType::f32, only, device),
        task(child, task_options, corpus->train, corpus->valid, corpus->vocabulary.eos),
        plan(kind, task.train_streams().length(), task_options.bptt, task_options.seed) {}

  CorpusHandle corpus;
  RnnChild child;
  RnnTask task;
  WindowPlan plan;
  std::vector<WindowSpan> windows;  // of the epoch begun last

  WindowSpan window(int64_t batch) const { return windows[static_cast<size_t>(batch)]; }
};

Learner text_learner(const std::shared_ptr<TextChild>& text) {
  Learner learner;
  const RnnTaskOptions& options = text->task.options();
  learner.weights = &text->child.parameters();
  learner.text = [text](const Architecture& arch) { return text->child.space().to_string(arch); };
  learner.begin_epoch = [text](int64_t epoch) {
    text->windows = text->plan.epoch(epoch);
    std::vector<int64_t> tokens;
    for (const WindowSpan& span : text->windows)
      tokens.push_back(span.length * text->task.options().batch);
    return tokens;
  };
  // The rate is for windows of bptt positions; shorter ones have less.
  learner.rate = [text](double lr, int64_t batch) {
    return lr * static_cast<double>(text->window(batch).length) /
           static_cast<double>(text->task.options().bptt);
  };
  learner.reset = [text] { text->task.reset_state(); };
  learner.step = [text](Tape& tape, std::span<const Architecture> architectures, int64_t batch,
                        uint64_t number, Sgd& sgd, double lr, const Tensor& previous) {
    const WindowSpan span = text->window(batch);
    StepReport report = shared_step(tape, text->task, architectures,
                                    text->task.train_streams().window(span.start, span.length),
                                    number, sgd, lr, previous);
    return Learner::Step{std::move(report),
                         [score = text->task.last_cross_entropy()] { return score.read().loss(); }};
  };
  learner.rewards = [text](std::span<const Architecture> architectures, uint64_t first) {
    return text->task.rewards(architectures, first);
  };
  learner.score_batches = text->task.valid_windows();
  learner.score = [text](const Architecture& arch, int64_t windows) {
    return text->task.score(arch, windows).perplexity();
  };
  learner.noise = [options](int64_t windows) {
    const double tokens = static_cast<double>(windows * options.bptt * options.reward_batch);
    // The standard deviation of -log p a token is about 2.5 nats.
    return fmt::format("a score from {} tokens has a standard error of some {:.1f} %",
                       static_cast<int64_t>(tokens), 100 * 2.5 / std::sqrt(tokens));
  };
  learner.state = [text](std::map<std::string, Tensor>& out) {
    out.emplace("carried_state", text->task.state());
    out.emplace("reward_state", text->task.reward_state());
  };
  learner.load_state = [text](const Checkpoint& from) {
    from.restore("carried_state", text->task.state());
    from.restore("reward_state", text->task.reward_state());
  };
  return learner;
}

Search text_search(const CorpusHandle& corpus, const Settings& settings,
                   const std::string& command) {
  const PtbOptions options(settings, command);
  const int64_t vocabulary = corpus->vocabulary.size();
  const RnnSpace space = options.space();
  const auto text = std::make_shared<TextChild>(corpus, space, options.shared_child(vocabulary),
                                                options.shared_task(), options.shared_windows(),
                                                nullptr, options.device());
  Search search;
  search.learner = text_learner(text);
  search.size =
      fmt::format("{}, {} architectures", counted(space.nodes(), "node"), grouped(space.count()));
  search.decisions = space.decisions(options.policy());
  search.operations = space.operations();
  search.seed = options.seed();
  search.random = options.random_strategy();
  search.epochs = options.search_epochs();
  search.rate = [lr = options.shared_lr()](int64_t) { return lr; };
  search.per_step = options.shared_samples();
  search.sgd = options.shared_sgd();
  search.controller = options.controller();
  search.update = options.controller_update();
  search.updates = options.updates_a_phase();
  search.baseline = options.baseline();
  search.metadata = child_metadata(text->child, *corpus, result_toml(settings));
  search.check_weights = [corpus](const WeightFile& file) {
    check_vocabulary(file.metadata, *corpus, file.path);
  };
  const CellCost cost = cost_of(space, options.stand_alone_child(vocabulary));
  search.facts = [space, cost](JsonLine& line, const Architecture&) {
    line.add("params", cost.params).add("macs", cost.macs);
    line.add("space", "rnn").add("nodes", space.nodes());
  };
  search.words = [space](const Architecture& arch) { return space.to_words(arch); };
  search.draw = [space](const Architecture& arch) { return draw_cell(space, arch); };
  return search;
}

Training text_training(const CorpusHandle& corpus, const Settings& settings,
                       const std::string& command, const std::string& arch_text) {
  const PtbOptions options(settings, command);
  const RnnSpace space = rnn_space_of(arch_text);
  Training training;
  training.arch = space.parse(arch_text);
  const auto text = std::make_shared<TextChild>(
      corpus, space, options.final_child(corpus->vocabulary.size()), options.final_task(),
      options.train_windows(), &training.arch, options.device());
  training.learner = text_learner(text);
  training.learner.state = [text](std::map<std::string, Tensor>& out) {
    out.emplace("carried_state", text->task.state());
  };
  training.learner.load_state = [text](const Checkpoint& from) {
    from.restore("carried_state", text->task.state());
  };
  training.epochs = options.train_epochs();
  training.rate = [rate = options.train_rate()](int64_t epoch) { return rate.at(epoch); };
  training.sgd = options.final_sgd();
  training.average = options.train_average();
  training.metadata = child_metadata(text->child, *corpus, result_toml(settings));
  training.metadata["arch"] = space.to_string(training.arch);
  return training;
}

// Batches too large for the text.
void rehearse_text(const CorpusHandle& corpus, const std::string& command,
                   const Settings& settings) {
  const auto streams = [&](const std::string& option, const std::vector<int32_t>& tokens) {
    const int64_t batch = settings.integer(option), most = static_cast<int64_t>(tokens.size()) / 2;
    check(batch <= most, ErrorKind::usage, "enas_ptb " + command, "--", option, " ", batch,
          " is too large for ", tokens.size(), " tokens; at most ", most);
  };
  const std::string prefix = command == "run" ? "train-" : "";
  if (command != "train") {
    streams("batch", corpus->train);
    streams("reward-batch", corpus->valid);
  }
  if (command != "search") {
    streams(prefix + "batch", corpus->train);
    streams(prefix + "valid-batch", corpus->valid);
  }
}

std::string plan_of_text(const Workbench& bench, const CorpusHandle& corpus,
                         const std::string& command, const Settings& settings) {
  std::string text = plan_text(command, settings, *corpus);
  if constexpr (kWithCuda) {
    if (device_of(settings) == Device::cuda) {
      const PtbOptions options(settings, command);
      const int64_t vocabulary = corpus->vocabulary.size();
      const auto of = [](const CellCost& cost) {
        return PlanCost{static_cast<double>(cost.macs), static_cast<double>(cost.params)};
      };
      text +=
          device_plan_text(bench, command, settings,
                           {[&](const Architecture&) {
                              return of(cost_of(options.space(), options.shared_child(vocabulary)));
                            },
                            [&](const Architecture& arch) {
                              return of(cost_of(RnnSpace(static_cast<int>(arch.choices.size() / 2)),
                                                options.final_child(vocabulary)));
                            }});
    }
  }
  return text;
}

}  // namespace

Workbench text_workbench(CorpusHandle corpus) {
  Workbench bench;
  bench.description = corpus->description;
  bench.fingerprint = corpus->fingerprint;
  bench.search = [corpus](const Settings& settings, const std::string& command) {
    return text_search(corpus, settings, command);
  };
  bench.training = [corpus](const Settings& settings, const std::string& command,
                            const std::string& arch) {
    return text_training(corpus, settings, command, arch);
  };
  bench.model = [corpus](const std::string& weights, Device device) -> Evaluator {
    const auto model = std::make_shared<const Model>(load_model(weights, *corpus, device));
    return [corpus, model](const std::string& split) { return evaluate(*model, *corpus, split); };
  };
  bench.rehearse = [corpus](const std::string& command, const Settings& settings) {
    rehearse_text(corpus, command, settings);
  };
  bench.plan = [corpus, bench](const std::string& command, const Settings& settings) {
    return plan_of_text(bench, corpus, command, settings);
  };
  return bench;
}

}  // namespace enas
