// The house rules of docs/architecture.md, checked on the source tree: who includes whom, where
// foreign headers may stand, lengths, leftovers.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/house/house.h"

namespace enas::house {
namespace {

bool starts_with(const std::string& text, const std::string& with) {
  return text.rfind(with, 0) == 0;
}
bool ends_with(const std::string& text, const std::string& with) {
  return text.size() >= with.size() &&
         text.compare(text.size() - with.size(), with.size(), with) == 0;
}

// The included path and whether it stands in quotes; empty where the line includes nothing.
struct Include {
  std::string path;
  bool own = false;
};
Include include_of(const std::string& line) {
  static const std::regex pattern(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::smatch match;
  if (!std::regex_search(line, match, pattern)) return {};
  return {match[2], match[1] == "\""};
}

using Rule = std::function<std::string(const std::string& path, const Include& include)>;

// Every breach of `rule` as "path:line: reason".
std::string breaches(const std::vector<Source>& files, const Rule& rule) {
  std::ostringstream found;
  for (const Source& source : files) {
    for (size_t i = 0; i < source.lines.size(); ++i) {
      const Include include = include_of(source.lines[i]);
      if (include.path.empty()) continue;
      const std::string reason = rule(source.path, include);
      if (!reason.empty()) found << source.path << ":" << i + 1 << ": " << reason << "\n";
    }
  }
  return found.str();
}

std::string top_of(const std::string& path) { return path.substr(0, path.find('/')); }

// Own headers from the root, and only of lower floors.
std::string floor_rule(const std::string& path, const Include& include) {
  static const std::vector<std::string> floors = {"tensor", "autograd", "ops", "data",
                                                  "nn",     "nas",      "apps"};
  if (!include.own) return "";
  const auto level = [&](const std::string& top) {
    return std::find(floors.begin(), floors.end(), top) - floors.begin();
  };
  const std::string from = top_of(path), to = top_of(include.path);
  const auto here = level(from), there = level(to);
  const auto top = static_cast<std::ptrdiff_t>(floors.size());
  if (from == "tests" || from == "bench" || from == "examples") {
    if (there == top && to != "tests" && to != "cuda" && to != from)
      return "not relative to the root";
    return from != "tests" && from != "bench" && to == "tests" ? "includes tests" : "";
  }
  if (from == "cuda") return there <= level("ops") || to == "cuda" ? "" : "cuda includes " + to;
  if (there == top) return "includes " + include.path + ", which is no floor";
  if (there > here) return from + " includes the higher floor " + to;
  if (from == "nn" && to == "data" && include.path != "data/file.h")
    return "of data, nn knows only data/file.h";
  if (starts_with(path, "data/file.") && there > level("tensor") && include.path != "data/file.h")
    return "data/file knows only tensor";
  return "";
}

// The spaces do not know each other, and what they share does not know them.
std::string space_rule(const std::string& path, const Include& include) {
  static const std::vector<std::string> spaces = {"nas/rnn/", "nas/macro/", "nas/micro/"};
  if (!starts_with(path, "nas/")) return "";
  for (const std::string& space : spaces) {
    if (starts_with(include.path, space) && !starts_with(path, space))
      return "only apps may choose among spaces; includes " + include.path;
  }
  return "";
}

std::string foreign_rule(const std::string& path, const Include& include) {
  const std::string& name = include.path;
  const bool source_file = ends_with(path, ".cpp");
  if (starts_with(name, "stb"))
    return path == "data/stb_image.cpp" ? "" : name + " is for data/stb_image.cpp";
  if (name == "cblas.h") return path == "tensor/blas.cpp" ? "" : "cblas.h is for tensor/blas.cpp";
  const bool parser = starts_with(name, "nlohmann/") || starts_with(name, "CLI/") ||
                      starts_with(name, "toml++/") || name == "toml.hpp";
  if (parser) {
    const std::string top = top_of(path);
    const bool allowed =
        top == "nn" || top == "data" || top == "apps" || top == "tests" || top == "bench";
    return allowed && source_file ? ""
                                  : name + " is for .cpp files of nn, data, apps, tests and bench";
  }
  if (starts_with(name, "cuda") || starts_with(name, "cublas"))
    return top_of(path) == "cuda" || include.own ? "" : name + " is for cuda/";
  static const std::regex intrinsics(
      R"((x86|imm|[a-z]mm|avx[a-z0-9]*|bmi)intrin\.h|x86gprintrin\.h)");
  if (std::regex_match(name, intrinsics))
    return ends_with(path, ".simd.cpp") ? "" : "vector intrinsics are for *.simd.cpp";
  if (name == "tensor/simd.h")
    return ends_with(path, ".simd.cpp") || top_of(path) == "tests" ||
                   (top_of(path) == "ops" && ends_with(path, ".h"))
               ? ""
               : "tensor/simd.h is for *.simd.cpp";
  return "";
}

TEST(House, FloorsIncludeDownward) { EXPECT_EQ(breaches(sources(), floor_rule), ""); }
TEST(House, SpacesDoNotKnowEachOther) { EXPECT_EQ(breaches(sources(), space_rule), ""); }
TEST(House, ForeignHeadersStayInTheirRooms) { EXPECT_EQ(breaches(sources(), foreign_rule), ""); }

// The rules find what they are for.
TEST(House, RulesFindPlantedBreaches) {
  const auto broken = [](const char* path, const char* line, const Rule& rule) {
    return !breaches({Source{path, {line}}}, rule).empty();
  };
  EXPECT_TRUE(broken("tensor/x.cpp", "#include \"autograd/tape.h\"", floor_rule));
  EXPECT_TRUE(broken("nn/x.h", "#include \"data/text.h\"", floor_rule));
  EXPECT_TRUE(broken("ops/x.cpp", "#include \"../tensor/shape.h\"", floor_rule));
  EXPECT_TRUE(broken("ops/x.cpp", "#include \"tests/op_cases.h\"", floor_rule));
  EXPECT_TRUE(broken("data/file.cpp", "#include \"ops/softmax.h\"", floor_rule));
  EXPECT_FALSE(broken("nn/x.cpp", "#include \"data/file.h\"", floor_rule));
  EXPECT_FALSE(broken("nas/x.cpp", "#include \"nn/sgd.h\"", floor_rule));
  EXPECT_FALSE(broken("bench/x.cpp", "#include \"bench/y.h\"", floor_rule));
  EXPECT_TRUE(broken("tests/nn/x.cpp", "#include \"bench/y.h\"", floor_rule));
  EXPECT_TRUE(broken("nas/rnn/x.h", "#include \"nas/micro/space.h\"", space_rule));
  EXPECT_TRUE(broken("nas/controller.cpp", "#include \"nas/rnn/space.h\"", space_rule));
  EXPECT_TRUE(broken("ops/matmul.cpp", "#include <cblas.h>", foreign_rule));
  EXPECT_TRUE(broken("data/image_folder.cpp", "#include <stb/stb_image.h>", foreign_rule));
  EXPECT_TRUE(broken("apps/run/x.h", "  #  include <nlohmann/json.hpp>", foreign_rule));
  EXPECT_TRUE(broken("ops/x.cpp", "#include <CLI/CLI.hpp>", foreign_rule));
  EXPECT_TRUE(broken("ops/x.cpp", "#include <immintrin.h>", foreign_rule));
  EXPECT_TRUE(broken("ops/x.cpp", "#include \"tensor/simd.h\"", foreign_rule));
  EXPECT_FALSE(broken("ops/x.simd.cpp", "#include \"tensor/simd.h\"", foreign_rule));
}

TEST(House, FilesAreShortOrSayWhy) {
  std::string found;
  for (const Source& source : sources()) {
    if (source.lines.size() <= 400) continue;
    if (!says_why_long(source))
      found += source.path + ": " + std::to_string(source.lines.size()) + " lines, no reason\n";
  }
  EXPECT_EQ(found, "");
}

// Headers and sources outside tests open by saying what they are; a source may leave it to its
// header.
TEST(House, HeadersOpenWithASentenceAndGuardOnce) {
  std::string found;
  for (const Source& source : sources()) {
    if (!ends_with(source.path, ".h") || source.lines.empty()) continue;
    if (!starts_with(source.lines[0], "//")) found += source.path + ": no opening comment\n";
    const auto guard = std::count(source.lines.begin(), source.lines.end(), "#pragma once");
    if (guard != 1) found += source.path + ": #pragma once is missing or doubled\n";
  }
  EXPECT_EQ(found, "");
}

TEST(House, NothingIsLeftForLater) {
  const std::regex leftover(
      "\\b(TO"
      "DO|FIX"
      "ME|XX"
      "X|HA"
      "CK)\\b");
  std::string found;
  for (const Source& source : sources()) {
    for (size_t i = 0; i < source.lines.size(); ++i) {
      if (std::regex_search(source.lines[i], leftover))
        found += source.path + ":" + std::to_string(i + 1) + "\n";
    }
  }
  EXPECT_EQ(found, "");
}

TEST(House, TheTreeIsRead) {
  std::set<std::string> tops;
  for (const Source& source : sources()) tops.insert(top_of(source.path));
  for (const char* top : {"tensor", "autograd", "ops", "data", "nn", "nas", "apps", "tests"})
    EXPECT_TRUE(tops.count(top)) << top;
  EXPECT_GT(sources().size(), 60u);
}

}  // namespace
}  // namespace enas::house
