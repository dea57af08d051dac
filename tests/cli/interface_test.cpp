// docs/interface.md, section "Every option", against --help of both programs: no option is missing
// there, none is invented.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "tests/cli/cifar_run.h"
#include "tests/cli/small_run.h"

namespace enas {
namespace {

using Options = std::set<std::string>;

// The words that begin with `--` and stand in backquotes.
Options quoted_options(const std::string& text) {
  Options found;
  for (size_t at = text.find("`--"); at != std::string::npos; at = text.find("`--", at + 1)) {
    found.insert(text.substr(at + 1, text.find('`', at + 1) - at - 1));
  }
  return found;
}

// A row's options for one program: what stands before "ptb:" and "cifar:", and its own part.
Options options_for(const std::string& row, const std::string& app) {
  Options all;
  std::istringstream parts(row);
  for (std::string part; std::getline(parts, part, ';');) {
    const bool of_ptb = part.find("ptb:") != std::string::npos,
               of_cifar = part.find("cifar:") != std::string::npos;
    if ((of_ptb && app != "ptb") || (of_cifar && app != "cifar")) continue;
    all.merge(quoted_options(part));
  }
  all.erase("--X"), all.erase("--train-X");  // placeholders in the row of run
  return all;
}

std::map<std::string, std::string> rows() {
  std::ifstream file(std::string(ENAS_SOURCE_DIR) + "/docs/interface.md");
  std::map<std::string, std::string> found;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("## ", 0) == 0) inside = line == "## Every option";
    if (inside && line.rfind("| `", 0) == 0) found[line.substr(3, line.find('`', 3) - 3)] = line;
  }
  return found;
}

// What --help lists, itself left out; nothing where the program has no such command.
Options helped(const std::string& app, const std::string& command) {
  const TemporaryFolder folder;
  const Arguments arguments = {command, "--help"};
  const Outcome outcome =
      app == "ptb" ? enas_ptb(folder, arguments) : enas_cifar(folder, arguments);
  Options found;
  std::istringstream lines(outcome.code == 0 ? outcome.out : "");
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("  --", 0) == 0) found.insert(line.substr(2, line.find(' ', 2) - 2));
  }
  found.erase("--help");
  return found;
}

TEST(Interface, EveryOptionIsInTheDocument) {
  const std::map<std::string, std::string> table = rows();
  ASSERT_GE(table.size(), 11u);
  for (const std::string app : {"ptb", "cifar"}) {
    for (const auto& [command, row] : table) {
      Options expected = options_for(row, app);
      if (command == "run") {
        expected.merge(options_for(table.at("search"), app));
        for (const std::string& option : helped(app, "train")) {
          const std::string renamed = "--train-" + option.substr(2);
          if (helped(app, "run").count(renamed) > 0) expected.insert(renamed);
        }
        if (helped(app, "run").count("--train-on-all") > 0) expected.insert("--train-on-all");
      }
      EXPECT_EQ(helped(app, command), expected) << app << " " << command;
    }
  }
}

}  // namespace
}  // namespace enas
