#include "apps/ptb/text_steps.h"

#include <fmt/format.h>

namespace enas {

TextSteps::TextSteps(Session& session, StepGuard& guard, IncidentLog& incidents, RnnTask& task,
                     Sgd& sgd, Stage stage)
    : session_(session),
      guard_(guard),
      incidents_(incidents),
      task_(task),
      sgd_(sgd),
      stage_(std::move(stage)) {}

Next TextSteps::run_epoch(double lr, const Draw& draw) {
  const int64_t batch = task_.options().batch;
  const std::vector<WindowSpan> windows = WindowPlan(stage_.windows, task_.train_streams().length(),
                                                     task_.options().bptt, task_.options().seed)
                                              .epoch(epoch_);
  const auto count = static_cast<int64_t>(windows.size()), first = window_;
  if (first >= count) return Next::go_on;
  if (first == 0) task_.reset_state();
  const auto span = [&](int64_t window) { return windows[static_cast<size_t>(window)]; };
  const std::vector<Architecture> architectures = draw(first, count - first);
  const size_t per_step = architectures.size() / static_cast<size_t>(count - first);
  const int64_t whole = (windows.back().start + windows.back().length) * batch;
  Progress progress(session_.console(),
                    fmt::format("{} {}/{}", stage_.phase, epoch_ + 1, stage_.epochs), "tokens",
                    whole, span(first).start * batch,
                    stage_.alone && !session_.capped() ? (stage_.epochs - epoch_ - 1) * whole : 0);
  const auto settle_last = [&] {
    last_.settle([&](const Issued& step) { settle(step, step.window + 1 == count, progress); });
  };
  for (; window_ < count; ++window_) {
    if (const Next next = guard_.before_step(steps_, settle_last, stage_.save);
        next != Next::go_on) {
      if (next == Next::finish && meter_.steps() > 0)
        write_line(steps_, rate(lr, span(window_ - 1)));
      return next;
    }
    if (steps_ + 1 == stage_.settled_step) settle_last();
    const auto chosen = static_cast<size_t>(window_ - first) * per_step;
    Issued step = issue(span(window_), {architectures.data() + chosen, per_step}, lr);
    settle_last();  // the one before
    last_.hold(std::move(step));
  }
  settle_last();
  return Next::go_on;
}

TextSteps::Issued TextSteps::issue(const WindowSpan& span,
                                   std::span<const Architecture> architectures, double lr) {
  const double begin = session_.console().now();
  // Where the step before would end the run, were it not finite, this one must change nothing then.
  const Issued* before = last_.held();
  const Tensor previous = before != nullptr && incidents_.next_ends_run(before->number)
                              ? before->report.gate()
                              : Tensor();
  StepReport report = shared_step(tape_, task_, architectures,
                                  task_.train_streams().window(span.start, span.length),
                                  static_cast<uint64_t>(steps_), sgd_, rate(lr, span), previous);
  ++steps_;
  session_.count_step();
  if (stage_.updated) stage_.updated(steps_, report.gate());
  return {window_,
          steps_,
          architectures[0],
          rate(lr, span),
          span.length * task_.options().batch,
          task_.last_cross_entropy(),
          std::move(report),
          session_.console().now() - begin};
}

void TextSteps::settle(const Issued& step, bool epoch_ends, Progress& progress) {
  const double begin = session_.console().now();
  const StepReport& report = step.report;
  if (!report.finite()) {
    incidents_.report({stage_.phase, step.number,
                       fmt::format("loss {}, gradient norm {}", report.loss(), report.grad_norm()),
                       task_.child().space().to_string(step.arch)},
                      [&] {  // as if neither this step nor the one issued after it had been
                        window_ = step.window;
                        steps_ = step.number - 1;
                        stage_.save_now();
                      });
  }
  const double cross_entropy = step.cross_entropy.read().loss();
  meter_.add(cross_entropy, step.tokens, report, step.seconds + session_.console().now() - begin);
  const std::string detail = "ppl " + format_perplexity(meter_.perplexity());
  progress.advance(step.tokens, detail);
  if (meter_.full(stage_.log_every, epoch_ends)) {
    write_line(step.number, step.lr);
    progress.milestone(detail);
  }
}

double TextSteps::rate(double lr, const WindowSpan& span) const {
  return lr * static_cast<double>(span.length) / static_cast<double>(task_.options().bptt);
}

void TextSteps::write_line(int64_t step, double lr) {
  session_.write(meter_.line(stage_.phase, epoch_ + 1, step, session_.total_seconds(), lr));
  meter_.reset();
}

void TextSteps::save(Checkpoint& c) const {
  c.set_integer("epoch", epoch_);
  c.set_integer("window", window_);
  c.set_integer("steps", steps_);
  meter_.save(c);
}

void TextSteps::load(const Checkpoint& c) {
  epoch_ = c.integer("epoch");
  window_ = c.integer("window");
  steps_ = c.integer("steps");
  meter_.load(c);
}

}  // namespace enas
