// correlate RUN: how well shared-weight scores order architectures (docs/method.md section 6).
#include <fmt/format.h>

#include <algorithm>

#include "apps/ptb/options.h"
#include "apps/ptb/run_commands.h"
#include "apps/ptb/sub_runs.h"
#include "apps/ptb/weights.h"
#include "apps/run/json_text.h"
#include "apps/run/signals.h"
#include "nas/correlate.h"

namespace enas {
namespace {

// Shared-weight score and stand-alone score of uniformly drawn architectures.
int correlate_in(const Registry& registry, const Settings& call, Session& session,
                 const std::string& command, const Corpus& corpus) {
  const PtbOptions options(session.settings(), command);
  const DecisionList list = options.space().decisions(options.policy());
  const Random random{static_cast<uint64_t>(call.integer("seed")), Stream::correlate_sample, 0};
  std::vector<Architecture> sample = uniform_architectures(list, call.integer("samples"), random);
  std::sort(sample.begin(), sample.end());
  sample.erase(std::unique(sample.begin(), sample.end()), sample.end());
  std::vector<double> shared;
  std::vector<SubRun> subs;
  for (const Architecture& arch : sample) {
    subs.push_back({fmt::format("correlate-{}", subs.size() + 1), options.space().to_string(arch),
                    options.seed(), 0});
  }
  {
    RnnChild child(options.space(), options.shared_child(corpus.vocabulary.size()), options.seed(),
                   DType::f32, nullptr, options.device());
    restore(child.parameters(), load_weights(session.directory().shared_weights()));
    RnnTask task(child, options.shared_task(), corpus.train, corpus.valid, corpus.vocabulary.eos);
    for (const Architecture& arch : sample) shared.push_back(task.score(arch).perplexity());
  }
  const auto results = train_sub_runs(registry, session, command, subs, corpus);
  if (!results) return stop_exit_code();
  std::vector<double> alone;
  std::string pairs;
  for (size_t i = 0; i < sample.size(); ++i) {
    alone.push_back((*results)[i].valid);
    JsonLine pair;
    pair.add("arch", subs[i].arch).add("shared_ppl", shared[i]).add("stand_alone_ppl", alone[i]);
    pairs += (i == 0 ? "\n    " : ",\n    ") + pair.text();
  }
  const double tau = kendall_tau(shared, alone), rho = spearman_rho(shared, alone);
  const Interval95 interval = kendall_interval(shared, alone, options.seed());
  JsonLine head;
  head.add("samples", static_cast<int64_t>(sample.size())).add("epochs", call.integer("epochs"));
  head.add("kendall_tau", tau)
      .add("tau_low", interval.low)
      .add("tau_high", interval.high)
      .add("spearman", rho);
  std::string json = head.text();
  json.pop_back();
  write_file_atomic(session.directory().file("correlate.json"),
                    json + ",\n  \"pairs\": [" + pairs + "\n  ]}\n");
  session.console().result(
      fmt::format("correlate: shared-weight against stand-alone validation perplexity of {} "
                  "architectures, {} epochs each: Kendall tau "
                  "{:.3f} (95 % {:.3f} to {:.3f}), Spearman {:.3f}",
                  sample.size(), call.integer("epochs"), tau, interval.low, interval.high, rho));
  return 0;
}

}  // namespace

int correlate_run(const Registry& registry, const Invocation& call) {
  Console console(console_options(call.settings));
  const std::string path = run_path(call.operands[0]);
  RunDirectory run = RunDirectory::open(path);
  const std::string command = run.record().command;
  check(command != "train" && exists(run.shared_weights()), ErrorKind::usage, "enas_ptb correlate",
        path, " holds no shared.safetensors; expected a finished search");
  Settings settings = settings_of(registry, run, call.settings);
  const Corpus corpus = load_corpus(settings.text("data"));
  check_same_data(run, corpus, settings.text("data"));
  console.line(corpus.description);
  settings.set(command == "run" ? "train-epochs" : "epochs",
               std::to_string(call.settings.integer("epochs")), Origin::option, "correlate",
               "enas_ptb correlate: --epochs");
  choose_device(settings, "enas_ptb correlate", console);
  Session session(settings, std::move(run), console);
  return correlate_in(registry, call.settings, session, command, corpus);
}

}  // namespace enas
