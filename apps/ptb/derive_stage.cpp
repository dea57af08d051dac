#include "apps/ptb/derive_stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/ptb/architecture_file.h"
#include "apps/ptb/weights.h"
#include "apps/run/progress.h"
#include "nas/baseline.h"

namespace enas {

DeriveStage::DeriveStage(Session& session, const PtbOptions& search, const DeriveOptions& options,
                         const Corpus& corpus)
    : session_(session),
      search_(search),
      options_(options),
      corpus_(corpus),
      child_(search.space(), search.shared_child(corpus.vocabulary.size()), search.seed(),
             DType::f32, nullptr, search.device()),
      task_(child_, search.shared_task(), corpus.train, corpus.valid, corpus.vocabulary.eos),
      controller_(child_.space().decisions(search.policy()), child_.space().operations(),
                  search.controller(), search.seed()) {
  const std::string path = session.directory().shared_weights();
  check(exists(path), ErrorKind::usage, "derive", path,
        " does not exist: the search has not finished; try resume");
  const WeightFile file = load_weights(path);
  check_vocabulary(file.metadata, corpus, path);
  restore(child_.parameters(), file);
  restore(controller_.parameters(), file);
  const uint64_t seed = options_.seed < 0 ? search.seed() : static_cast<uint64_t>(options_.seed);
  if (search.random_strategy()) {
    ScoredCandidates scored;
    scored.load_state(file.tensors, "scored.");
    candidates_ = random_candidates(scored, controller_.decisions(), options_.samples, seed);
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
  candidate.score = task_.score(candidate.arch, options_.batches).perplexity();
  Metrics::Line line;
  line.add("phase", "derive")
      .add("step", static_cast<int64_t>(i) + 1)
      .add("time_s", session_.total_seconds());
  line.add("ppl", candidate.score)
      .add("split", "valid")
      .add("arch", child_.space().to_string(candidate.arch));
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
  const int64_t windows = options_.batches > 0 ? std::min(options_.batches, task_.reward_windows())
                                               : task_.reward_windows();
  session_.console().line(fmt::format("derive: {} candidates, each on {} of {} validation windows",
                                      candidates_.size(), windows, task_.reward_windows()));
  if (options_.batches > 0 && windows < task_.reward_windows()) {
    const double tokens =
        static_cast<double>(windows * task_.options().bptt * task_.options().reward_batch);
    session_.console().warn(
        fmt::format("derive: --batches {}: a score from {} tokens has a standard error of some "
                    "{:.1f} %; ranks are noisy. "
                    "Leave --batches out to score on all of the validation text",
                    windows, static_cast<int64_t>(tokens),
                    100 * 2.5 / std::sqrt(tokens)));  // sd of -log p a token is about 2.5 nats
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
    progress.advance(1, fmt::format("ppl {:.1f}", candidates_[scored_].score));
  }
  save(true);
  const std::vector<Candidate> done(candidates_.begin(),
                                    candidates_.begin() + static_cast<std::ptrdiff_t>(scored_));
  report(rank(done, Better::lower));
  session_.end_stage();
  return true;
}

void DeriveStage::report(const std::vector<Candidate>& ranked) {
  const RnnSpace& space = child_.space();
  write_architectures(session_.directory().file("arch"), space, ranked, options_.top,
                      cost_of(space, search_.stand_alone_child(corpus_.vocabulary.size())));
  session_.console().line("derive: validation perplexity with shared weights (not final): " +
                          compare_groups(ranked));
  const size_t shown = std::min<size_t>(ranked.size(), 5);
  for (size_t i = 0; i < shown; ++i) {
    session_.console().line(fmt::format("  {}. ppl {:.2f}  {:10}  {}", i + 1, ranked[i].score,
                                        ranked[i].from_controller ? "controller" : "random",
                                        space.to_string(ranked[i].arch)));
  }
  if (ranked.empty()) return;
  const bool random = search_.random_strategy();
  const auto best = std::find_if(ranked.begin(), ranked.end(),
                                 [&](const Candidate& c) { return random || c.from_controller; });
  if (best == ranked.end()) return;
  session_.console().line(fmt::format("derive: best{}: {}  ({})",
                                      random ? "" : " of the controller",
                                      space.to_string(best->arch), space.to_words(best->arch)));
}

}  // namespace enas
