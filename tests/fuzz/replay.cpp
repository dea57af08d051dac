// Runs a target over files and folders of kept inputs: replay PATH... Exit 1 where there is no
// input or one takes longer than the fuzzer's own limit; a broken property aborts.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <vector>

#include "data/file.h"
#include "tests/fuzz/fuzz.h"

namespace {

constexpr std::chrono::seconds kLongest{2};
constexpr uint64_t kLargest = uint64_t{1} << 20;

std::vector<std::string> inputs(int argc, char** argv) {
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    if (!enas::is_directory(argv[i])) paths.emplace_back(argv[i]);
    if (!enas::is_directory(argv[i])) continue;
    for (const std::string& name : enas::list(argv[i]))
      paths.push_back(std::string(argv[i]) + "/" + name);
  }
  return paths;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> paths = inputs(argc, argv);
  int slow = 0;
  for (const std::string& path : paths) {
    std::fprintf(stderr, "%s\n", path.c_str());  // the last line names the input that aborted
    const std::string bytes = enas::read_file(path, kLargest);
    const auto start = std::chrono::steady_clock::now();
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    if (std::chrono::steady_clock::now() - start <= kLongest) continue;
    std::fprintf(stderr, "fuzz: slower than 2 s\n");
    ++slow;
  }
  std::printf("%zu inputs replayed\n", paths.size());
  return paths.empty() || slow > 0 ? 1 : 0;
}
