#include "apps/run/search_stage.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

namespace enas {
namespace {
constexpr int64_t kEntropySamples = 256;
}

SearchStage::SearchStage(Session& session, const Terms& terms, Search search)
    : session_(session),
      terms_(terms),
      search_(std::move(search)),
      weights_(*search_.learner.weights),
      log_every_(session.settings().integer("log-every")),
      controller_(search_.decisions, search_.operations, search_.controller, search_.seed),
      sgd_(search_.sgd),
      adam_(search_.adam),
      baseline_(search_.baseline),
      bounds_(entropy_bounds(search_.decisions)),
      incidents_(session),
      guard_(session, max_steps_of(session.settings())),
      steps_(session, terms, guard_, incidents_, search_.learner, sgd_, steps_stage()) {}

EpochSteps::Stage SearchStage::steps_stage() {
  return {"shared", search_.epochs, false, 0, {}, [this] { save(false); }, [this] { save(true); }};
}

bool SearchStage::run(const Checkpoint* from, double budget_share) {
  session_.begin_stage("search", budget_share, from != nullptr);
  if (from != nullptr) {
    load(*from);
  } else {
    first_entropy_ = policy_entropy();
  }
  const std::string strategy =
      search_.random ? "uniform sampling, no controller"
                     : fmt::format("policy entropy {:.3f} nats (reachable {:.3f} to {:.3f})",
                                   first_entropy_, bounds_.lowest, bounds_.highest);
  session_.console().line(fmt::format("search: {}, {} shared weights, {}", search_.size,
                                      format_count(static_cast<double>(weights_.count())),
                                      strategy));
  Next next = Next::go_on;
  while (next == Next::go_on && steps_.epoch() < search_.epochs) {
    next = shared_phase();
    if (next == Next::go_on) next = search_.random ? scoring_phase() : controller_phase();
    if (next != Next::go_on) break;
    steps_.next_epoch();
    update_ = 0;
  }
  if (next == Next::leave) {
    save(true);
    return false;
  }
  finish();
  return true;
}

std::vector<Architecture> SearchStage::sample(int64_t count, int64_t first) const {
  const Random random{search_.seed, Stream::shared_sample, static_cast<uint64_t>(steps_.epoch())};
  if (search_.random) return uniform_architectures(search_.decisions, count, random, first);
  return architectures_of(controller_.sample(count, random, first));
}

// The policy is frozen in a shared phase: its architectures come in one batch, the same ones after
// a resume.
Next SearchStage::shared_phase() {
  const int64_t per_step = search_.per_step;
  return steps_.run_epoch(search_.rate(steps_.epoch()), [&](int64_t first, int64_t n) {
    return sample(n * per_step, first * per_step);
  });
}

Next SearchStage::controller_phase() {
  const int64_t count = search_.updates;
  Progress progress(session_.console(),
                    fmt::format("controller {}/{}", steps_.epoch() + 1, search_.epochs), "updates",
                    count, update_);
  const std::function<void()> settle_last = [&] {
    last_.settle(
        [&](const Updated& made) { settle_update(made, made.update + 1 == count, progress); });
  };
  for (; update_ < count; ++update_) {
    if (const Next next = guard_.before_step(steps_.steps(), settle_last, [this] { save(false); });
        next != Next::go_on)
      return next;
    std::optional<Updated> made = update_policy(settle_last);
    ++updates_;
    session_.count_step();
    if (made) {
      last_.hold(std::move(*made));
    } else {
      progress.advance(1, "skipped");
      if ((update_ + 1) % log_every_ == 0 || update_ + 1 == count) progress.milestone("skipped");
    }
  }
  settle_last();
  return Next::go_on;
}

std::optional<SearchStage::Updated> SearchStage::update_policy(
    const std::function<void()>& settle_last) {
  std::string bad;  // a logit or a reward; baseline and policy are as before
  const auto attempt = [&](const auto& part) {
    try {
      part();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::diverged) throw;
      bad = error.what();
    }
  };
  ScoredSamples samples;
  std::optional<Updated> made;
  attempt([&] {
    samples = score_samples(search_.learner, controller_, search_.update, search_.seed,
                            static_cast<uint64_t>(updates_));
  });
  settle_last();  // its gate has come in by now
  if (bad.empty()) {
    attempt([&] {
      made = Updated{update_, updates_ + 1,
                     policy_update(tape_, controller_, adam_, baseline_, search_.update, samples)};
    });
  }
  if (!bad.empty())
    incidents_.report({"controller", updates_ + 1, bad, ""}, [this] { save(true); });
  return made;
}

void SearchStage::settle_update(const Updated& made, bool phase_ends, Progress& progress) {
  const ControllerReport& report = made.report;
  settle(report, baseline_);
  if (!report.step.finite()) {
    incidents_.report({"controller", made.number,
                       fmt::format("policy gradient norm {}", report.step.grad_norm()), ""},
                      [&] {
                        update_ = made.update;
                        updates_ = made.number - 1;
                        save(true);
                      });
  }
  const std::string detail =
      fmt::format("reward {:.{}f}  entropy {:.3f} in {:.2f}..{:.2f} nats", report.reward,
                  terms_.reward_digits, report.entropy, bounds_.lowest, bounds_.highest);
  progress.advance(1, detail);
  if ((made.update + 1) % log_every_ == 0 || phase_ends) {
    controller_line(made);
    progress.milestone(detail);
  }
}

Next SearchStage::scoring_phase() {
  const int64_t count = search_.updates, samples = search_.update.samples;
  Progress progress(session_.console(),
                    fmt::format("scoring {}/{}", steps_.epoch() + 1, search_.epochs),
                    "architectures", count * samples, update_ * samples);
  for (; update_ < count; ++update_) {
    if (const Next next = guard_.before_step(
            steps_.steps(), [] {}, [this] { save(false); });
        next != Next::go_on)
      return next;
    score_uniform(progress);
  }
  return Next::go_on;
}

// One scoring step: as many uniform candidates as a policy update scores samples.
void SearchStage::score_uniform(Progress& progress) {
  const int64_t samples = search_.update.samples;
  const std::vector<Architecture> archs = uniform_architectures(
      search_.decisions, samples,
      Random{search_.seed, Stream::policy_sample, static_cast<uint64_t>(updates_)});
  const std::vector<double> rewards =
      search_.learner.rewards(archs, static_cast<uint64_t>(updates_ * samples));
  for (size_t s = 0; s < archs.size(); ++s) {  // first: one may end the run before this step
    if (!std::isfinite(rewards[s])) {
      incidents_.report({"scoring", updates_ + 1, fmt::format("reward {}", rewards[s]),
                         search_.learner.text(archs[s])},
                        [this] { save(true); });
    }
  }
  for (size_t s = 0; s < archs.size(); ++s) {
    if (std::isfinite(rewards[s])) scored_.add(archs[s], rewards[s]);
  }
  ++updates_;
  session_.count_step();
  const double mean =
      std::accumulate(rewards.begin(), rewards.end(), 0.0) / static_cast<double>(samples);
  const std::string detail = fmt::format("reward {:.4f}", mean);
  progress.advance(samples, detail);
  if ((update_ + 1) % log_every_ == 0 || update_ + 1 == search_.updates) {
    Metrics::Line line;
    line.add("phase", "controller").add("epoch", steps_.epoch() + 1).add("step", updates_);
    line.add("time_s", session_.total_seconds()).add("reward", mean);
    if (scored_.size() > 0) line.add("arch", search_.learner.text(scored_.best(1)[0]));
    session_.write(line);
    progress.milestone(detail);
  }
}

void SearchStage::controller_line(const Updated& made) {
  const ControllerReport& report = made.report;
  Metrics::Line line;
  line.add("phase", "controller")
      .add("epoch", steps_.epoch() + 1)
      .add("step", made.number)
      .add("time_s", session_.total_seconds());
  line.add("lr", search_.update.lr)
      .add("grad_norm", report.step.grad_norm())
      .add("reward", report.reward);
  line.add("baseline", report.baseline)
      .add("entropy", report.entropy)
      .add("entropy_max", bounds_.highest);
  line.add("entropy_min", bounds_.lowest).add("arch", search_.learner.text(report.best));
  session_.write(line);
}

double SearchStage::policy_entropy() const {
  const Rollout rollout =
      controller_.sample(kEntropySamples, Random{search_.seed, Stream::derive_sample, 1});
  return std::accumulate(rollout.entropy.begin(), rollout.entropy.end(), 0.0) / kEntropySamples;
}

void SearchStage::save(bool must) {
  Checkpoint c;
  c.set_text("stage", "search");
  for (const ParameterStore* store : {&weights_, &controller_.parameters()})
    keep_weights(*store, c.tensors);
  sgd_.state(c.tensors, "sgd.");
  adam_.state(c.tensors, "adam.");
  if (search_.learner.state) search_.learner.state(c.tensors);
  c.set_integer("update", update_);
  steps_.save(c);
  c.set_integer("updates", updates_);
  c.set_real("first_entropy", first_entropy_);
  if (baseline_.value()) c.set_real("baseline", *baseline_.value());
  c.set_integer("incidents", incidents_.count());
  if (search_.random) scored_.state(c.tensors, "scored.");
  session_.save(std::move(c), must);
}

void SearchStage::load(const Checkpoint& c) {
  for (ParameterStore* store : {&weights_, &controller_.parameters()}) restore_weights(*store, c);
  sgd_.load_state(c.tensors, "sgd.");
  adam_.load_state(c.tensors, "adam.");
  if (search_.learner.load_state) search_.learner.load_state(c);
  update_ = c.integer("update");
  steps_.load(c);
  updates_ = c.integer("updates");
  first_entropy_ = c.real("first_entropy");
  if (c.has_value("baseline")) baseline_.set(c.real("baseline"));
  incidents_.set_count(c.integer("incidents"));
  if (search_.random) scored_.load_state(c.tensors, "scored.");
}

void SearchStage::finish() {
  save(true);
  std::map<std::string, Tensor> scored;
  if (search_.random) scored_.state(scored, "scored.");
  save_weights(session_.directory().shared_weights(), search_.metadata,
               {&weights_, &controller_.parameters()}, scored);
  const std::string done = fmt::format(
      "search: {} after {} and {}", guard_.ended_by().empty() ? "done" : guard_.ended_by(),
      counted(steps_.steps(), "shared step"),
      counted(updates_, search_.random ? "scoring step" : "policy update"));
  const std::string time = format_seconds(session_.stage_seconds());
  if (search_.random) {
    session_.console().line(
        done + fmt::format(", {}; {} uniform candidates scored", time, scored_.size()));
  } else {
    const double last = policy_entropy(), range = bounds_.highest - bounds_.lowest;
    session_.console().line(done + fmt::format(", {}; policy entropy {:.3f} -> "
                                               "{:.3f} nats, {:.1f} % of its reachable range "
                                               "{:.3f} to {:.3f} {} its start",
                                               time, first_entropy_, last,
                                               100 * std::abs(first_entropy_ - last) / range,
                                               bounds_.lowest, bounds_.highest,
                                               last > first_entropy_ ? "above" : "below"));
  }
  if (incidents_.count() > 0)
    session_.console().line("search: " + counted(incidents_.count(), "step") + " skipped");
  session_.console().line(
      "search: these scores come from shared weights and are not final ones; derive ranks "
      "architectures with them, train then trains the best from scratch");
  session_.end_stage();
}

}  // namespace enas
