// A small text, options that search and train on it within a second, and what a run leaves.
#pragma once
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace enas {

// Writes `name`: a generated text of some 20 different words, one UTF-8 file.
std::string write_text(const TemporaryFolder& folder, const std::string& name, int lines = 1500,
                       unsigned seed = 1);

// Sizes of the search and of derive; of train, under `prefix` "" or, for run, "train-".
Arguments small_search();
Arguments small_train(const std::string& prefix = "");
// run, search or train of these sizes on the data into `out`.
Arguments small(const std::string& command, const std::string& data, const std::string& out);

// With this value of an option that is there already.
Arguments with(Arguments arguments, const std::string& option, const std::string& value);
// All files below the folder, sorted, with their bytes but for those whose content names a time or
// a process (run.json, log.txt, ckpt/); metrics.jsonl without its time fields.
std::vector<std::pair<std::string, std::string>> results(const std::string& run);
std::string metrics_without_time(const std::string& run);
// Names below the folder that only an unfinished write leaves.
std::vector<std::string> temporaries(const std::string& folder);

}  // namespace enas
