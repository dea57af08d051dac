// One run in progress: its settings, folder, console, metrics and checkpoints, and the question
// every loop asks between steps: go on, or pause? A checkpoint holds the stage's own state and,
// from here, what all stages share: where metrics stood and the time spent, so that budgets hold
// over resumes and metric lines are neither lost nor doubled.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "apps/run/console.h"
#include "apps/run/metrics.h"
#include "apps/run/options.h"
#include "apps/run/run_directory.h"
#include "nn/checkpoint.h"

namespace enas {

class Session {
 public:
  Session(Settings settings, RunDirectory directory, Console& console);

  const Settings& settings() const { return settings_; }
  RunDirectory& directory() { return directory_; }
  Console& console() { return console_; }

  // Reads the newest checkpoint (empty where there is none), cuts metrics back to it, and reports
  // damaged files.
  std::optional<Checkpoint> load();
  // Completes the stage's checkpoint and writes it; the next is due an interval later. A failed
  // periodic write is a warning, two in a row are an error (kind write); `must` makes the first
  // failure one.
  void save(Checkpoint checkpoint, bool must = false);
  bool save_due() const;
  void write(const Metrics::Line& line);  // metrics.jsonl, and the console under --json-log

  // A stage: `share` of --budget is its cap (0: none). Its time counts over all processes of the
  // run; `resumed`: the stage goes on from a checkpoint of its own.
  void begin_stage(const std::string& name, double budget_share, bool resumed = false);
  void end_stage();  // adds its time to run.json
  void count_step() { ++steps_since_save_; }
  bool interrupted() const;  // SIGINT or SIGTERM: save, then leave
  bool out_of_budget() const;
  bool capped() const { return stage_budget_ > 0 || settings_.has("max-steps"); }  // may end early
  double stage_seconds() const;
  double total_seconds() const;  // of all stages: the metrics' time_s

 private:
  Settings settings_;
  RunDirectory directory_;
  Console& console_;
  Metrics metrics_;
  CheckpointFolder checkpoints_;
  std::string stage_;
  double stage_budget_ = 0;    // seconds; 0: none
  double earlier_stages_ = 0;  // seconds
  double stage_before_ = 0;    // seconds of this stage in earlier processes
  double stage_start_ = 0;     // console clock
  double last_save_ = 0;
  int64_t steps_since_save_ = 0;
  int failed_saves_ = 0;
};

}  // namespace enas
