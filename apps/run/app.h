// An app in the eyes of the run machinery: its options, its words, and functions that make what the
// stages run. apps/ptb and apps/cifar each fill one App.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "apps/run/options.h"
#include "apps/run/stages.h"
#include "apps/run/terms.h"
#include "tensor/device.h"

namespace enas {

// Of trained weights on a split of the data.
struct Evaluation {
  std::string split, arch;
  double loss = 0, figure = 0;
  int64_t items = 0;
  std::string text;  // one line for people
};
using Evaluator = std::function<Evaluation(const std::string& split)>;

// What an app makes over data that it has loaded. The data live as long as one of these functions,
// and must outlive what they return.
struct Workbench {
  std::string description;  // one line: what was recognised, with counts
  std::vector<std::string> warnings;
  std::vector<std::string> splits = {"valid", "test"};  // that the data have
  uint64_t fingerprint = 0;                             // of the content
  std::function<Search(const Settings&, const std::string& command)> search;
  // `arch`: a text of the space.
  std::function<Training(const Settings&, const std::string& command, const std::string& arch)>
      training;
  // Whether trainings keep and compare what validation says (Training::select).
  std::function<bool(const Settings&)> selects = [](const Settings&) { return true; };
  // model.safetensors rebuilt. Refuses (kind checkpoint) weights of other data or of a search.
  std::function<Evaluator(const std::string& weights, Device)> model;
  // Refuses (kind usage) settings that would fail only once data are at hand.
  std::function<void(const std::string& command, const Settings&)> rehearse;
  std::function<std::string(const std::string& command, const Settings&)> plan;
};

struct App {
  Terms terms;
  Registry registry;
  std::function<Workbench(const std::string& data)> open;
  // The architecture that the argument of --arch names (a file, a text, `published`), as text, and
  // checked.
  std::function<std::string(const std::string& argument, const Settings&)> architecture;
  // Of such a text; metadata: of the weight file where it comes from one, else empty.
  std::function<Drawing(const std::string& arch, const Settings&, const Metadata&)> draw;
  std::function<std::string(const std::string& arch, const Settings&, const Metadata&)> describe;
  // Its own commands: arch, generate, ...
  std::map<std::string, std::function<int(const App&, const Invocation&)>> commands;

  std::string name(const std::string& command) const { return terms.program + " " + command; }
};

}  // namespace enas
