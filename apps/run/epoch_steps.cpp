#include "apps/run/epoch_steps.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

namespace enas {
namespace {

// "ppl 84.1"; where the figure exceeds a double the loss says how bad it is.
std::string figure_text(const Terms& terms, const StepMeter& meter) {
  const std::string text = terms.key + " " + terms.show(meter.figure(), 1);
  return std::isinf(meter.figure()) ? text + fmt::format(", loss {:.1e}", meter.loss()) : text;
}

}  // namespace

EpochSteps::EpochSteps(Session& session, const Terms& terms, StepGuard& guard,
                       IncidentLog& incidents, const Learner& learner, Sgd& sgd, Stage stage)
    : session_(session),
      terms_(terms),
      guard_(guard),
      incidents_(incidents),
      learner_(learner),
      sgd_(sgd),
      stage_(std::move(stage)),
      log_every_(session.settings().integer("log-every")),
      meter_(terms) {}

Next EpochSteps::run_epoch(double lr, const Draw& draw) {
  const std::vector<int64_t> items = learner_.begin_epoch(epoch_);
  const auto count = static_cast<int64_t>(items.size()), first = batch_;
  if (first >= count) return Next::go_on;
  if (first == 0 && learner_.reset) learner_.reset();
  const std::vector<Architecture> architectures = draw(first, count - first);
  const size_t per_step = architectures.size() / static_cast<size_t>(count - first);
  const int64_t whole = std::accumulate(items.begin(), items.end(), int64_t{0}),
                done = std::accumulate(items.begin(), items.begin() + first, int64_t{0});
  Progress progress(session_.console(),
                    fmt::format("{} {}/{}", stage_.phase, epoch_ + 1, stage_.epochs), terms_.items,
                    whole, done,
                    stage_.alone && !session_.capped() ? (stage_.epochs - epoch_ - 1) * whole : 0);
  const auto settle_last = [&] {
    last_.settle([&](const Issued& step) { settle(step, step.batch + 1 == count, progress); });
  };
  for (; batch_ < count; ++batch_) {
    if (const Next next = guard_.before_step(steps_, settle_last, stage_.save);
        next != Next::go_on) {
      if (next == Next::finish && meter_.steps() > 0) write_line(steps_, rate(lr, batch_ - 1));
      return next;
    }
    if (steps_ + 1 == stage_.settled_step) settle_last();
    const auto chosen = static_cast<size_t>(batch_ - first) * per_step;
    Issued step = issue(items[static_cast<size_t>(batch_)],
                        {architectures.data() + chosen, per_step}, rate(lr, batch_));
    settle_last();  // the one before
    last_.hold(std::move(step));
  }
  settle_last();
  return Next::go_on;
}

EpochSteps::Issued EpochSteps::issue(int64_t items, std::span<const Architecture> architectures,
                                     double lr) {
  const double begin = session_.console().now();
  // Where the step before would end the run, were it not finite, this one must change nothing then.
  const Issued* before = last_.held();
  const Tensor previous = before != nullptr && incidents_.next_ends_run(before->number)
                              ? before->step.report.gate()
                              : Tensor();
  Learner::Step step = learner_.step(tape_, architectures, batch_, static_cast<uint64_t>(steps_),
                                     sgd_, lr, previous);
  ++steps_;
  session_.count_step();
  if (stage_.updated) stage_.updated(steps_, step.report.gate());
  return {batch_,
          steps_,
          architectures[0],
          lr,
          items,
          std::move(step),
          session_.console().now() - begin};
}

void EpochSteps::settle(const Issued& issued, bool epoch_ends, Progress& progress) {
  const double begin = session_.console().now();
  const StepReport& report = issued.step.report;
  if (!report.finite()) {
    incidents_.report({stage_.phase, issued.number,
                       fmt::format("loss {}, gradient norm {}", report.loss(), report.grad_norm()),
                       learner_.text(issued.arch)},
                      [&] {  // as if neither this step nor the one issued after it had been
                        batch_ = issued.batch;
                        steps_ = issued.number - 1;
                        stage_.save_now();
                      });
  }
  const double measure = issued.step.measure();
  meter_.add(measure, issued.items, report, issued.seconds + session_.console().now() - begin);
  const std::string detail = figure_text(terms_, meter_);
  progress.advance(issued.items, detail);
  if (meter_.full(log_every_, epoch_ends)) {
    write_line(issued.number, issued.lr);
    progress.milestone(detail);
  }
}

void EpochSteps::write_line(int64_t step, double lr) {
  session_.write(meter_.line(stage_.phase, epoch_ + 1, step, session_.total_seconds(), lr));
  meter_.reset();
}

void EpochSteps::save(Checkpoint& c) const {
  c.set_integer("epoch", epoch_);
  c.set_integer(terms_.position, batch_);
  c.set_integer("steps", steps_);
  meter_.save(c);
}

void EpochSteps::load(const Checkpoint& c) {
  epoch_ = c.integer("epoch");
  batch_ = c.integer(terms_.position);
  steps_ = c.integer("steps");
  meter_.load(c);
}

int64_t max_steps_of(const Settings& settings) {
  return settings.has("max-steps") ? settings.integer("max-steps") : 0;
}

void keep_weights(const ParameterStore& store, std::map<std::string, Tensor>& tensors) {
  for (const Parameter& p : store) tensors.emplace("weights." + p.name, p.value);
  for (const Buffer& b : store.buffers()) tensors.emplace("weights." + b.name, b.value);
}

void restore_weights(ParameterStore& store, const Checkpoint& from) {
  for (Parameter& p : store) from.restore("weights." + p.name, p.value);
  for (Buffer& b : store.buffers()) from.restore("weights." + b.name, b.value);
}

}  // namespace enas
