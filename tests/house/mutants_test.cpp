// The lists of seeded faults (tests/mutants, script/mutate) fit the code: every old text stands
// exactly once in its file, and every kernel has at least three faults. A fault counts for the
// kernel whose text it changes; under "# kernel: NAME ..." it counts for those named, up to the
// next comment line: for a function that only they call.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <sstream>

#include "tests/house/house.h"

namespace enas::house {
namespace {

constexpr int kFewestFaults = 3;

struct Kernel {
  std::string name;
  size_t begin = 0, end = 0;  // from __global__ to behind its last brace
};

std::vector<Kernel> kernels_of(const std::string& text) {
  static const std::regex head(
      R"(__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\()");
  std::vector<Kernel> kernels;
  for (auto match = std::sregex_iterator(text.begin(), text.end(), head);
       match != std::sregex_iterator(); ++match) {
    Kernel kernel{(*match)[1], static_cast<size_t>(match->position()), 0};
    int depth = 0;
    for (size_t i = text.find('{', kernel.begin); i < text.size() && kernel.end == 0; ++i) {
      depth += (text[i] == '{') - (text[i] == '}');
      if (depth == 0) kernel.end = i + 1;
    }
    kernels.push_back(kernel);
  }
  return kernels;
}

struct Fault {
  std::string where;  // list and line
  std::string file, old_text;
  std::vector<std::string> named;  // by "# kernel:"
};

std::vector<std::string> fields_of(const std::string& line) {
  const std::string mark = " @@ ";
  std::vector<std::string> fields;
  size_t at = 0;
  for (size_t next; (next = line.find(mark, at)) != std::string::npos; at = next + mark.size())
    fields.push_back(line.substr(at, next - at));
  fields.push_back(line.substr(at));
  return fields;
}

std::vector<Fault> faults_of(const std::string& list, std::istream& lines) {
  const std::string mark = "# kernel:";
  std::vector<Fault> faults;
  std::vector<std::string> named;
  size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string where = list + ":" + std::to_string(++number);
    if (line.rfind("#", 0) == 0) {
      named.clear();
      if (line.rfind(mark, 0) != 0) continue;
      std::istringstream names(line.substr(mark.size()));
      for (std::string name; names >> name;) named.push_back(name);
    } else if (!line.empty()) {
      const std::vector<std::string> fields = fields_of(line);
      EXPECT_EQ(fields.size(), 5u) << where << ": fields between ' @@ '";
      if (fields.size() != 5) continue;
      const std::string old_text = std::regex_replace(fields[3], std::regex(R"(\\n)"), "\n");
      faults.push_back({where, fields[0], old_text, named});
    }
  }
  return faults;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<Fault> all_faults() {
  std::vector<Fault> all;
  const std::filesystem::path root = ENAS_SOURCE_DIR;
  for (const auto& entry : std::filesystem::directory_iterator(root / "tests/mutants")) {
    std::ifstream lines(entry.path());
    for (Fault& fault : faults_of(entry.path().filename(), lines)) all.push_back(std::move(fault));
  }
  return all;
}

// How many faults each kernel of a file has.
std::map<std::string, int> faults_by_kernel(const std::string& path, const std::string& text,
                                            const std::vector<Fault>& faults) {
  std::map<std::string, int> counts;
  for (const Kernel& kernel : kernels_of(text)) {
    counts[kernel.name] =
        static_cast<int>(std::count_if(faults.begin(), faults.end(), [&](const Fault& fault) {
          const std::vector<std::string>& named = fault.named;
          if (std::find(named.begin(), named.end(), kernel.name) != named.end()) return true;
          const size_t at = fault.file == path ? text.find(fault.old_text) : std::string::npos;
          return at != std::string::npos && at >= kernel.begin && at < kernel.end;
        }));
  }
  return counts;
}

TEST(House, SeededFaultsFitTheCode) {
  std::string stale;
  const std::vector<Fault> faults = all_faults();
  for (const Fault& fault : faults) {
    const std::string text = text_of(std::filesystem::path(ENAS_SOURCE_DIR) / fault.file);
    const size_t count = count_of(text, fault.old_text);
    if (count == 1) continue;
    stale += fault.where + ": old text stands " + std::to_string(count) + " times in " +
             fault.file + ": " + fault.old_text + "\n";
  }
  EXPECT_EQ(stale, "") << "change the fault with the code";
  EXPECT_GT(faults.size(), 250u);
}

TEST(House, EveryKernelHasThreeSeededFaults) {
  std::string poor;
  size_t count = 0;
  const std::vector<Fault> faults = all_faults();
  const std::filesystem::path root = ENAS_SOURCE_DIR;
  for (const char* folder : {"cuda", "cuda/ops"}) {
    for (const auto& entry : std::filesystem::directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".cu" && extension != ".cuh") continue;
      const std::string path = std::filesystem::relative(entry.path(), root);
      for (const auto& [name, number] : faults_by_kernel(path, text_of(entry.path()), faults)) {
        ++count;
        if (number < kFewestFaults)
          poor += path + ": " + name + " has " + std::to_string(number) + "\n";
      }
    }
  }
  EXPECT_EQ(poor, "") << "a kernel needs " << kFewestFaults
                      << " faults in tests/mutants/cuda_*.txt";
  EXPECT_GT(count, 40u);
}

// The count sees what it is for.
TEST(House, FaultsAreCountedByKernel) {
  const std::string text =
      "template <class T>\n__global__ void __launch_bounds__(kMost* kWarp, 1)\n    first(T* x) {\n"
      "  if (x) { a(); }\n}\n__device__ void helper() { b(); }\n"
      "__global__ void second(T* x) {\n  helper();\n}\n";
  std::istringstream lines(
      "x.cu @@ t @@ f @@ x) {\\n  if @@ y\nx.cu @@ t @@ f @@ b() @@ c()\n# kernel: second third\n"
      "x.cu @@ t @@ f @@ b() @@ d()\n# other\nz.cu @@ t @@ f @@ a() @@ e()\n");
  const std::vector<Fault> faults = faults_of("list", lines);
  ASSERT_EQ(faults.size(), 4u);
  EXPECT_EQ(faults_by_kernel("x.cu", text, faults),
            (std::map<std::string, int>{{"first", 1}, {"second", 1}}));
}

}  // namespace
}  // namespace enas::house
