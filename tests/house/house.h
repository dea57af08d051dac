// What the house tests share: the source tree as lines, and what a tool prints.
#pragma once
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace enas::house {

struct Source {
  std::string path;  // relative to the root
  std::vector<std::string> lines;
};

// Every C++ and CUDA file of the tree.
inline std::vector<Source> read_sources() {
  std::vector<Source> sources;
  const std::filesystem::path root = ENAS_SOURCE_DIR;
  for (const char* top : {"tensor", "autograd", "ops", "data", "nn", "nas", "apps", "cuda", "tests",
                          "bench", "examples"}) {
    if (!std::filesystem::exists(root / top)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / top)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cpp" && extension != ".cu" && extension != ".cuh")
        continue;
      Source source{std::filesystem::relative(entry.path(), root), {}};
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) source.lines.push_back(line);
      sources.push_back(std::move(source));
    }
  }
  return sources;
}
inline const std::vector<Source>& sources() {
  static const std::vector<Source> all = read_sources();
  return all;
}

// "long because ..." in the first lines of a file is its leave to be long.
inline bool says_why_long(const Source& source) {
  for (size_t i = 0; i < source.lines.size() && i < 8; ++i) {
    if (source.lines[i].find("long because") != std::string::npos) return true;
  }
  return false;
}

inline std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  std::array<char, 4096> buffer;
  for (size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    text.append(buffer.data(), n);
  pclose(pipe);
  return text;
}

}  // namespace enas::house
