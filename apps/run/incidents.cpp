#include "apps/run/incidents.h"

#include <algorithm>

#include "apps/run/json_text.h"
#include "data/file.h"

namespace enas {
namespace {
int64_t most_skipped(int64_t step) { return std::max<int64_t>(10, step / 100); }
}  // namespace

bool IncidentLog::next_ends_run(int64_t step) const {
  return session_.settings().text("on-nan") != "skip" || count_ + 1 > most_skipped(step);
}

void IncidentLog::report(const Incident& incident, const std::function<void()>& save) {
  const bool ends = next_ends_run(incident.step);
  ++count_;
  std::string what = incident.what;  // the sign of a NaN says nothing
  for (size_t at = 0; (at = what.find("-nan", at)) != std::string::npos;) what.erase(at, 1);
  const Settings& settings = session_.settings();
  const std::string folder = session_.directory().file("incidents");
  make_directory(folder);
  JsonLine line;
  line.add("incident", count_)
      .add("phase", incident.phase)
      .add("step", incident.step)
      .add("what", what);
  line.add("arch", incident.arch).add("seed", settings.integer("seed"));
  write_file_atomic(folder + "/" + std::to_string(count_) + ".json", line.text() + "\n");
  const std::string where =
      incident.phase + ": step " + std::to_string(incident.step) + ": " + what;
  if (!ends) {
    session_.console().warn(where + "; skipped, see " + folder);
    return;
  }
  save();
  const bool skipping = settings.text("on-nan") == "skip";
  fail(ErrorKind::diverged, incident.phase, "step ", incident.step, ": ", what,
       skipping ? "; too many skipped steps" : "",
       "; weights and optimizer are in the checkpoint as before it, the step in ", folder, "; try ",
       skipping ? ""
                : session_.directory().record().program + " resume " + session_.directory().path() +
                      " --on-nan skip, or ",
       "a new run with a smaller learning rate or clip");
}

}  // namespace enas
