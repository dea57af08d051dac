#include "apps/ptb/plan.h"

#include <fmt/format.h>

#include "apps/ptb/architecture_file.h"
#include "apps/ptb/options.h"
#include "apps/run/console.h"
#include "apps/run/measured_rate.h"
#include "data/grouped.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

// Floats that one window keeps for backward, largest child: a node keeps its masked input, its
// gates and its value, and waits with the gradient of its product; the decoder keeps its logits
// once.
double window_bytes(const RnnChildOptions& child, const RnnTaskOptions& task, int nodes) {
  const double rows = static_cast<double>(task.batch * task.bptt),
               h = static_cast<double>(child.hidden);
  const double width = child.cell == CellKind::highway ? 2 * h : h;
  const double node = h + width + h + width, first = 2 * h + width + h + width;
  return 4 * rows * (first + nodes * node + 4 * h + static_cast<double>(child.vocabulary));
}

struct Phase {
  std::string name;
  RnnChildOptions child;
  RnnTaskOptions task;
  int nodes;
  int64_t weights, steps_per_epoch, epochs, architectures;
  double evaluated_tokens;  // an epoch, forward only
};

std::string describe(const Phase& p, double rate) {
  const double per_token = 2.0 * static_cast<double>(cost_of(RnnSpace(p.nodes), p.child).macs);
  const double step_tokens = static_cast<double>(p.task.batch * p.task.bptt * p.architectures);
  const double step = 3 * per_token * step_tokens;
  const double epoch =
      step * static_cast<double>(p.steps_per_epoch) + per_token * p.evaluated_tokens;
  const double total = epoch * static_cast<double>(p.epochs);
  const double window =
      window_bytes(p.child, p.task, p.nodes) * static_cast<double>(p.architectures);
  const double weights = 4.0 * static_cast<double>(p.weights);
  const double gradients = 4.0 * static_cast<double>(cost_of(RnnSpace(p.nodes), p.child).params);
  return fmt::format(
      "{}: {}, hidden {}, batch {}, bptt {}, vocabulary {}\n"
      "  weights {} ({}), gradients of one child {}, kept for backward {}: about {} in all\n"
      "  {:.2f} GFLOP a step, {} an epoch, {}: {}, at least {} at the {:.0f} GFLOP/s measured "
      "here\n",
      p.name, counted(p.nodes, "node"), p.child.hidden, p.task.batch, p.task.bptt,
      grouped(p.child.vocabulary), format_count(static_cast<double>(p.weights)),
      format_bytes(weights), format_bytes(gradients), format_bytes(window),
      format_bytes(weights + gradients + window), step / 1e9, counted(p.steps_per_epoch, "step"),
      counted(p.epochs, "epoch"), format_flop(total), format_seconds(total / rate), rate / 1e9);
}

int64_t steps_of(const Corpus& corpus, const RnnTaskOptions& task) {
  return std::max<int64_t>(1, static_cast<int64_t>(corpus.train.size()) / task.batch / task.bptt);
}

}  // namespace

std::string plan_text(const std::string& command, const Settings& settings, const Corpus& corpus) {
  const PtbOptions options(settings, command);
  const int64_t vocabulary = corpus.vocabulary.size();
  const double rate = measured_rate(), valid = static_cast<double>(corpus.valid.size());
  std::string text =
      fmt::format("plan of {} on {}; nothing is run\n", command, counted(thread_count(), "thread"));
  int nodes = 0;
  if (command != "train") {
    nodes = options.space().nodes();
    const RnnChildOptions child = options.shared_child(vocabulary);
    const RnnTaskOptions task = options.shared_task();
    const ControllerStepOptions controller = options.controller_update();
    const double rewards = static_cast<double>(options.updates_a_phase() * controller.samples);
    const double reward_tokens = rewards * static_cast<double>(task.reward_batch * task.bptt);
    text += describe(
        {"search", child, task, nodes, shared_parameters(options.space(), child),
         steps_of(corpus, task), options.search_epochs(), options.shared_samples(), reward_tokens},
        rate);
    text += fmt::format("  a controller phase scores {}; {} architectures in the space\n",
                        counted(static_cast<int64_t>(rewards), "architecture"),
                        grouped(options.space().count()));
  }
  if (command == "train") {
    nodes = rnn_space_of(settings.text("arch")).nodes();
  }
  if (command != "search") {
    const RnnChildOptions child = options.final_child(vocabulary);
    const RnnTaskOptions task = options.final_task();
    text += describe({"train", child, task, nodes, cost_of(RnnSpace(nodes), child).params,
                      steps_of(corpus, task), options.train_epochs(), 1, valid},
                     rate);
  }
  return text;
}

}  // namespace enas
