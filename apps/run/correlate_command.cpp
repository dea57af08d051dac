// correlate RUN: how well shared-weight scores order architectures (docs/method.md section 6).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/run/device.h"
#include "apps/run/run_commands.h"
#include "apps/run/signals.h"
#include "apps/run/sub_runs.h"
#include "nas/correlate.h"

namespace enas {
namespace {

// Shared-weight score and stand-alone score of uniformly drawn architectures.
int correlate_in(const App& app, const Workbench& bench, const Settings& call, Session& session,
                 const std::string& command) {
  const Terms& terms = app.terms;
  const auto seed = static_cast<uint64_t>(session.settings().integer("seed"));
  const Random random{static_cast<uint64_t>(call.integer("seed")), Stream::correlate_sample, 0};
  std::vector<double> shared;
  std::vector<SubRun> subs;
  {
    const Search search = bench.search(session.settings(), command);
    std::vector<Architecture> sample =
        uniform_architectures(search.decisions, call.integer("samples"), random);
    std::sort(sample.begin(), sample.end());
    sample.erase(std::unique(sample.begin(), sample.end()), sample.end());
    restore(*search.learner.weights, load_weights(session.directory().shared_weights()));
    for (const Architecture& arch : sample) {
      subs.push_back({fmt::format("correlate-{}", subs.size() + 1), search.learner.text(arch), seed,
                      0, 0, false});
      shared.push_back(search.learner.score(arch, 0));
    }
  }
  const auto results = train_sub_runs(app, bench, session, command, subs);
  if (!results) return stop_exit_code();
  std::vector<double> alone;
  std::string pairs;
  for (size_t i = 0; i < subs.size(); ++i) {
    alone.push_back((*results)[i].valid);
    check(std::isfinite(alone[i]) && std::isfinite(shared[i]), ErrorKind::diverged,
          app.name("correlate"), "the validation ", terms.figure, " of ", subs[i].arch,
          " is not finite, so that it has no rank; try other --epochs or --seed");
    JsonLine pair;
    pair.add("arch", subs[i].arch)
        .add("shared_" + terms.key, shared[i])
        .add("stand_alone_" + terms.key, alone[i]);
    pairs += (i == 0 ? "\n    " : ",\n    ") + pair.text();
  }
  const double tau = kendall_tau(shared, alone), rho = spearman_rho(shared, alone);
  const Interval95 interval = kendall_interval(shared, alone, seed);
  JsonLine head;
  head.add("samples", static_cast<int64_t>(subs.size())).add("epochs", call.integer("epochs"));
  head.add("kendall_tau", tau)
      .add("tau_low", interval.low)
      .add("tau_high", interval.high)
      .add("spearman", rho);
  std::string json = head.text();
  json.pop_back();
  write_file_atomic(session.directory().file("correlate.json"),
                    json + ",\n  \"pairs\": [" + pairs + "\n  ]}\n");
  session.console().result(fmt::format(
      "correlate: shared-weight against stand-alone validation {} of {} architectures, {} each: {}",
      terms.figure, subs.size(), counted(call.integer("epochs"), "epoch"),
      std::isnan(tau) ? "no rank correlation, as all scores of one kind are equal"
                      : fmt::format("Kendall tau {:.3f} (95 % {:.3f} to {:.3f}), Spearman {:.3f}",
                                    tau, interval.low, interval.high, rho)));
  return 0;
}

}  // namespace

int correlate_run(const App& app, const Invocation& call) {
  Console console(console_options(call.settings));
  const std::string path = run_path(call.operands[0]);
  RunDirectory run = RunDirectory::open(path);
  check_program(app, run.record(), path, "correlate");
  const std::string command = run.record().command;
  check(command != "train" && exists(run.shared_weights()), ErrorKind::usage, app.name("correlate"),
        path, " holds no shared.safetensors; expected a finished search");
  Settings settings = settings_of(app.registry, run, call.settings);
  const Workbench bench = open_data_of(app, run, settings, call.settings, console);
  settings.set(command == "run" ? "train-epochs" : "epochs",
               std::to_string(call.settings.integer("epochs")), Origin::option, "correlate",
               app.name("correlate: --epochs"));
  // A run that trains on everything still leaves its search's held-out part to compare on.
  if (settings.known("train-on-all")) {
    settings.set("train-on-all", "false", Origin::option, "correlate",
                 app.name("correlate: --train-on-all"));
  }
  choose_device(settings, app.name("correlate"), console);
  Session session(settings, std::move(run), console);
  return correlate_in(app, bench, call.settings, session, command);
}

}  // namespace enas
