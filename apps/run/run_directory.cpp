// See run_directory.h.
#include "apps/run/run_directory.h"

#include <unistd.h>

#include "apps/run/run_record.h"
#include "apps/run/version.h"
#include "tensor/check.h"
#include "tensor/isa.h"

namespace enas {
namespace {

constexpr std::uint64_t kLargestRecord = 16 << 20;

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// Temporary folders are called .NAME.making-PID and .NAME.replaced-PID.
std::string temporary_path(const std::string& path, const std::string& what) {
  return parent_of(path) + "/." + name_of(path) + "." + what + "-" + std::to_string(getpid());
}

// What a killed create() left beside the path. A folder without a LOCK may be one that is just
// beginning.
void remove_leftovers(const std::string& path, FileSystem& files) {
  for (const std::string& name : list(parent_of(path))) {
    const std::string folder = parent_of(path) + "/" + name;
    const bool ours = name.rfind("." + name_of(path) + ".making-", 0) == 0 ||
                      name.rfind("." + name_of(path) + ".replaced-", 0) == 0;
    if (ours && exists(folder + "/LOCK") && lock_is_free(folder, files)) {
      remove_directory(folder, files);
    }
  }
}

// Puts the new run in the place of the old one, which comes back if that fails.
void replace_run(const std::string& made, const std::string& place, FileSystem& files) {
  RunLock old(place, files);  // refuses while somebody writes it
  const std::string replaced = temporary_path(place, "replaced");
  remove_directory(replaced, files);
  rename_directory(place, replaced, files);
  old.moved_to(replaced);
  try {
    rename_directory(made, place, files);
  } catch (const Error&) {
    if (!exists(place)) rename_directory(replaced, place, files);
    throw;
  }
  remove_directory(replaced, files);
}

void check_existing(const std::string& path) {
  check(exists(path), ErrorKind::usage, path, "no such run directory");
  check(is_run_directory(path), ErrorKind::usage, path,
        "is not a run directory: it has no run.json");
}

}  // namespace

void refuse_existing(const std::string& path, bool overwrite) {
  if (!exists(path)) return;
  check(overwrite, ErrorKind::usage, path,
        "exists already, and a run is never overwritten unasked; choose another --out, continue "
        "it with resume, or give --overwrite");
  check(is_run_directory(path), ErrorKind::usage, path,
        "exists and is not a run directory (no run.json); --overwrite replaces only runs");
}

std::string run_path(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  check(!path.empty() && path != "/", ErrorKind::usage, "run directory", "found \"", path,
        "\", expected the path of a run");
  return std::string(path);
}

bool is_run_directory(const std::string& path) {
  return is_directory(path) && exists(path + "/run.json");
}

RunRecord read_run_record(const std::string& path, FileSystem& files) {
  check_existing(run_path(path));
  const std::string file = run_path(path) + "/run.json";
  return run_record_from_json(read_file(file, kLargestRecord, files), file);
}

RunDirectory RunDirectory::create(const std::string& path, RunRecord record,
                                  std::string_view config, bool overwrite, FileSystem& files) {
  const std::string place = run_path(path);
  refuse_existing(place, overwrite);
  make_directory(parent_of(place), files);
  remove_leftovers(place, files);
  record.version = kVersion;
  record.build = build_description();
  record.cpu = cpu_model();
  record.isa = name_of(isa());
  record.host = host_name();
  record.created = utc_now();

  const std::string temporary = temporary_path(place, "making");
  remove_directory(temporary, files);
  try {
    make_directory(temporary, files);
    RunDirectory run(temporary, std::move(record), RunLock(temporary, files), files);
    write_file_atomic(run.config(), config, files);
    run.save();
    make_directory(run.file("arch"), files);
    make_directory(run.checkpoints(), files);
    if (exists(place)) {
      replace_run(temporary, place, files);
    } else {
      rename_directory(temporary, place, files);
    }
    run.lock_.moved_to(place);
    run.path_ = place;
    return run;
  } catch (...) {
    try {
      remove_directory(temporary, files);
    } catch (const Error&) {
      // The first failure is the one to report; the next create() clears what is left.
    }
    throw;
  }
}

RunDirectory RunDirectory::open(const std::string& path, FileSystem& files) {
  const std::string place = run_path(path);
  check_existing(place);
  RunLock lock(place, files);
  RunRecord record = read_run_record(place, files);
  for (const std::string& folder : {place, place + "/arch", place + "/ckpt"}) {
    if (is_directory(folder)) remove_temporaries(folder, files);  // of a killed process
  }
  return RunDirectory(place, std::move(record), std::move(lock), files);
}

void RunDirectory::set_status(RunStatus status, std::string message) {
  record_.status = status;
  record_.message = std::move(message);
  save();
}

void RunDirectory::set_gpu(GpuRecord gpu) {
  record_.gpu = std::move(gpu);
  save();
}

void RunDirectory::add_timing(std::string_view stage, double seconds) {
  bool found = false;
  for (auto& [name, sum] : record_.timings) {
    if (name != stage) continue;
    sum += seconds;
    found = true;
  }
  if (!found) record_.timings.emplace_back(stage, seconds);
  save();
}

void RunDirectory::count_resume() {
  ++record_.resumes;
  record_.status = RunStatus::running;
  record_.message.clear();
  save();
}

void RunDirectory::save() { write_file_atomic(file("run.json"), to_json(record_), *files_); }

}  // namespace enas
