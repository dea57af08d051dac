#include "apps/ptb/train_stage.h"

#include <fmt/format.h>

#include <cmath>

#include "apps/ptb/weights.h"
#include "apps/run/progress.h"

namespace enas {

TrainStage::TrainStage(Session& session, const PtbOptions& options, const Corpus& corpus,
                       const Architecture& arch, const RnnSpace& space)
    : session_(session),
      options_(options),
      corpus_(corpus),
      arch_(arch),
      child_(space, options.final_child(corpus.vocabulary.size()), options.seed(), DType::f32,
             &arch),
      task_(child_, options.final_task(), corpus.train, corpus.valid, corpus.vocabulary.eos),
      sgd_(options.final_sgd()),
      average_(options.train_average()),
      incidents_(session) {}

bool TrainStage::run(const Checkpoint* from, double budget_share) {
  session_.begin_stage("train", budget_share, from != nullptr);
  if (from != nullptr) load(*from);
  session_.console().line(fmt::format(
      "train: {}, {} weights, {} epochs", child_.space().to_string(arch_),
      format_count(static_cast<double>(child_.parameters().count())), options_.train_epochs()));
  Next next = Next::go_on;
  while (next == Next::go_on && epoch_ < options_.train_epochs()) {
    next = train_epoch();
    if (next == Next::leave) {
      save(true);
      return false;
    }
    if (steps_ > 0 && !validated_) validate();
    if (next == Next::go_on) {
      ++epoch_;
      window_ = 0;
      validated_ = false;
    }
  }
  finish();
  return true;
}

TrainStage::Next TrainStage::before_step() {
  if (session_.interrupted()) return Next::leave;
  if (session_.out_of_budget()) ended_by_ = "ended by --budget";
  if (options_.max_steps() > 0 && steps_ >= options_.max_steps())
    ended_by_ = "ended by --max-steps";
  if (!ended_by_.empty()) return Next::finish;
  if (session_.save_due()) save(false);
  return Next::go_on;
}

TrainStage::Next TrainStage::train_epoch() {
  const WindowPlan plan(options_.train_windows(), task_.train_streams().length(),
                        task_.options().bptt, options_.seed());
  const std::vector<WindowSpan> windows = plan.epoch(epoch_);
  const auto count = static_cast<int64_t>(windows.size());
  if (window_ >= count) return Next::go_on;
  if (window_ == 0) task_.reset_state();
  const int64_t batch = task_.options().batch,
                whole = (windows.back().start + windows.back().length) * batch;
  Progress progress(session_.console(),
                    fmt::format("train {}/{}", epoch_ + 1, options_.train_epochs()), "tokens",
                    whole, windows[static_cast<size_t>(window_)].start * batch,
                    session_.capped() ? 0 : (options_.train_epochs() - epoch_ - 1) * whole);
  for (; window_ < count; ++window_) {
    if (const Next next = before_step(); next != Next::go_on) {
      if (next == Next::finish && meter_.steps() > 0)
        train_line(windows[static_cast<size_t>(window_) - 1]);
      return next;
    }
    const WindowSpan& span = windows[static_cast<size_t>(window_)];
    const double begin = session_.console().now();
    const StepReport report = shared_step(tape_, task_, {&arch_, 1},
                                          task_.train_streams().window(span.start, span.length),
                                          static_cast<uint64_t>(steps_), sgd_, rate(span));
    if (!report.finite) {
      incidents_.report({"train", steps_ + 1,
                         fmt::format("loss {}, gradient norm {}", report.loss, report.grad_norm),
                         child_.space().to_string(arch_)},
                        [this] { save(true); });
    }
    ++steps_;
    session_.count_step();
    average_.update(child_.parameters().all(), steps_, report.gate);
    meter_.add(task_.last_cross_entropy(), span.length * batch, report,
               session_.console().now() - begin);
    const std::string detail = "ppl " + format_perplexity(meter_.perplexity());
    progress.advance(span.length * batch, detail);
    if (meter_.full(options_.log_every(), window_ + 1 == count)) {
      train_line(span);
      progress.milestone(detail);
    }
  }
  return Next::go_on;
}

double TrainStage::rate(const WindowSpan& span) const {
  return options_.train_rate().at(epoch_) * static_cast<double>(span.length) /
         static_cast<double>(task_.options().bptt);
}

void TrainStage::train_line(const WindowSpan& last) {
  session_.write(meter_.line("train", epoch_ + 1, steps_, session_.total_seconds(), rate(last)));
  meter_.reset();
}

void TrainStage::validate() {
  double ppl = 0;
  {
    const WeightAverage::Scope averaged(average_, child_.parameters().all());
    ppl = task_.score(arch_).perplexity();
  }
  // A figure that is not finite is beaten by any other.
  const bool averaging = average_.started(),
             better = best_ == 0 || ppl < best_ || !std::isfinite(best_);
  if (!averaging && better) {
    for (const Parameter& p : child_.parameters()) {
      Tensor& kept = best_weights_[p.name];
      if (kept.defined()) {
        kept.copy_from(p.value);
      } else {
        kept = p.value.clone();
      }
    }
  }
  if (better) {
    best_ = ppl;
    best_epoch_ = epoch_ + 1;
  }
  last_ = ppl;
  average_.observe(ppl);
  validated_ = true;
  Metrics::Line line;
  line.add("phase", "train")
      .add("epoch", epoch_ + 1)
      .add("step", steps_)
      .add("time_s", session_.total_seconds());
  line.add("ppl", ppl).add("split", "valid");
  session_.write(line);
  session_.console().line(
      fmt::format("train: epoch {}: validation perplexity {:.2f}{}, best {:.2f} after epoch {}, {}",
                  epoch_ + 1, ppl, averaging ? " (averaged weights)" : "", best_, best_epoch_,
                  format_seconds(session_.stage_seconds())));
}

void TrainStage::save(bool must) {
  Checkpoint c;
  c.set_text("stage", "train");
  c.set_text("arch", child_.space().to_string(arch_));
  for (const Parameter& p : child_.parameters()) c.tensors.emplace("weights." + p.name, p.value);
  for (const auto& [name, value] : best_weights_) c.tensors.emplace("best." + name, value);
  sgd_.state(c.tensors, "sgd.");
  average_.state(c.tensors, "mean.");
  c.tensors.emplace("carried_state", task_.state());
  c.set_integer("epoch", epoch_);
  c.set_integer("window", window_);
  c.set_integer("steps", steps_);
  c.set_integer("validated", validated_);
  c.set_real("best", best_);
  c.set_real("last", last_);
  c.set_integer("best_epoch", best_epoch_);
  c.set_integer("incidents", incidents_.count());
  meter_.save(c);
  session_.save(std::move(c), must);
}

void TrainStage::load(const Checkpoint& c) {
  for (Parameter& p : child_.parameters()) {
    c.restore("weights." + p.name, p.value);
    if (c.tensors.count("best." + p.name) != 0)
      best_weights_[p.name] = c.tensor("best." + p.name).clone();
  }
  sgd_.load_state(c.tensors, "sgd.");
  average_.load_state(c.tensors, "mean.");
  c.restore("carried_state", task_.state());
  epoch_ = c.integer("epoch");
  window_ = c.integer("window");
  steps_ = c.integer("steps");
  validated_ = c.integer("validated") != 0;
  best_ = c.real("best");
  last_ = c.real("last");
  best_epoch_ = c.integer("best_epoch");
  incidents_.set_count(c.integer("incidents"));
  meter_.load(c);
}

void TrainStage::finish() {
  save(true);
  if (average_.started()) {
    average_.swap(child_.parameters().all());
  } else {
    for (Parameter& p : child_.parameters()) {
      if (best_weights_.count(p.name) != 0) p.value.copy_from(best_weights_[p.name]);
    }
  }
  Metadata metadata = child_metadata(child_, corpus_, result_toml(session_.settings()));
  metadata["arch"] = child_.space().to_string(arch_);
  save_weights(session_.directory().model_weights(), metadata, {&child_.parameters()});
  session_.console().line(
      fmt::format("train: {} after {} steps, {}; wrote {} ({}, validation perplexity {:.2f})",
                  ended_by_.empty() ? "done" : ended_by_, steps_,
                  format_seconds(session_.stage_seconds()), session_.directory().model_weights(),
                  average_.started() ? "averaged weights" : "weights best on validation",
                  average_.started() ? last_ : best_));
  session_.end_stage();
}

}  // namespace enas
