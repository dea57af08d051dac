#include "apps/ptb/train_stage.h"

#include <fmt/format.h>

#include <cmath>

#include "apps/ptb/weights.h"

namespace enas {

TrainStage::TrainStage(Session& session, const PtbOptions& options, const Corpus& corpus,
                       const Architecture& arch, const RnnSpace& space)
    : session_(session),
      options_(options),
      corpus_(corpus),
      arch_(arch),
      child_(space, options.final_child(corpus.vocabulary.size()), options.seed(), DType::f32,
             &arch, options.device()),
      task_(child_, options.final_task(), corpus.train, corpus.valid, corpus.vocabulary.eos),
      sgd_(options.final_sgd()),
      average_(options.train_average()),
      incidents_(session),
      guard_(session, options.max_steps()),
      steps_(session, guard_, incidents_, task_, sgd_, steps_stage()) {}

TextSteps::Stage TrainStage::steps_stage() {
  return {
      "train",
      options_.train_windows(),
      options_.train_epochs(),
      options_.log_every(),
      !session_.capped(),
      options_.train_average().start_step,  // a state kept by `stop` has no averages begun later
      [this](int64_t step, const Tensor& gate) {
        average_.update(child_.parameters().all(), step, gate);
      },
      [this] { save(false); },
      [this] { save(true); }};
}

bool TrainStage::run(const Checkpoint* from, double budget_share) {
  session_.begin_stage("train", budget_share, from != nullptr);
  if (from != nullptr) load(*from);
  session_.console().line(fmt::format(
      "train: {}, {} weights, {} epochs", child_.space().to_string(arch_),
      format_count(static_cast<double>(child_.parameters().count())), options_.train_epochs()));
  Next next = Next::go_on;
  while (next == Next::go_on && steps_.epoch() < options_.train_epochs()) {
    next = train_epoch();
    if (next == Next::leave) {
      save(true);
      return false;
    }
    if (steps_.steps() > 0 && !validated_) validate();
    if (next == Next::go_on) {
      steps_.next_epoch();
      validated_ = false;
    }
  }
  finish();
  return true;
}

Next TrainStage::train_epoch() {
  return steps_.run_epoch(options_.train_rate().at(steps_.epoch()), [this](int64_t, int64_t n) {
    return std::vector<Architecture>(static_cast<size_t>(n), arch_);
  });
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
    best_epoch_ = steps_.epoch() + 1;
  }
  last_ = ppl;
  average_.observe(ppl);
  validated_ = true;
  Metrics::Line line;
  line.add("phase", "train")
      .add("epoch", steps_.epoch() + 1)
      .add("step", steps_.steps())
      .add("time_s", session_.total_seconds());
  line.add("ppl", ppl).add("split", "valid");
  session_.write(line);
  session_.console().line(
      fmt::format("train: epoch {}: validation perplexity {:.2f}{}, best {:.2f} after epoch {}, {}",
                  steps_.epoch() + 1, ppl, averaging ? " (averaged weights)" : "", best_,
                  best_epoch_, format_seconds(session_.stage_seconds())));
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
  steps_.save(c);
  c.set_integer("validated", validated_);
  c.set_real("best", best_);
  c.set_real("last", last_);
  c.set_integer("best_epoch", best_epoch_);
  c.set_integer("incidents", incidents_.count());
  session_.save(std::move(c), must);
}

void TrainStage::load(const Checkpoint& c) {
  for (Parameter& p : child_.parameters()) {
    c.restore("weights." + p.name, p.value);
    if (c.tensors.count("best." + p.name) != 0)
      best_weights_[p.name] = c.tensor("best." + p.name).clone().to(p.value.device());
  }
  sgd_.load_state(c.tensors, "sgd.");
  average_.load_state(c.tensors, "mean.");
  c.restore("carried_state", task_.state());
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
                  guard_.ended_by().empty() ? "done" : guard_.ended_by(), steps_.steps(),
                  format_seconds(session_.stage_seconds()), session_.directory().model_weights(),
                  average_.started() ? "averaged weights" : "weights best on validation",
                  average_.started() ? last_ : best_));
  session_.end_stage();
}

}  // namespace enas
