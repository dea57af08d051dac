// One run's folder (docs/interface.md "Run directory"). It appears complete: made under a temporary
// name beside its own, with LOCK, run.json and config.toml, then renamed. run.json is replaced
// atomically at each change.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/run/lock.h"
#include "data/file.h"

namespace enas {

enum class RunStatus { running, finished, stopped, failed };

// The GPU of the process that wrote last; all empty where it computed on the CPU.
struct GpuRecord {
  std::string name = {}, blas = {}, math = {};
  bool operator==(const GpuRecord&) const = default;
};

// The content of run.json. The caller fills the first part; create() the second.
struct RunRecord {
  std::string program = {};
  std::string command = {};
  std::vector<std::string> argv = {};
  std::uint64_t seed = 0;
  std::string blas = {};
  GpuRecord gpu = {};
  std::string data = {};              // as recognised
  std::string data_fingerprint = {};  // what resume compares

  std::string version = {};
  std::string build = {};  // compiler, optimisation, sanitizers
  std::string cpu = {};
  std::string isa = {};  // of our own kernels: generic, avx2 or avx512
  std::string host = {};
  std::string created = {};  // UTC, ISO 8601
  RunStatus status = RunStatus::running;
  std::string message = {};  // why it failed or stopped
  int resumes = 0;
  std::vector<std::pair<std::string, double>> timings = {};  // stage, seconds
};

class RunDirectory {
 public:
  // Error `usage`: the path exists and overwrite is false, or is not a run directory, or is in use.
  static RunDirectory create(const std::string& path, RunRecord record, std::string_view config,
                             bool overwrite, FileSystem& files = real_files());
  // An existing run, locked. Error `usage`: no such directory, no run in it, or in use; `data`:
  // run.json is damaged.
  static RunDirectory open(const std::string& path, FileSystem& files = real_files());

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  std::string config() const { return file("config.toml"); }
  std::string metrics() const { return file("metrics.jsonl"); }
  std::string log() const { return file("log.txt"); }
  std::string shared_weights() const { return file("shared.safetensors"); }
  std::string model_weights() const { return file("model.safetensors"); }
  std::string architecture(std::string_view name) const {
    return file("arch/" + std::string(name));
  }
  std::string checkpoints() const { return file("ckpt"); }

  const RunRecord& record() const { return record_; }
  // Each of these writes run.json.
  void set_status(RunStatus status, std::string message = {});
  void set_gpu(GpuRecord gpu);
  void add_timing(std::string_view stage, double seconds);  // adds to the stage's sum
  void count_resume();                                      // and the status is `running` again

 private:
  RunDirectory(std::string path, RunRecord record, RunLock lock, FileSystem& files)
      : path_(std::move(path)),
        record_(std::move(record)),
        lock_(std::move(lock)),
        files_(&files) {}
  void save();

  std::string path_;
  RunRecord record_;
  RunLock lock_;
  FileSystem* files_;
};

// Error `usage`: a run cannot be made at the path, as create() would find after longer work.
void refuse_existing(const std::string& path, bool overwrite);
bool is_run_directory(const std::string& path);
// run.json of a run that is only read (eval, report). Errors as open(), but it may be in use.
RunRecord read_run_record(const std::string& path, FileSystem& files = real_files());
// The path without trailing slashes; Error `usage` for "" and "/".
std::string run_path(std::string_view path);

}  // namespace enas
