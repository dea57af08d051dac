// Means over the steps since the last metrics line. Part of the checkpoint, so that a resumed run
// writes the same lines.
#pragma once
#include "apps/run/metrics.h"
#include "apps/run/terms.h"
#include "nas/search.h"
#include "nn/checkpoint.h"

namespace enas {

class StepMeter {
 public:
  explicit StepMeter(const Terms& terms) : terms_(&terms) {}

  // measure: the mean of the step's items (Terms::figure_of).
  void add(double measure, int64_t items, const StepReport& report, double seconds) {
    if (!report.finite()) return;  // skipped
    measured_ += measure * static_cast<double>(items);
    items_ += items;
    loss_ += report.loss();
    norm_ += report.grad_norm();
    seconds_ += seconds;
    ++steps_;
  }
  int64_t steps() const { return steps_; }
  // A line is due every `interval` steps and at an epoch's end; none where every step of it was
  // skipped.
  bool full(int64_t interval, bool epoch_ends) {
    ++since_line_;
    if (since_line_ < interval && !epoch_ends) return false;
    since_line_ = 0;
    return steps_ > 0;
  }
  double figure() const { return terms_->figure_of(measured_ / static_cast<double>(items_)); }
  double loss() const { return loss_ / static_cast<double>(steps_); }
  double items_per_second() const {
    return seconds_ > 0 ? static_cast<double>(items_) / seconds_ : 0;
  }
  void reset() { *this = StepMeter(*terms_); }

  // {"phase": ..., "epoch", "step", "time_s", "loss", "ppl"|"accuracy", "lr", "grad_norm",
  // "tokens_per_s"|"images_per_s"}
  Metrics::Line line(const std::string& phase, int64_t epoch, int64_t step, double time,
                     double lr) const {
    Metrics::Line line;
    line.add("phase", phase)
        .add("epoch", epoch)
        .add("step", step)
        .add("time_s", time)
        .add("loss", loss());
    line.add(terms_->key, figure())
        .add("lr", lr)
        .add("grad_norm", norm_ / static_cast<double>(steps_));
    line.add(terms_->items + "_per_s", items_per_second());
    return line;
  }
  void save(Checkpoint& c) const {
    c.set_real("meter." + terms_->measured, measured_);
    c.set_real("meter.loss", loss_);
    c.set_real("meter.norm", norm_);
    c.set_real("meter.seconds", seconds_);
    c.set_integer("meter." + terms_->items, items_);
    c.set_integer("meter.steps", steps_);
    c.set_integer("meter.since_line", since_line_);
  }
  void load(const Checkpoint& c) {
    measured_ = c.real("meter." + terms_->measured);
    loss_ = c.real("meter.loss");
    norm_ = c.real("meter.norm");
    seconds_ = c.real("meter.seconds");
    items_ = c.integer("meter." + terms_->items);
    steps_ = c.integer("meter.steps");
    since_line_ = c.integer("meter.since_line");
  }

 private:
  const Terms* terms_;
  double measured_ = 0, loss_ = 0, norm_ = 0, seconds_ = 0;
  int64_t items_ = 0, steps_ = 0;
  int64_t since_line_ = 0;  // skipped steps count
};

}  // namespace enas
