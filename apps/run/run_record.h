// run.json as text, and what the machine and the build say of themselves.
#pragma once
#include <string>

#include "apps/run/run_directory.h"

namespace enas {

std::string to_json(const RunRecord& record);
// Error `data` naming the file and what is wrong.
RunRecord run_record_from_json(const std::string& text, const std::string& path);

std::string build_description();
std::string cpu_model();  // of /proc/cpuinfo
std::string utc_now();    // "2024-05-01T12:00:00Z"

}  // namespace enas
