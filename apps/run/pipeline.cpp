#include "apps/run/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "apps/run/device.h"
#include "apps/run/search_stage.h"
#include "apps/run/signals.h"
#include "apps/run/sub_runs.h"
#include "apps/run/train_stage.h"

namespace enas {
namespace {

// Shares of --budget in a `run` (docs/interface.md); a command of one stage has all of it.
constexpr double kSearchShare = 0.45, kDeriveShare = 0.10, kTrainShare = 0.40;

// The stages of one process on one run.
class Pipeline {
 public:
  Pipeline(const App& app, const Workbench& bench, Session& session, std::string command)
      : app_(app),
        bench_(bench),
        terms_(app.terms),
        session_(session),
        command_(std::move(command)),
        seed_(static_cast<uint64_t>(session.settings().integer("seed"))) {}

  // `again`: derive anew with these options, as `derive RUN` asks. Returns the exit code; run.json
  // tells how it ended.
  int execute(const std::optional<DeriveOptions>& again) {
    try {
      const std::optional<Checkpoint> from = session_.load();
      if (!again && session_.directory().record().resumes > 0) say_where(from);
      const bool done = stages(from ? &*from : nullptr, again);
      if (done) {
        session_.directory().set_status(RunStatus::finished);
        session_.console().line(
            fmt::format("{}: finished in {}; see {}", again ? "derive" : command_,
                        format_seconds(again ? session_.stage_seconds() : session_.total_seconds()),
                        session_.directory().path()));
        return 0;
      }
      session_.directory().set_status(RunStatus::stopped, "by a signal");
      session_.console().line("stopped after a checkpoint; continue with: " + app_.name("resume ") +
                              session_.directory().path());
      return stop_exit_code();
    } catch (const std::exception& error) {
      record_failure(error.what());
      throw;
    }
  }

 private:
  void say_where(const std::optional<Checkpoint>& from) {
    session_.console().line(
        from
            ? fmt::format("{}: going on in stage {} from {}", session_.directory().path(),
                          from->text("stage"), from->source)
            : session_.directory().path() + ": no checkpoint yet, starting from its configuration");
  }

  // The failure itself is what the user must see, even where run.json cannot be written any more.
  void record_failure(const char* what) {
    try {
      session_.console().record(std::string("error: ") + what);
      session_.directory().set_status(RunStatus::failed, what);
    } catch (const std::exception&) {
      session_.console().warn("run.json cannot be written: it still says that the run goes on");
    }
  }

  bool stages(const Checkpoint* from, const std::optional<DeriveOptions>& again) {
    const std::string at = from != nullptr ? from->text("stage") : "";
    const auto of = [&](const char* stage) { return at == stage ? from : nullptr; };
    const auto share = [&](double s) { return command_ == "run" ? s : 1.0; };
    const RunDirectory& run = session_.directory();
    const bool whole = command_ == "run";
    if (again || (at == "derive" && from->integer("again") != 0)) return derive(again, from, 1);
    if (command_ != "train" && !exists(run.shared_weights())) {
      if (!SearchStage(session_, terms_, bench_.search(session_.settings(), command_))
               .run(of("search"), share(kSearchShare)))
        return false;
    }
    if (whole && !exists(run.architecture("top.json"))) {
      if (!derive(again, of("derive"), share(kDeriveShare))) return false;
    }
    if (command_ == "search") return true;
    if (!exists(run.model_weights()) && !trainings(of("train"))) return false;
    if (at != "eval") evaluate();
    return !baseline() || random_baseline();
  }

  // The final training; several of them with --retrain or --seeds, and then the best on validation
  // is linked at the top. With --retrain-epochs those are trials, and the best is trained in full.
  // Those of --retrain do not read the test part: only the one that was picked does (evaluate()).
  bool trainings(const Checkpoint* from) {
    const std::string picked = session_.directory().architecture("picked.json");
    if (trainings_count() == 1) return train("best.json", from, train_share());
    if (trial_epochs() > 0 && exists(picked)) return train("picked.json", from, train_share());
    session_.begin_stage(trial_epochs() > 0 ? "trials" : "train", 1);
    const auto results = train_sub_runs(app_, bench_, session_, command_, sub_runs());
    if (!results) return false;
    session_.end_stage();
    const auto better = [&](const SubResult& a, const SubResult& b) {
      return std::isfinite(a.valid) &&
             (!std::isfinite(b.valid) || terms_.is_better(a.valid, b.valid));
    };
    // Where nothing is held out no training is better than another.
    const bool select = bench_.selects(session_.settings());
    const auto best =
        select ? std::min_element(results->begin(), results->end(), better) : results->begin();
    session_.console().line(
        select
            ? fmt::format("train: best on validation is {} ({}){}", best->folder,
                          terms_.show(best->valid, 3),
                          trial_epochs() > 0 ? ", now trained in full" : "")
            : fmt::format("train: nothing was held out to select on; {} is linked", best->folder));
    if (command_ == "run") {
      JsonLine line;
      line.add("rank", static_cast<int64_t>(best - results->begin()) + 1).add("arch", best->arch);
      line.add("folder", best->folder).add("valid_" + terms_.key, best->valid);
      write_file_atomic(picked, line.text() + "\n");
    }
    if (trial_epochs() > 0) return train("picked.json", nullptr, train_share());
    make_link(best->folder + "/model.safetensors", session_.directory().model_weights());
    return true;
  }

  std::vector<SubRun> sub_runs() const {
    const int64_t count = trainings_count();
    std::vector<SubRun> subs;
    if (command_ != "run") {
      const std::string arch = session_.settings().text("arch");
      for (int64_t i = 0; i < count; ++i) {
        const uint64_t seed = seed_ + static_cast<uint64_t>(i);
        subs.push_back({fmt::format("seed-{}", seed), arch, seed, sub_budget()});
      }
      return subs;
    }
    const double budget = sub_budget() * (trial_epochs() > 0 ? trial_length() : 1);
    const std::string top = session_.directory().architecture("top.json");
    for (const std::string& arch : top_architectures(top, count, terms_.program)) {
      const std::string folder = fmt::format("retrain-{}", subs.size() + 1);
      subs.push_back({folder, arch, seed_, budget, trial_epochs(), false});
    }
    return subs;
  }

  int64_t trainings_count() const {
    return session_.settings().integer(command_ == "run" ? "retrain" : "seeds");
  }
  // 0: --retrain trains in full.
  int64_t trial_epochs() const {
    return command_ == "run" ? session_.settings().integer("retrain-epochs") : 0;
  }
  double trial_length() const {  // in final trainings
    return static_cast<double>(trial_epochs()) /
           static_cast<double>(session_.settings().integer("train-epochs"));
  }

  bool baseline() const {
    return command_ == "run" && session_.settings().flag("baseline") &&
           session_.settings().text("strategy") != "random";
  }
  // The share of the budget of each final training: all of them, the baseline's too, have the same.
  double train_share() const {
    const auto count = static_cast<double>(trainings_count());
    if (command_ != "run") return 1 / count;
    const double final = trial_epochs() > 0 ? 1 + count * trial_length() : count;
    return kTrainShare / (final + (baseline() ? 1 : 0));
  }
  double sub_budget() const {  // seconds; 0: no budget
    const Settings& s = session_.settings();
    return s.has("budget") ? s.seconds("budget") * train_share() : 0;
  }

  // The best uniform architecture, trained the same way.
  bool random_baseline() {
    const RunDirectory& run = session_.directory();
    const std::string file = run.architecture("best-random.json");
    if (!exists(file)) {
      session_.console().warn(
          "baseline: derive scored no uniform architecture, so there is none to train");
      return true;
    }
    session_.begin_stage("baseline", 1);
    const SubRun sub{"random", app_.architecture(file, session_.settings()), seed_, sub_budget()};
    const std::optional<SubResult> random = train_sub_run(app_, bench_, session_, command_, sub);
    if (!random) return false;
    session_.end_stage();
    const SubResult own = read_eval(run.path(), terms_.program);
    session_.console().result(
        fmt::format("baseline: test {} {}, of the best uniform architecture {}", terms_.figure,
                    terms_.show(own.test, 3), terms_.show(random->test, 3)));
    return true;
  }

  bool derive(const std::optional<DeriveOptions>& again, const Checkpoint* from,
              double budget_share) {
    DeriveOptions options;
    if (from != nullptr && from->text("stage") != "derive") from = nullptr;
    if (from != nullptr) options = DeriveStage::options_in(*from);
    if (again && from != nullptr && !(options == *again)) from = nullptr;
    if (again) {
      options = *again;
    } else if (from == nullptr) {
      const Settings& s = session_.settings();
      options = {s.integer("samples"), s.integer("top"), s.integer("batches"), -1, false};
    }
    return DeriveStage(session_, terms_, bench_.search(session_.settings(), command_), options)
        .run(from, budget_share);
  }

  bool train(const char* file, const Checkpoint* from, double budget_share) {
    const Settings& settings = session_.settings();
    const std::string arch = app_.architecture(
        command_ == "train" ? settings.text("arch") : session_.directory().architecture(file),
        settings);
    return TrainStage(session_, terms_, bench_.training(settings, command_, arch))
        .run(from, budget_share);
  }

  void evaluate() {
    session_.begin_stage("eval", 1);
    const Evaluator model =
        bench_.model(session_.directory().model_weights(), device_of(session_.settings()));
    std::vector<double> figures;
    for (const std::string& split : bench_.splits) {
      const Evaluation result = model(split);
      Metrics::Line line;
      line.add("phase", "eval").add("time_s", session_.total_seconds()).add("loss", result.loss);
      line.add(terms_.key, result.figure).add("split", split).add("arch", result.arch);
      session_.write(line);
      session_.console().result(result.text);
      figures.push_back(result.figure);
    }
    write_eval(session_.directory().path(), figures[0],
               figures.size() > 1 ? figures[1] : std::numeric_limits<double>::quiet_NaN());
    Checkpoint done;  // its lines are kept: what comes later in this run begins after them
    done.set_text("stage", "eval");
    session_.save(std::move(done), true);
    session_.end_stage();
  }

  const App& app_;
  const Workbench& bench_;
  const Terms& terms_;
  Session& session_;
  std::string command_;
  uint64_t seed_;
};

}  // namespace

int execute_run(const App& app, const Workbench& bench, Session& session,
                const std::string& command, const std::optional<DeriveOptions>& again) {
  return Pipeline(app, bench, session, command).execute(again);
}

}  // namespace enas
