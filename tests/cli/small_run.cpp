#include "tests/cli/small_run.h"

#include <algorithm>
#include <filesystem>
#include <random>
#include <regex>

namespace enas {

namespace fs = std::filesystem;

std::string write_text(const TemporaryFolder& folder, const std::string& name, int lines,
                       unsigned seed) {
  std::mt19937 engine(seed);
  const auto random = [&] { return static_cast<unsigned>(engine()); };
  std::string text;
  for (int line = 0; line < lines; ++line) {
    unsigned word = random() % 20;
    for (unsigned count = 0; count < 12; ++count) {
      text += "w" + std::to_string(word) + " ";
      word = random() % 3 == 0 ? random() % 20 : (word * 7 + 3) % 20;
    }
    text.back() = '\n';
  }
  return folder.write(name, text);
}

Arguments small_search() {
  return {"--nodes",
          "2",
          "--hidden",
          "8",
          "--batch",
          "16",
          "--bptt",
          "10",
          "--reward-batch",
          "8",
          "--epochs",
          "2",
          "--dropout-input",
          "0",
          "--log-every",
          "10",
          "--threads",
          "1",
          "--controller-steps",
          "6",
          "--controller-hidden",
          "8"};
}

Arguments small_train(const std::string& prefix) {
  Arguments options;
  for (const auto& [name, value] :
       std::vector<std::pair<const char*, const char*>>{{"hidden", "8"},
                                                        {"batch", "16"},
                                                        {"bptt", "10"},
                                                        {"epochs", "2"},
                                                        {"valid-batch", "8"}}) {
    options.push_back("--" + prefix + name);
    options.emplace_back(value);
  }
  return options;
}

Arguments small(const std::string& command, const std::string& data, const std::string& out) {
  Arguments arguments = {command, "--data", data, "--out", out};
  if (command == "train")
    return arguments + small_train() +
           Arguments{"--arch", "0 1 1 0", "--log-every", "10", "--threads", "1"};
  arguments = arguments + small_search();
  if (command == "run")
    arguments = arguments + small_train("train-") + Arguments{"--samples", "4", "--top", "2"};
  return arguments;
}

Arguments with(Arguments arguments, const std::string& option, const std::string& value) {
  const auto found = std::find(arguments.begin(), arguments.end(), option);
  if (found == arguments.end()) return arguments + Arguments{option, value};
  *(found + 1) = value;
  return arguments;
}

std::string metrics_without_time(const std::string& run) {
  static const std::regex times("\"(time_s|tokens_per_s|images_per_s)\":[^,}]*,?");
  return std::regex_replace(text_of(run + "/metrics.jsonl"), times, "");
}

std::vector<std::pair<std::string, std::string>> results(const std::string& run) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& entry : fs::recursive_directory_iterator(run)) {
    const std::string name = fs::relative(entry.path(), run).string();
    if (entry.is_directory() || name == "run.json" || name == "log.txt" || name == "config.toml" ||
        name.rfind("ckpt/", 0) == 0)
      continue;
    files.emplace_back(
        name, name == "metrics.jsonl" ? metrics_without_time(run) : text_of(entry.path().string()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> temporaries(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool odd = name[0] == '.' || name == "LOCK" || name.find(".tmp") != std::string::npos;
    if (odd) names.push_back(entry.path().string());
  }
  return names;
}

}  // namespace enas
