#include "apps/ptb/pipeline.h"

#include <fmt/format.h>

#include "apps/ptb/architecture_file.h"
#include "apps/ptb/derive_stage.h"
#include "apps/ptb/options.h"
#include "apps/ptb/search_stage.h"
#include "apps/ptb/train_stage.h"
#include "apps/run/signals.h"
#include "tensor/blas.h"

namespace enas {
namespace {

// Shares of --budget in a `run` (INTERFACE.md); a command of one stage has all of it.
constexpr double kSearchShare = 0.45, kDeriveShare = 0.10, kTrainShare = 0.40;

std::string hex(uint64_t fingerprint) { return fmt::format("{:016x}", fingerprint); }

// The stages of one process on one run.
class Pipeline {
 public:
  Pipeline(Session& session, std::string command, const Corpus& corpus)
      : session_(session),
        command_(std::move(command)),
        corpus_(corpus),
        options_(session.settings(), command_) {}

  // `again`: derive anew with these options, as `derive RUN` asks. Returns the exit code; run.json
  // tells how it ended.
  int execute(const std::optional<DeriveOptions>& again) {
    try {
      const std::optional<Checkpoint> from = session_.load();
      const bool done = stages(from ? &*from : nullptr, again);
      if (done) {
        session_.directory().set_status(RunStatus::finished);
        session_.console().line(fmt::format("{}: finished in {}; see {}", command_,
                                            format_seconds(session_.total_seconds()),
                                            session_.directory().path()));
        return 0;
      }
      session_.directory().set_status(RunStatus::stopped, "by a signal");
      session_.console().line("stopped after a checkpoint; continue with: enas_ptb resume " +
                              session_.directory().path());
      return stop_exit_code();
    } catch (const std::exception& error) {
      session_.directory().set_status(RunStatus::failed, error.what());
      throw;
    }
  }

 private:
  bool stages(const Checkpoint* from, const std::optional<DeriveOptions>& again) {
    const std::string at = from != nullptr ? from->text("stage") : "";
    const auto of = [&](const char* stage) { return at == stage ? from : nullptr; };
    const auto share = [&](double s) { return command_ == "run" ? s : 1.0; };
    const RunDirectory& run = session_.directory();
    const bool whole = command_ == "run";
    if (command_ != "train" && !exists(run.shared_weights())) {
      if (!SearchStage(session_, options_, corpus_).run(of("search"), share(kSearchShare)))
        return false;
    }
    const bool derived = exists(run.architecture("top.json"));
    if (again || (at == "derive" && !derived) || (whole && !derived)) {
      if (!derive(again, of("derive"), share(kDeriveShare))) return false;
    }
    if ((whole && !again) || command_ == "train") {
      if (!exists(run.model_weights()) && !train(of("train"), share(kTrainShare))) return false;
      evaluate();
    }
    return true;
  }

  bool derive(const std::optional<DeriveOptions>& again, const Checkpoint* from,
              double budget_share) {
    DeriveOptions options;
    if (again) {
      options = *again;
      from = nullptr;
    } else if (from != nullptr) {
      options = DeriveStage::options_in(*from);
    } else {
      const Settings& s = session_.settings();
      options = {s.integer("samples"), s.integer("top"), s.integer("batches")};
    }
    return DeriveStage(session_, options_, options, corpus_).run(from, budget_share);
  }

  bool train(const Checkpoint* from, double budget_share) {
    const std::string text =
        architecture_text(command_ == "train" ? session_.settings().text("arch")
                                              : session_.directory().architecture("best.json"));
    const RnnSpace space = rnn_space_of(text);
    return TrainStage(session_, options_, corpus_, space.parse(text), space)
        .run(from, budget_share);
  }

  void evaluate() {
    session_.begin_stage("eval", 1);
    for (const char* split : {"valid", "test"}) {
      const Evaluation result =
          evaluate_weights(session_.directory().model_weights(), corpus_, split);
      Metrics::Line line;
      line.add("phase", "eval")
          .add("time_s", session_.total_seconds())
          .add("loss", result.score.loss());
      line.add("ppl", result.score.perplexity()).add("split", split).add("arch", result.arch);
      session_.write(line);
      session_.console().result(evaluation_text(result, corpus_));
    }
    session_.end_stage();
  }

  Session& session_;
  std::string command_;
  const Corpus& corpus_;
  PtbOptions options_;
};

ConsoleOptions console_options(const Settings& settings) {
  return {.quiet = settings.flag("quiet"), .json = settings.flag("json-log")};
}

void check_same_data(const RunDirectory& run, const Corpus& corpus, const std::string& data) {
  const std::string now = hex(corpus.fingerprint), then = run.record().data_fingerprint;
  check(now == then, ErrorKind::data, data, "has changed since ", run.path(),
        " began: fingerprint ", now, ", expected ", then, "; restore the text or start a new run");
}

// The run's own settings, with what this call says about execution (threads, budget, checkpoints).
Settings settings_of(const Registry& registry, const RunDirectory& run, const Settings& call) {
  Settings settings = settings_from_config(registry, run.record().command, run.config());
  for (const Settings::Value& value : call.values()) {
    const bool execution =
        value.spec.scope != OptionScope::result && value.origin == Origin::option;
    if (execution && settings.known(value.spec.name)) {
      settings.set(value.spec.name, value.text, Origin::option, "option",
                   "enas_ptb: --" + value.spec.name);
    }
  }
  return settings;
}

int continue_in(const Registry& registry, const Invocation& call, const std::string& path,
                const std::optional<DeriveOptions>& again) {
  Console console(console_options(call.settings));
  RunDirectory run = RunDirectory::open(path);
  const std::string command = run.record().command;
  if (again) {
    check(command != "train", ErrorKind::usage, "enas_ptb derive", path,
          " is a run of train, expected one of search");
    check(exists(run.shared_weights()), ErrorKind::usage, "enas_ptb derive", run.shared_weights(),
          " does not exist: the search has not finished; try enas_ptb resume ", path);
  } else if (run.record().status == RunStatus::finished) {
    console.line(path + " is finished; nothing to resume");
    return 0;
  }
  const Settings settings = settings_of(registry, run, call.settings);
  const Corpus corpus = load_corpus(settings.text("data"));
  check_same_data(run, corpus, settings.text("data"));
  console.line(corpus.description);
  run.count_resume();
  Session session(settings, std::move(run), console);
  return Pipeline(session, command, corpus).execute(again);
}

// Refuses what would fail later, before a directory exists: bad architecture text, batches too
// large for the text.
void rehearse(const std::string& command, const Settings& settings, const Corpus& corpus) {
  const auto streams = [&](const std::string& option, const std::vector<int32_t>& tokens) {
    const int64_t batch = settings.integer(option), most = static_cast<int64_t>(tokens.size()) / 2;
    check(batch <= most, ErrorKind::usage, "enas_ptb " + command, "--", option, " ", batch,
          " is too large for ", tokens.size(), " tokens; at most ", most);
  };
  const std::string prefix = command == "run" ? "train-" : "";
  if (command != "train") {
    streams("batch", corpus.train);
    streams("reward-batch", corpus.valid);
  }
  if (command != "search") {
    streams(prefix + "batch", corpus.train);
    streams(prefix + "valid-batch", corpus.valid);
  }
  if (command == "train") {
    check(settings.has("arch"), ErrorKind::usage, "enas_ptb train",
          "needs --arch, e.g. --arch published");
    const std::string text = architecture_text(settings.text("arch"));
    rnn_space_of(text).parse(text);
  }
}

}  // namespace

int start_run(const Registry& registry, const Invocation& call,
              const std::vector<std::string>& argv) {
  const Settings& settings = call.settings;
  const std::string where = "enas_ptb " + call.command;
  check(settings.has("data"), ErrorKind::usage, where,
        "needs --data, e.g. --data builtin:tiny-text");
  check(settings.has("out"), ErrorKind::usage, where, "needs --out, e.g. --out runs/first");
  const std::string out = run_path(settings.text("out"));
  if (call.command == "run" && !settings.flag("overwrite") && is_run_directory(out)) {
    const Settings stored =
        settings_from_config(registry, read_run_record(out).command, out + "/config.toml");
    const std::vector<std::string> differing = differing_options(settings, stored);
    std::string names;
    for (const std::string& name : differing) names += " --" + name;
    check(differing.empty(), ErrorKind::usage, where, out, " exists with another configuration (",
          names.substr(names.empty() ? 0 : 1), " differ); choose another --out, or --overwrite");
    return resume_run(registry, call, out);
  }
  Console console(console_options(settings));
  const Corpus corpus = load_corpus(settings.text("data"));
  console.line(corpus.description);
  rehearse(call.command, settings, corpus);
  RunRecord record;
  record.program = "enas_ptb";
  record.command = call.command;
  record.argv = argv;
  record.seed = static_cast<uint64_t>(settings.integer("seed"));
  record.blas = blas_name();
  record.data = corpus.description;
  record.data_fingerprint = hex(corpus.fingerprint);
  Session session(
      settings,
      RunDirectory::create(out, record, resolved_toml(settings), settings.flag("overwrite")),
      console);
  return Pipeline(session, call.command, corpus).execute({});
}

int resume_run(const Registry& registry, const Invocation& call, const std::string& path) {
  return continue_in(registry, call, run_path(path), {});
}

int derive_run(const Registry& registry, const Invocation& call) {
  const Settings& s = call.settings;
  return continue_in(registry, call, run_path(call.operands[0]),
                     DeriveOptions{s.integer("samples"), s.integer("top"), s.integer("batches")});
}

}  // namespace enas
