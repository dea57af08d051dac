// No function is longer than 60 lines, unless its file says why at its top. Found by braces alone:
// a body is what opens outside every other body after text with a parenthesis that is no
// declaration of a type.
#include <gtest/gtest.h>

#include <regex>

#include "tests/house/house.h"

namespace enas::house {
namespace {

constexpr size_t kMostLines = 60;

// The source with comments, preprocessor lines and the insides of literals blanked; line breaks
// stay.
std::string code_of(const Source& source) {
  std::string text;
  bool continued = false;  // of a preprocessor line
  for (const std::string& line : source.lines) {
    const size_t first = line.find_first_not_of(" \t");
    const bool directive = continued || (first != std::string::npos && line[first] == '#');
    continued = directive && !line.empty() && line.back() == '\\';
    text += (directive ? "" : line) + "\n";
  }
  const auto blank = [&](size_t from, size_t to) {
    for (size_t i = from; i < std::min(to, text.size()); ++i)
      if (text[i] != '\n') text[i] = ' ';
  };
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    size_t end = i;
    if (text.compare(i, 2, "//") == 0) {
      end = text.find('\n', i);
    } else if (text.compare(i, 2, "/*") == 0) {
      end = text.find("*/", i + 2) + 2;
    } else if (text.compare(i, 2, "R\"") == 0) {
      const size_t open = text.find('(', i);
      const std::string close = ")" + text.substr(i + 2, open - i - 2) + "\"";
      end = text.find(close, open) + close.size();
    } else if (text[i] == '"' || (text[i] == '\'' && (i == 0 || !std::isalnum(text[i - 1])))) {
      for (end = i + 1; end < text.size() && text[end] != text[i]; ++end) end += text[end] == '\\';
      ++end;
    } else {
      continue;
    }
    blank(i, end);
    i = std::min(end, text.size()) - 1;
  }
  return text;
}

struct Function {
  std::string head;
  size_t line = 0, lines = 0;  // where it opens, from 1; how many it has
};

std::vector<Function> functions_of(const Source& source) {
  static const std::regex type(R"(^\s*(template\s*<.*>\s*)?(namespace|struct|class|enum|union)\b)");
  const std::string text = code_of(source);
  std::vector<Function> found;
  size_t depth = 0, head = 0, line = 1, head_line = 1;
  size_t body = 0;  // the depth of the body that is open; 0: none
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    line += c == '\n';
    if (c == '{') {
      ++depth;
      const std::string before = text.substr(head, i - head);
      const size_t last = before.find_last_not_of(" \n");
      const bool value =
          last != std::string::npos && std::string("=(,").find(before[last]) != std::string::npos;
      if (body == 0 && before.find('(') != std::string::npos && !value &&
          !std::regex_search(before, type)) {
        body = depth;
        found.push_back({before, head_line, 0});
      }
    } else if (c == '}') {
      if (depth == body && body > 0) {
        found.back().lines = line - found.back().line + 1;
        body = 0;
      }
      depth -= depth > 0;
    }
    if (c == '{' || c == '}' || c == ';') head = i + 1;
    if (text.find_first_not_of(" \n", head) >= i) head_line = line;
  }
  return found;
}

TEST(House, FunctionsAreShortOrTheirFilesSayWhy) {
  std::string long_ones;
  size_t count = 0;
  for (const Source& source : sources()) {
    for (const Function& function : functions_of(source)) {
      ++count;
      if (function.lines <= kMostLines || says_why_long(source)) continue;
      long_ones += source.path + ":" + std::to_string(function.line) + ": " +
                   std::to_string(function.lines) + " lines\n";
    }
  }
  EXPECT_EQ(long_ones, "") << "at most " << kMostLines;
  EXPECT_GT(count, 1500u);
}

// The scanner finds what it is for.
TEST(House, LengthsAreCounted) {
  const auto lengths = [](std::vector<std::string> lines) {
    std::vector<std::pair<size_t, size_t>> list;
    for (const Function& f : functions_of({"x.cpp", std::move(lines)}))
      list.emplace_back(f.line, f.lines);
    return list;
  };
  using List = std::vector<std::pair<size_t, size_t>>;
  EXPECT_EQ(lengths({"namespace a {", "", "int f(int x,", "      int y) {", "  if (x) { y(); }",
                     "  return x;", "}", "void g() {}", "}"}),
            (List{{3, 5}, {8, 1}}));
  EXPECT_EQ(lengths({"struct S {", "  int f() const {", "    return 1;", "  }",
                     "  int x[2] = {1, 2};", "};"}),
            (List{{2, 3}}));
  EXPECT_EQ(lengths({"void f() {", "  // }", "  g(\"}\", '}', R\"(})\");", "  /* }", "  */", "}"}),
            (List{{1, 6}}));
  EXPECT_EQ(
      lengths({"#define M(x) { \\", "  {", "TEST(A, B) {", "  const auto l = [] {", "  };", "}"}),
      (List{{3, 4}}));
  EXPECT_EQ(lengths({"const int x = f({", "  1});", "template <class T>", "struct S {", "};"}),
            List{});
}

}  // namespace
}  // namespace enas::house
