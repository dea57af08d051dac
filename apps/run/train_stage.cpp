#include "apps/run/train_stage.h"

#include <fmt/format.h>

#include <cmath>

namespace enas {

TrainStage::TrainStage(Session& session, const Terms& terms, Training training)
    : session_(session),
      terms_(terms),
      training_(std::move(training)),
      weights_(*training_.learner.weights),
      sgd_(training_.sgd),
      average_(training_.average),
      incidents_(session),
      guard_(session, max_steps_of(session.settings())),
      steps_(session, terms, guard_, incidents_, training_.learner, sgd_, steps_stage()) {}

EpochSteps::Stage TrainStage::steps_stage() {
  return {"train",
          training_.epochs,
          !session_.capped(),
          training_.average.start_step,  // a state kept by `stop` has no averages begun later
          [this](int64_t step, const Tensor& gate) { average_.update(weights_.all(), step, gate); },
          [this] { save(false); },
          [this] { save(true); }};
}

std::vector<std::pair<std::string, Tensor*>> TrainStage::values() {
  std::vector<std::pair<std::string, Tensor*>> all;
  for (Parameter& p : weights_) all.emplace_back(p.name, &p.value);
  for (Buffer& b : weights_.buffers()) all.emplace_back(b.name, &b.value);
  return all;
}

bool TrainStage::run(const Checkpoint* from, double budget_share) {
  session_.begin_stage("train", budget_share, from != nullptr);
  if (from != nullptr) load(*from);
  session_.console().line(fmt::format("train: {}, {}, {}", training_.learner.text(training_.arch),
                                      counted(weights_.count(), "weight"),
                                      counted(training_.epochs, "epoch")));
  Next next = Next::go_on;
  while (next == Next::go_on && steps_.epoch() < training_.epochs) {
    next = train_epoch();
    if (next == Next::leave) {
      save(true);
      return false;
    }
    if (steps_.steps() > 0 && !validated_ && training_.select) validate();
    if (next == Next::go_on) {
      steps_.next_epoch();
      validated_ = false;
    }
  }
  finish();
  return true;
}

Next TrainStage::train_epoch() {
  return steps_.run_epoch(training_.rate(steps_.epoch()), [this](int64_t, int64_t n) {
    return std::vector<Architecture>(static_cast<size_t>(n), training_.arch);
  });
}

void TrainStage::validate() {
  double figure = 0;
  {
    const WeightAverage::Scope averaged(average_, weights_.all());
    figure = training_.learner.score(training_.arch, 0);
  }
  // A figure that is not finite is beaten by any other.
  const bool averaging = average_.started(),
             better = best_epoch_ == 0 || terms_.is_better(figure, best_) || !std::isfinite(best_);
  if (!averaging && better) {
    for (const auto& [name, value] : values()) {
      Tensor& kept = best_weights_[name];
      if (kept.defined()) {
        kept.copy_from(*value);
      } else {
        kept = value->clone();
      }
    }
  }
  if (better) {
    best_ = figure;
    best_epoch_ = steps_.epoch() + 1;
  }
  last_ = figure;
  average_.observe(terms_.better == Better::lower ? figure : -figure);
  validated_ = true;
  Metrics::Line line;
  line.add("phase", "train")
      .add("epoch", steps_.epoch() + 1)
      .add("step", steps_.steps())
      .add("time_s", session_.total_seconds());
  line.add(terms_.key, figure).add("split", "valid");
  session_.write(line);
  session_.console().line(fmt::format(
      "train: epoch {}: validation {} {}{}, best {} after epoch {}, {}", steps_.epoch() + 1,
      terms_.figure, terms_.show(figure, 2), averaging ? " (averaged weights)" : "",
      terms_.show(best_, 2), best_epoch_, format_seconds(session_.stage_seconds())));
}

void TrainStage::save(bool must) {
  Checkpoint c;
  c.set_text("stage", "train");
  c.set_text("arch", training_.learner.text(training_.arch));
  keep_weights(weights_, c.tensors);
  for (const auto& [name, value] : best_weights_) c.tensors.emplace("best." + name, value);
  sgd_.state(c.tensors, "sgd.");
  average_.state(c.tensors, "mean.");
  if (training_.learner.state) training_.learner.state(c.tensors);
  steps_.save(c);
  c.set_integer("validated", validated_);
  c.set_real("best", best_);
  c.set_real("last", last_);
  c.set_integer("best_epoch", best_epoch_);
  c.set_integer("incidents", incidents_.count());
  session_.save(std::move(c), must);
}

void TrainStage::load(const Checkpoint& c) {
  restore_weights(weights_, c);
  for (const auto& [name, value] : values()) {
    if (c.tensors.count("best." + name) != 0)
      best_weights_[name] = c.tensor("best." + name).clone().to(value->device());
  }
  sgd_.load_state(c.tensors, "sgd.");
  average_.load_state(c.tensors, "mean.");
  if (training_.learner.load_state) training_.learner.load_state(c);
  steps_.load(c);
  validated_ = c.integer("validated") != 0;
  best_ = c.real("best");
  last_ = c.real("last");
  best_epoch_ = c.integer("best_epoch");
  incidents_.set_count(c.integer("incidents"));
}

void TrainStage::finish() {
  save(true);
  if (average_.started()) {
    average_.swap(weights_.all());
  } else {
    for (const auto& [name, value] : values()) {
      if (best_weights_.count(name) != 0) value->copy_from(best_weights_[name]);
    }
  }
  save_weights(session_.directory().model_weights(), training_.metadata, {&weights_});
  const bool averaged = average_.started();
  const std::string figure = terms_.show(averaged ? last_ : best_, 2);
  session_.console().line(fmt::format(
      "train: {} after {} steps, {}; wrote {} ({})",
      guard_.ended_by().empty() ? "done" : guard_.ended_by(), steps_.steps(),
      format_seconds(session_.stage_seconds()), session_.directory().model_weights(),
      !training_.select ? "weights of the last step"
                        : fmt::format("{}, validation {} {}",
                                      averaged ? "averaged weights" : "weights best on validation",
                                      terms_.figure, figure)));
  session_.end_stage();
}

}  // namespace enas
