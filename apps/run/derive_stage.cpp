#include "apps/run/derive_stage.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/run/architecture_files.h"
#include "apps/run/progress.h"
#include "nas/baseline.h"

namespace enas {

DeriveStage::DeriveStage(Session& session, const Terms& terms, Search search,
                         const DeriveOptions& options)
    : session_(session),
      terms_(terms),
      search_(std::move(search)),
      options_(options),
      controller_(search_.decisions, search_.operations, search_.controller, search_.seed) {
  const std::string path = session.directory().shared_weights();
  check(exists(path), ErrorKind::usage, "derive", path,
        " does not exist: the search has not finished; try resume");
  const WeightFile file = load_weights(path);
  search_.check_weights(file);
  restore(*search_.learner.weights, file);
  restore(controller_.parameters(), file);
  const uint64_t seed = options_.seed < 0 ? search_.seed : static_cast<uint64_t>(options_.seed);
  if (search_.random) {
    ScoredCandidates scored;
    scored.load_state(file.tensors, "scored.");
    candidates_ = random_candidates(scored, search_.decisions, options_.samples, seed);
  } else {
    candidates_ = derive_candidates(controller_, options_.samples, seed);
  }
}

DeriveOptions DeriveStage::options_in(const Checkpoint& c) {
  return {c.integer("samples"), c.integer("top"), c.integer("batches"), c.integer("seed"),
          c.integer("again") != 0};
}

void DeriveStage::save(bool must) {
  Checkpoint c;
  c.set_text("stage", "derive");
  c.set_integer("samples", options_.samples);
  c.set_integer("top", options_.top);
  c.set_integer("batches", options_.batches);
  c.set_integer("seed", options_.seed);
  c.set_integer("again", options_.again);
  std::vector<double> scores;
  for (size_t i = 0; i < scored_; ++i) scores.push_back(candidates_[i].score);
  c.tensors.emplace("scores", Tensor::from(scores, {static_cast<int64_t>(scored_)}, DType::f64));
  session_.save(std::move(c), must);
}

void DeriveStage::score(size_t i) {
  Candidate& candidate = candidates_[i];
  candidate.score = search_.learner.score(candidate.arch, options_.batches);
  Metrics::Line line;
  line.add("phase", "derive")
      .add("step", static_cast<int64_t>(i) + 1)
      .add("time_s", session_.total_seconds());
  line.add(terms_.key, candidate.score)
      .add("split", "valid")
      .add("arch", search_.learner.text(candidate.arch));
  line.add("source", candidate.from_controller ? "controller" : "random");
  session_.write(line);
}

bool DeriveStage::run(const Checkpoint* from, double budget_share) {
  session_.begin_stage("derive", budget_share, from != nullptr);
  if (from != nullptr) {
    const std::vector<double> scores = from->tensor("scores").to_vector();
    check(scores.size() <= candidates_.size(), ErrorKind::checkpoint, from->source, "has ",
          scores.size(), " scores for ", candidates_.size(), " candidates");
    for (; scored_ < scores.size(); ++scored_) candidates_[scored_].score = scores[scored_];
  } else if (options_.again) {
    save(true);  // from here on resume continues this derive
  }
  const int64_t all = search_.learner.score_batches,
                batches = options_.batches > 0 ? std::min(options_.batches, all) : all;
  session_.console().line(fmt::format("derive: {} candidates, each on {} of {} validation {}",
                                      candidates_.size(), batches, all, terms_.batches));
  if (options_.batches > 0 && batches < all) {
    session_.console().warn(fmt::format(
        "derive: --batches {}: {}; ranks are noisy. Leave --batches out to score on all of the "
        "validation {}",
        batches, search_.learner.noise(batches), terms_.data));
  }
  Progress progress(session_.console(), "derive", "architectures",
                    static_cast<int64_t>(candidates_.size()), static_cast<int64_t>(scored_));
  for (; scored_ < candidates_.size(); ++scored_) {
    if (session_.interrupted()) {
      save(true);
      return false;
    }
    if (session_.out_of_budget() && scored_ > 0) {
      session_.console().line(fmt::format("derive: ended by --budget after {} of {} candidates",
                                          scored_, candidates_.size()));
      break;
    }
    if (session_.save_due()) save(false);
    score(scored_);
    session_.count_step();
    progress.advance(1, terms_.key + " " + terms_.show(candidates_[scored_].score, 1));
  }
  save(true);
  const std::vector<Candidate> done(candidates_.begin(),
                                    candidates_.begin() + static_cast<std::ptrdiff_t>(scored_));
  report(rank(done, terms_.better));
  session_.end_stage();
  return true;
}

void DeriveStage::report(const std::vector<Candidate>& ranked) {
  const auto& text = search_.learner.text;
  write_architectures(session_.directory().file("arch"), terms_, search_, ranked, options_.top);
  session_.console().line("derive: validation " + terms_.figure +
                          " with shared weights (not final): " +
                          compare_groups(ranked, [&](double v) { return terms_.show(v, 2); }));
  const size_t shown = std::min<size_t>(ranked.size(), 5);
  std::vector<std::string> scores;
  for (size_t i = 0; i < shown; ++i) scores.push_back(terms_.show(ranked[i].score, 2));
  scores = right_aligned(scores);
  for (size_t i = 0; i < shown; ++i) {
    session_.console().line(fmt::format("  {}. {} {}  {:10}  {}", i + 1, terms_.key, scores[i],
                                        ranked[i].from_controller ? "controller" : "random",
                                        text(ranked[i].arch)));
  }
  if (ranked.empty()) return;
  const bool random = search_.random;
  const auto best = std::find_if(ranked.begin(), ranked.end(),
                                 [&](const Candidate& c) { return random || c.from_controller; });
  if (best == ranked.end()) return;
  session_.console().line(fmt::format("derive: best{}: {}  ({})",
                                      random ? "" : " of the controller", text(best->arch),
                                      search_.words(best->arch)));
}

}  // namespace enas
