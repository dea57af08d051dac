// Means over the steps since the last metrics line. Part of the checkpoint, so that a resumed run
// writes the same lines.
#pragma once
#include <fmt/format.h>

#include <cmath>
#include <string>

#include "apps/run/metrics.h"
#include "nas/search.h"
#include "nn/checkpoint.h"

namespace enas {

// "84.1"; a figure that has exploded as "1.3e+20".
inline std::string format_perplexity(double perplexity) {
  return perplexity < 1e6 ? fmt::format("{:.1f}", perplexity) : fmt::format("{:.1e}", perplexity);
}

class StepMeter {
 public:
  void add(double cross_entropy, int64_t tokens, const StepReport& report, double seconds) {
    if (!report.finite()) return;  // skipped
    nll_ += cross_entropy * static_cast<double>(tokens);
    tokens_ += tokens;
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
  double perplexity() const { return std::exp(nll_ / static_cast<double>(tokens_)); }
  double loss() const { return loss_ / static_cast<double>(steps_); }
  double tokens_per_second() const {
    return seconds_ > 0 ? static_cast<double>(tokens_) / seconds_ : 0;
  }
  void reset() { *this = StepMeter(); }

  // {"phase": ..., "epoch", "step", "time_s", "loss", "ppl", "lr", "grad_norm", "tokens_per_s"}
  Metrics::Line line(const std::string& phase, int64_t epoch, int64_t step, double time,
                     double lr) const {
    Metrics::Line line;
    line.add("phase", phase)
        .add("epoch", epoch)
        .add("step", step)
        .add("time_s", time)
        .add("loss", loss());
    line.add("ppl", perplexity())
        .add("lr", lr)
        .add("grad_norm", norm_ / static_cast<double>(steps_));
    line.add("tokens_per_s", tokens_per_second());
    return line;
  }
  void save(Checkpoint& c) const {
    c.set_real("meter.nll", nll_);
    c.set_real("meter.loss", loss_);
    c.set_real("meter.norm", norm_);
    c.set_real("meter.seconds", seconds_);
    c.set_integer("meter.tokens", tokens_);
    c.set_integer("meter.steps", steps_);
    c.set_integer("meter.since_line", since_line_);
  }
  void load(const Checkpoint& c) {
    nll_ = c.real("meter.nll");
    loss_ = c.real("meter.loss");
    norm_ = c.real("meter.norm");
    seconds_ = c.real("meter.seconds");
    tokens_ = c.integer("meter.tokens");
    steps_ = c.integer("meter.steps");
    since_line_ = c.integer("meter.since_line");
  }

 private:
  double nll_ = 0, loss_ = 0, norm_ = 0, seconds_ = 0;
  int64_t tokens_ = 0, steps_ = 0;
  int64_t since_line_ = 0;  // skipped steps count
};

}  // namespace enas
