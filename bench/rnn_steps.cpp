#include "bench/rnn_steps.h"

#include "nas/baseline.h"
#include "nas/controller.h"
#include "nas/rnn/task.h"
#include "nas/search.h"

namespace enas::bench {
namespace {

std::vector<int32_t> synthetic_text(const RnnBenchOptions& o, int64_t tokens, uint64_t step) {
  const Random random{o.seed, Stream::test, step};
  std::vector<int32_t> text(static_cast<size_t>(tokens));
  for (size_t i = 0; i < text.size(); ++i) {
    text[i] = static_cast<int32_t>(random.below(static_cast<uint32_t>(o.vocabulary), i));
  }
  return text;
}

// The settings of the peer programs (bench/peer): masks fixed over a window, no regulariser.
RnnChildOptions child_options(const RnnBenchOptions& o) {
  RnnChildOptions options;
  options.vocabulary = o.vocabulary;
  options.hidden = o.hidden;
  options.share = o.share;
  options.dropout = {.embedding = 0.25, .recurrent = 0.25, .output = 0.75};
  return options;
}
RnnTaskOptions task_options(const RnnBenchOptions& o) {
  RnnTaskOptions options;
  options.batch = options.reward_batch = o.batch;
  options.bptt = o.bptt;
  options.seed = o.seed;
  return options;
}
SgdOptions sgd_options() {
  SgdOptions options;
  options.clip = 10;
  return options;
}

}  // namespace

struct RnnSteps::Parts {
  RnnBenchOptions options;
  std::vector<int32_t> train, valid;
  RnnChild child;
  RnnTask task;
  Controller controller;
  Sgd sgd;
  Adam adam;
  RewardBaseline baseline{0.99};
  Tape tape;
  std::vector<Architecture> architectures;
  TextWindow window;
  uint64_t step = 0;

  Parts(const RnnBenchOptions& o, const std::vector<std::string>& archs)
      : options(o),
        train(synthetic_text(o, o.batch * (o.bptt + 1), 0)),
        valid(synthetic_text(o, o.batch * o.bptt, 1)),  // one window
        child(RnnSpace(static_cast<int>(o.nodes)), child_options(o), o.seed, DType::f32, nullptr,
              o.device),
        task(child, task_options(o), train, valid, 0),
        controller(child.space().decisions({}), child.space().operations(),
                   {.hidden = static_cast<int>(o.controller_hidden)}, o.seed, DType::f32, o.device),
        sgd(sgd_options()),
        window(task.train_streams().window(0, o.bptt)) {
    for (const std::string& text : archs) architectures.push_back(child.space().parse(text));
    if (archs.empty()) {
      architectures = uniform_architectures(child.space().decisions({}), 64,
                                            Random{o.seed, Stream::uniform_sample, 0});
    }
  }
  const Architecture& next() { return architectures[step++ % architectures.size()]; }
};

RnnSteps::RnnSteps(const RnnBenchOptions& options, const std::vector<std::string>& archs)
    : parts_(std::make_unique<Parts>(options, archs)) {}
RnnSteps::~RnnSteps() = default;

void RnnSteps::shared() {
  Parts& p = *parts_;
  // The sample belongs to a search step; the list decides what runs, so that a peer runs the same.
  p.controller.sample(1, Random{p.options.seed, Stream::shared_sample, p.step});
  const Architecture& arch = p.next();
  shared_step(p.tape, p.task, {&arch, 1}, p.window, p.step, p.sgd, 0.25);
}

void RnnSteps::reward() {
  const Architecture& arch = parts_->next();
  parts_->task.rewards({&arch, 1}, parts_->step);
}

void RnnSteps::controller() {
  Parts& p = *parts_;
  struct Constant {
    std::vector<double> rewards(std::span<const Architecture> list, uint64_t) {
      return std::vector<double>(list.size(), 0.5);
    }
  } constant;
  ControllerStepOptions options;
  options.samples = 1;
  options.lr = 1e-3;
  options.entropy_weight = 1e-4;
  controller_step(p.tape, constant, p.controller, p.adam, p.baseline, options, p.options.seed,
                  p.step++);
}

void RnnSteps::wait() { parts_->task.state().item(); }

double RnnSteps::tokens() const {
  return static_cast<double>(parts_->options.batch * parts_->options.bptt);
}

StepCost RnnSteps::cost() const {
  const auto h = static_cast<double>(parts_->options.hidden);
  const auto nodes = static_cast<double>(parts_->options.nodes);
  const auto steps = static_cast<double>(parts_->options.bptt);
  const double cell = 4 * h * h + 2 * h * h * nodes;
  const double decoder = static_cast<double>(parts_->options.vocabulary) * h;
  return {6 * tokens() * (cell + decoder), cell + decoder, steps * cell + decoder};
}

}  // namespace enas::bench
