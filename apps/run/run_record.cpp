// See run_record.h; nlohmann JSON with the keys in written order.
#include "apps/run/run_record.h"

#include <ctime>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tensor/asan.h"
#include "tensor/check.h"

namespace enas {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kStatusNames[] = {"running", "finished", "stopped", "failed"};

RunStatus status_from(const std::string& name, const std::string& path) {
  for (int i = 0; i < 4; ++i) {
    if (name == kStatusNames[i]) return static_cast<RunStatus>(i);
  }
  fail(ErrorKind::data, path, "found status \"", name,
       "\", expected running, finished, stopped or failed");
}

Json to_json(const GpuRecord& gpu) {
  if (gpu.name.empty()) return nullptr;
  return {{"name", gpu.name}, {"blas", gpu.blas}, {"math", gpu.math}};
}

GpuRecord gpu_from(const Json& json) {
  if (json.is_null()) return {};
  return {json.at("name"), json.at("blas"), json.at("math")};
}

constexpr const char* kSanitizers =
#if defined(ENAS_ASAN)
    ", address sanitizer";
#elif defined(ENAS_TSAN)
    ", thread sanitizer";
#else
    "";
#endif

}  // namespace

std::string to_json(const RunRecord& record) {
  Json timings = Json::object();
  for (const auto& [stage, seconds] : record.timings) timings[stage] = seconds;
  const Json json = {
      {"program", record.program},
      {"version", record.version},
      {"command", record.command},
      {"argv", record.argv},
      {"seed", record.seed},
      {"status", kStatusNames[static_cast<int>(record.status)]},
      {"message", record.message},
      {"created", record.created},
      {"resumes", record.resumes},
      {"build", record.build},
      {"host", record.host},
      {"cpu", record.cpu},
      {"isa", record.isa},
      {"blas", record.blas},
      {"gpu", to_json(record.gpu)},
      {"data", {{"recognised", record.data}, {"fingerprint", record.data_fingerprint}}},
      {"timings", timings},
  };
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

RunRecord run_record_from_json(const std::string& text, const std::string& path) {
  RunRecord record;
  try {
    const Json json = Json::parse(text);
    record.program = json.at("program");
    record.version = json.at("version");
    record.command = json.at("command");
    record.argv = json.at("argv").get<std::vector<std::string>>();
    record.seed = json.at("seed");
    record.status = status_from(json.at("status"), path);
    record.message = json.at("message");
    record.created = json.at("created");
    record.resumes = json.at("resumes");
    record.build = json.at("build");
    record.host = json.at("host");
    record.cpu = json.at("cpu");
    record.isa = json.value("isa", "");  // version 0.1 lacked it
    record.blas = json.at("blas");
    record.gpu = gpu_from(json.at("gpu"));
    record.data = json.at("data").at("recognised");
    record.data_fingerprint = json.at("data").at("fingerprint");
    for (const auto& [stage, seconds] : json.at("timings").items()) {
      record.timings.emplace_back(stage, seconds.get<double>());
    }
  } catch (const Json::exception& error) {
    const std::string why = error.what();  // "[json.exception.parse_error.101] parse error at ..."
    fail(ErrorKind::data, path, "not a run record: ", why.substr(why.find(' ') + 1),
         "; was it edited? the run cannot be opened without it");
  }
  return record;
}

std::string build_description() {
  std::string text;
#if defined(__clang__)
  text = "clang " __clang_version__;
#else
  text = "gcc " __VERSION__;
#endif
#if defined(__OPTIMIZE__)
  text += ", optimised";
#else
  text += ", not optimised";
#endif
  return text + kSanitizers;
}

std::string cpu_model() {
  constexpr std::uint64_t kLargest = 16 << 20;
  std::istringstream lines(read_file("/proc/cpuinfo", kLargest, real_files(), ErrorKind::device));
  std::string line;
  while (std::getline(lines, line)) {
    if (line.rfind("model name", 0) != 0) continue;
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos && colon + 2 < line.size()) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace enas
