#include "apps/ptb/search_stage.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "apps/ptb/weights.h"
#include "apps/run/progress.h"

namespace enas {
namespace {
constexpr int64_t kEntropySamples = 256;
}

SearchStage::SearchStage(Session& session, const PtbOptions& options, const Corpus& corpus)
    : session_(session),
      options_(options),
      corpus_(corpus),
      child_(options.space(), options.shared_child(corpus.vocabulary.size()), options.seed()),
      task_(child_, options.shared_task(), corpus.train, corpus.valid, corpus.vocabulary.eos),
      controller_(child_.space().decisions(options.policy()), child_.space().operations(),
                  options.controller(), options.seed()),
      sgd_(options.shared_sgd()),
      baseline_(options.baseline()),
      bounds_(entropy_bounds(controller_.decisions())),
      incidents_(session) {}

bool SearchStage::run(const Checkpoint* from, double budget_share) {
  session_.begin_stage("search", budget_share, from != nullptr);
  if (from != nullptr) {
    load(*from);
  } else {
    first_entropy_ = policy_entropy();
  }
  const std::string strategy =
      options_.random_strategy()
          ? "uniform sampling, no controller"
          : fmt::format("policy entropy {:.3f} nats (reachable {:.3f} to {:.3f})", first_entropy_,
                        bounds_.lowest, bounds_.highest);
  session_.console().line(
      fmt::format("search: {} nodes, {} architectures, {} shared weights, {}",
                  child_.space().nodes(), child_.space().count(),
                  format_count(static_cast<double>(child_.parameters().count())), strategy));
  Next next = Next::go_on;
  while (next == Next::go_on && epoch_ < options_.search_epochs()) {
    next = shared_phase();
    if (next == Next::go_on)
      next = options_.random_strategy() ? scoring_phase() : controller_phase();
    if (next != Next::go_on) break;
    ++epoch_;
    window_ = update_ = 0;
  }
  if (next == Next::leave) {
    save(true);
    return false;
  }
  finish();
  return true;
}

SearchStage::Next SearchStage::before_step() {
  if (session_.interrupted()) return Next::leave;
  if (session_.out_of_budget()) ended_by_ = "ended by --budget";
  if (options_.max_steps() > 0 && steps_ >= options_.max_steps())
    ended_by_ = "ended by --max-steps";
  if (!ended_by_.empty()) return Next::finish;
  if (session_.save_due()) save(false);
  return Next::go_on;
}

std::vector<Architecture> SearchStage::sample(int64_t count, int64_t first) const {
  const Random random{options_.seed(), Stream::shared_sample, static_cast<uint64_t>(epoch_)};
  if (options_.random_strategy())
    return uniform_architectures(controller_.decisions(), count, random, first);
  return architectures_of(controller_.sample(count, random, first));
}

SearchStage::Next SearchStage::shared_phase() {
  const WindowPlan plan(options_.shared_windows(), task_.train_streams().length(),
                        task_.options().bptt, options_.seed());
  const std::vector<WindowSpan> windows = plan.epoch(epoch_);
  const auto count = static_cast<int64_t>(windows.size()), per_step = options_.shared_samples();
  if (window_ >= count) return Next::go_on;
  if (window_ == 0) task_.reset_state();
  // The policy is frozen in a shared phase: its architectures come in one batch, the same ones
  // after a resume.
  const std::vector<Architecture> architectures =
      sample((count - window_) * per_step, window_ * per_step);
  Progress progress(session_.console(),
                    fmt::format("shared {}/{}", epoch_ + 1, options_.search_epochs()), "tokens",
                    (windows.back().start + windows.back().length) * task_.options().batch,
                    windows[static_cast<size_t>(window_)].start * task_.options().batch);
  for (int64_t first = window_; window_ < count; ++window_) {
    if (const Next next = before_step(); next != Next::go_on) {
      if (next == Next::finish && meter_.steps() > 0)
        shared_line(windows[static_cast<size_t>(window_) - 1]);
      return next;
    }
    const WindowSpan& span = windows[static_cast<size_t>(window_)];
    const double begin = session_.console().now();
    const std::span<const Architecture> chosen(architectures.data() + (window_ - first) * per_step,
                                               static_cast<size_t>(per_step));
    const StepReport report =
        shared_step(tape_, task_, chosen, task_.train_streams().window(span.start, span.length),
                    static_cast<uint64_t>(steps_), sgd_, shared_rate(span));
    if (!report.finite) {
      incident("shared", steps_ + 1,
               fmt::format("loss {}, gradient norm {}", report.loss, report.grad_norm),
               child_.space().to_string(chosen[0]));
    }
    ++steps_;
    session_.count_step();
    const int64_t tokens = span.length * task_.options().batch;
    meter_.add(task_.last_cross_entropy(), tokens, report, session_.console().now() - begin);
    const std::string detail = "ppl " + format_perplexity(meter_.perplexity());
    progress.advance(tokens, detail);
    if (meter_.full(options_.log_every(), window_ + 1 == count)) {
      shared_line(span);
      progress.milestone(detail);
    }
  }
  return Next::go_on;
}

double SearchStage::shared_rate(const WindowSpan& span) const {
  return options_.shared_lr() * static_cast<double>(span.length) /
         static_cast<double>(task_.options().bptt);
}

void SearchStage::shared_line(const WindowSpan& last) {
  session_.write(
      meter_.line("shared", epoch_ + 1, steps_, session_.total_seconds(), shared_rate(last)));
  meter_.reset();
}

SearchStage::Next SearchStage::controller_phase() {
  const int64_t count = options_.controller_steps();
  Progress progress(session_.console(),
                    fmt::format("controller {}/{}", epoch_ + 1, options_.search_epochs()),
                    "updates", count, update_);
  for (; update_ < count; ++update_) {
    if (const Next next = before_step(); next != Next::go_on) return next;
    ControllerReport report;
    try {
      report =
          controller_step(tape_, task_, controller_, adam_, baseline_, options_.controller_step(),
                          options_.seed(), static_cast<uint64_t>(updates_));
      if (!report.finite) {
        incident("controller", updates_ + 1,
                 fmt::format("policy gradient norm {}", report.grad_norm), "");
      }
    } catch (const Error& error) {  // a reward or a logit; baseline and policy are as before
      if (error.kind() != ErrorKind::diverged || report.samples > 0) throw;
      incident("controller", updates_ + 1, error.what(), "");
    }
    ++updates_;
    session_.count_step();
    const bool made = report.samples > 0;
    const std::string detail =
        made ? fmt::format("reward {:.2f}  entropy {:.3f} in {:.2f}..{:.2f} nats", report.reward,
                           report.entropy, bounds_.lowest, bounds_.highest)
             : "skipped";
    progress.advance(1, detail);
    if ((update_ + 1) % options_.log_every() == 0 || update_ + 1 == count) {
      if (made) controller_line(report);
      progress.milestone(detail);
    }
  }
  return Next::go_on;
}

SearchStage::Next SearchStage::scoring_phase() {
  const int64_t count = options_.controller_steps(), samples = options_.controller_step().samples;
  Progress progress(session_.console(),
                    fmt::format("scoring {}/{}", epoch_ + 1, options_.search_epochs()),
                    "architectures", count * samples, update_ * samples);
  for (; update_ < count; ++update_) {
    if (const Next next = before_step(); next != Next::go_on) return next;
    const Random random{options_.seed(), Stream::policy_sample, static_cast<uint64_t>(updates_)};
    double sum = 0;
    for (int64_t s = 0; s < samples; ++s) {
      const Architecture arch = uniform_architectures(controller_.decisions(), 1, random, s)[0];
      const double reward = task_.reward(arch, static_cast<uint64_t>(updates_ * samples + s));
      if (std::isfinite(reward)) {
        scored_.add(arch, reward);
      } else {
        incident("scoring", updates_ + 1, fmt::format("reward {}", reward),
                 child_.space().to_string(arch));
      }
      sum += reward;
    }
    ++updates_;
    session_.count_step();
    const std::string detail = fmt::format("reward {:.4f}", sum / static_cast<double>(samples));
    progress.advance(samples, detail);
    if ((update_ + 1) % options_.log_every() == 0 || update_ + 1 == count) {
      Metrics::Line line;
      line.add("phase", "controller").add("epoch", epoch_ + 1).add("step", updates_);
      line.add("time_s", session_.total_seconds())
          .add("reward", sum / static_cast<double>(samples));
      if (scored_.size() > 0) line.add("arch", child_.space().to_string(scored_.best(1)[0]));
      session_.write(line);
      progress.milestone(detail);
    }
  }
  return Next::go_on;
}

void SearchStage::controller_line(const ControllerReport& report) {
  Metrics::Line line;
  line.add("phase", "controller")
      .add("epoch", epoch_ + 1)
      .add("step", updates_)
      .add("time_s", session_.total_seconds());
  line.add("lr", options_.controller_step().lr)
      .add("grad_norm", report.grad_norm)
      .add("reward", report.reward);
  line.add("baseline", report.baseline)
      .add("entropy", report.entropy)
      .add("entropy_max", bounds_.highest);
  line.add("entropy_min", bounds_.lowest).add("arch", child_.space().to_string(report.best));
  session_.write(line);
}

void SearchStage::incident(const std::string& phase, int64_t step, const std::string& what,
                           const std::string& arch) {
  incidents_.report({phase, step, what, arch}, [this] { save(true); });
}

double SearchStage::policy_entropy() const {
  const Rollout rollout =
      controller_.sample(kEntropySamples, Random{options_.seed(), Stream::derive_sample, 1});
  return std::accumulate(rollout.entropy.begin(), rollout.entropy.end(), 0.0) / kEntropySamples;
}

void SearchStage::save(bool must) {
  Checkpoint c;
  c.set_text("stage", "search");
  for (ParameterStore* store : {&child_.parameters(), &controller_.parameters()}) {
    for (const Parameter& p : *store) c.tensors.emplace("weights." + p.name, p.value);
  }
  sgd_.state(c.tensors, "sgd.");
  adam_.state(c.tensors, "adam.");
  c.tensors.emplace("carried_state", task_.state());
  c.set_integer("epoch", epoch_);
  c.set_integer("window", window_);
  c.set_integer("update", update_);
  c.set_integer("steps", steps_);
  c.set_integer("updates", updates_);
  c.set_real("first_entropy", first_entropy_);
  if (baseline_.value()) c.set_real("baseline", *baseline_.value());
  c.set_integer("incidents", incidents_.count());
  if (options_.random_strategy()) scored_.state(c.tensors, "scored.");
  c.tensors.emplace("reward_state", task_.reward_state());
  meter_.save(c);
  session_.save(std::move(c), must);
}

void SearchStage::load(const Checkpoint& c) {
  for (ParameterStore* store : {&child_.parameters(), &controller_.parameters()}) {
    for (Parameter& p : *store) c.restore("weights." + p.name, p.value);
  }
  sgd_.load_state(c.tensors, "sgd.");
  adam_.load_state(c.tensors, "adam.");
  c.restore("carried_state", task_.state());
  epoch_ = c.integer("epoch");
  window_ = c.integer("window");
  update_ = c.integer("update");
  steps_ = c.integer("steps");
  updates_ = c.integer("updates");
  first_entropy_ = c.real("first_entropy");
  if (c.has_value("baseline")) baseline_.set(c.real("baseline"));
  incidents_.set_count(c.integer("incidents"));
  if (options_.random_strategy()) scored_.load_state(c.tensors, "scored.");
  c.restore("reward_state", task_.reward_state());
  meter_.load(c);
}

void SearchStage::finish() {
  save(true);
  std::map<std::string, Tensor> scored;
  if (options_.random_strategy()) scored_.state(scored, "scored.");
  save_weights(session_.directory().shared_weights(),
               child_metadata(child_, corpus_, result_toml(session_.settings())),
               {&child_.parameters(), &controller_.parameters()}, scored);
  const std::string done = fmt::format("search: {} after {} shared steps and {} ",
                                       ended_by_.empty() ? "done" : ended_by_, steps_, updates_);
  const std::string time = format_seconds(session_.stage_seconds());
  if (options_.random_strategy()) {
    session_.console().line(done + fmt::format("scoring steps, {}; {} uniform candidates scored",
                                               time, scored_.size()));
  } else {
    const double last = policy_entropy(), range = bounds_.highest - bounds_.lowest;
    session_.console().line(done + fmt::format("policy updates, {}; policy entropy {:.3f} -> "
                                               "{:.3f} nats, {:.1f} % of its reachable range "
                                               "{:.3f} to {:.3f} {} its start",
                                               time, first_entropy_, last,
                                               100 * std::abs(first_entropy_ - last) / range,
                                               bounds_.lowest, bounds_.highest,
                                               last > first_entropy_ ? "above" : "below"));
  }
  if (incidents_.count() > 0)
    session_.console().line(fmt::format("search: {} steps skipped", incidents_.count()));
  session_.console().line(
      "search: these scores come from shared weights and are not final ones; derive ranks "
      "architectures with them, train "
      "then trains the best from scratch");
  session_.end_stage();
}

}  // namespace enas
