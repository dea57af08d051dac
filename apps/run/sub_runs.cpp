#include "apps/run/sub_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/run/device.h"
#include "apps/run/json_text.h"
#include "apps/run/run_commands.h"
#include "data/file.h"

namespace enas {
namespace {

constexpr uint64_t kMaxFile = uint64_t{1} << 24;

nlohmann::json parse(const std::string& path, const std::string& program) {
  auto json = nlohmann::json::parse(read_file(path, kMaxFile), nullptr, false);
  check(!json.is_discarded(), ErrorKind::data, path, "is not JSON; it was changed after ", program,
        " wrote it");
  return json;
}

void print_spread(const Terms& terms, Console& console, const std::vector<SubResult>& results) {
  const bool tested = std::none_of(results.begin(), results.end(),
                                   [](const SubResult& r) { return std::isnan(r.test); });
  const auto figure = [&](const SubResult& r) { return tested ? r.test : r.valid; };
  double mean = 0, squares = 0;
  const double n = static_cast<double>(results.size());
  for (const SubResult& r : results) mean += figure(r) / n;
  for (const SubResult& r : results) squares += (figure(r) - mean) * (figure(r) - mean);
  std::vector<std::string> valid, test;
  for (const SubResult& r : results) {
    valid.push_back(terms.show(r.valid, 3));
    test.push_back(terms.show(r.test, 3));
  }
  valid = right_aligned(valid), test = right_aligned(test);
  for (size_t i = 0; i < results.size(); ++i) {
    console.line(fmt::format("  {:12} validation {}{}  {}", results[i].folder, valid[i],
                             tested ? ", test " + test[i] : "", results[i].arch));
  }
  if (results.size() > 1) {
    console.line(fmt::format("  {} {} over {} trainings: mean {}, sd {}",
                             tested ? "test" : "validation", terms.figure, results.size(),
                             terms.show(mean, 3), terms.show(std::sqrt(squares / (n - 1)), 3)));
  }
}

}  // namespace

Settings train_settings(const Registry& registry, const Settings& parent,
                        const std::string& command) {
  const std::string& by = registry.variant_option();
  Settings settings(registry, "train", by.empty() ? "" : parent.text(by));
  for (const Settings::Value& value : std::vector<Settings::Value>(settings.values())) {
    const std::string& name = value.spec.name;
    const std::string own =
        command == "run" && parent.known("train-" + name) ? "train-" + name : name;
    // The plain names of a `run` belong to its search where there is a train- one beside them.
    if (name == "seeds" || name == "budget" || name == "parity" || !parent.known(own) ||
        !parent.has(own))
      continue;
    for (const Settings::Value& given : parent.values()) {
      if (given.spec.name == own)
        settings.set(name, given.text, given.origin, given.origin_text,
                     registry.program() + ": --" + own);
    }
  }
  // Of the switches those that final training knows.
  const std::vector<std::string>& known = registry.find("parity", "train")->choices;
  std::string switches;
  for (const std::string& name : parent.list("parity")) {
    if (std::find(known.begin(), known.end(), name) == known.end()) continue;
    switches += (switches.empty() ? "" : ",") + name;
  }
  if (!switches.empty()) {
    settings.set("parity", switches, parent.origin("parity"), parent.origin_text("parity"),
                 registry.program());
  }
  return settings;
}

std::optional<SubResult> train_sub_run(const App& app, const Workbench& bench, Session& parent,
                                       const std::string& command, const SubRun& sub) {
  const Registry& registry = app.registry;
  const std::string path = parent.directory().file(sub.folder);
  Settings settings = train_settings(registry, parent.settings(), command);
  const auto set = [&](const char* name, const std::string& value) {
    settings.set(name, value, Origin::option, "its run", app.terms.program + ": --" + name);
  };
  set("arch", sub.arch);
  set("seed", std::to_string(sub.seed));
  if (sub.epochs > 0) set("epochs", std::to_string(sub.epochs));
  if (sub.budget > 0)
    set("budget", fmt::format("{}s", std::max<int64_t>(1, std::llround(sub.budget))));
  // A folder that was made with other options (another correlate) is made anew.
  const bool same =
      is_run_directory(path) &&
      differing_options(settings, settings_from_config(registry, "train", path + "/config.toml"))
          .empty();
  if (!same || read_run_record(path).status != RunStatus::finished) {
    parent.console().line(sub.folder + ": training " + sub.arch);
    RunRecord record = parent.directory().record();
    record.command = "train";
    record.seed = sub.seed;
    record.gpu = gpu_record(device_of(settings));
    record.timings.clear();
    Workbench read = bench;
    if (!sub.test) read.splits = {"valid"};
    if (run_in(app, read, path, settings, record, same) != 0) return {};
  }
  SubResult result = read_eval(path, app.terms.program);
  result.folder = sub.folder;
  result.arch = sub.arch;
  return result;
}

std::optional<std::vector<SubResult>> train_sub_runs(const App& app, const Workbench& bench,
                                                     Session& parent, const std::string& command,
                                                     const std::vector<SubRun>& subs) {
  std::vector<SubResult> results;
  for (const SubRun& sub : subs) {
    const std::optional<SubResult> result = train_sub_run(app, bench, parent, command, sub);
    if (!result) return {};
    results.push_back(*result);
  }
  print_spread(app.terms, parent.console(), results);
  return results;
}

void write_eval(const std::string& run, double valid, double test) {
  write_file_atomic(run + "/eval.json",
                    JsonLine().add("valid", valid).add("test", test).text() + "\n");
}

SubResult read_eval(const std::string& run, const std::string& program) {
  const std::string path = run + "/eval.json";
  const nlohmann::json json = parse(path, program);
  const auto figure = [&](const char* split) {
    const bool there = json.is_object() && json.contains(split) &&
                       (json[split].is_number() || json[split].is_null());
    check(there, ErrorKind::data, path, "lacks a number or null under \"", split, "\"");
    return json[split].is_null() ? std::numeric_limits<double>::quiet_NaN()
                                 : json[split].get<double>();
  };
  return {"", "", figure("valid"), figure("test")};
}

std::vector<std::string> top_architectures(const std::string& path, int64_t most,
                                           const std::string& program) {
  const nlohmann::json json = parse(path, program);
  check(json.is_array(), ErrorKind::data, path, "is not a list");
  std::vector<std::string> controller, all;
  for (const nlohmann::json& entry : json) {
    const bool whole = entry.is_object() && entry.contains("arch") && entry["arch"].is_string() &&
                       entry.contains("source") && entry["source"].is_string();
    check(whole, ErrorKind::data, path, "has an entry without \"arch\" and \"source\"");
    all.push_back(entry["arch"].get<std::string>());
    if (entry["source"] == "controller") controller.push_back(all.back());
  }
  std::vector<std::string>& list = controller.empty() ? all : controller;
  if (static_cast<int64_t>(list.size()) > most) list.resize(static_cast<size_t>(most));
  return list;
}

}  // namespace enas
