#include "apps/run/session.h"

#include "apps/run/signals.h"

namespace enas {

Session::Session(Settings settings, RunDirectory directory, Console& console)
    : settings_(std::move(settings)),
      directory_(std::move(directory)),
      console_(console),
      metrics_(directory_.metrics()),
      checkpoints_(directory_.checkpoints()) {
  console_.log_to(directory_.log());
  last_save_ = console_.now();
}

std::optional<Checkpoint> Session::load() {
  std::vector<std::string> warnings;
  std::optional<Checkpoint> checkpoint = checkpoints_.load_latest(&warnings);
  for (const std::string& warning : warnings) console_.warn(warning);
  metrics_.truncate_to(
      checkpoint ? static_cast<uint64_t>(checkpoint->integer("session.metrics_bytes")) : 0);
  if (checkpoint) {
    earlier_stages_ = checkpoint->real("session.earlier_seconds");
    stage_before_ = checkpoint->real("session.stage_seconds");
    stage_ = checkpoint->text("session.stage");
  }
  return checkpoint;
}

void Session::save(Checkpoint checkpoint, bool must) {
  checkpoint.set_integer("session.metrics_bytes", static_cast<int64_t>(metrics_.offset()));
  checkpoint.set_real("session.earlier_seconds", earlier_stages_);
  checkpoint.set_real("session.stage_seconds", stage_seconds());
  checkpoint.set_text("session.stage", stage_);
  try {
    metrics_.sync();
    checkpoints_.save(checkpoint);
    failed_saves_ = 0;
  } catch (const Error& error) {
    if (must || error.kind() != ErrorKind::write || ++failed_saves_ > 1) throw;
    console_.warn(std::string(error.what()) + "; going on with the checkpoint before");
  }
  last_save_ = console_.now();
  steps_since_save_ = 0;
}

bool Session::save_due() const {
  const Interval every = settings_.interval("checkpoint-every");
  return (every.steps > 0 && steps_since_save_ >= every.steps) ||
         (every.seconds > 0 && console_.now() - last_save_ >= every.seconds);
}

void Session::write(const Metrics::Line& line) {
  metrics_.write(line);
  console_.object(line.text());
}

void Session::begin_stage(const std::string& name, double budget_share, bool resumed) {
  if (stage_ != name || !resumed) {
    earlier_stages_ += stage_before_;
    stage_before_ = 0;
    stage_ = name;
  }
  stage_start_ = console_.now();
  const bool capped = settings_.known("budget") && settings_.has("budget");
  stage_budget_ = capped ? settings_.seconds("budget") * budget_share : 0;
}

void Session::end_stage() {
  stage_before_ = stage_seconds();
  stage_start_ = console_.now();
  directory_.add_timing(stage_, stage_before_);
}

bool Session::interrupted() const { return stop_signal() != 0; }
bool Session::out_of_budget() const {
  return stage_budget_ > 0 && stage_seconds() >= stage_budget_;
}
double Session::stage_seconds() const { return stage_before_ + console_.now() - stage_start_; }
double Session::total_seconds() const { return earlier_stages_ + stage_seconds(); }

}  // namespace enas
