#include "apps/run/architecture_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/file.h"
#include "nn/safetensors.h"

namespace enas {
namespace {
constexpr uint64_t kMaxFile = uint64_t{1} << 20;

// Names the first token that is no integer; where even the first is none, the text was meant as
// something else. `file`: from which it was read; empty for a text on the command line.
void check_integers(const std::string& whole, const TextForm& form, const std::string& file) {
  std::string text = whole;
  bool prefixed = false;
  for (const std::string& prefix : form.prefixes) {
    if (whole.rfind(prefix, 0) != 0) continue;
    prefixed = true;
    text = whole.substr(prefix.size());
  }
  const std::string where = file.empty() ? "--arch" : file;
  std::istringstream words(text);
  std::string word;
  for (int number = 1; words >> word; ++number) {
    if (word.find_first_not_of("0123456789") == std::string::npos) continue;
    if (number == 1 && !prefixed) {
      check(file.empty(), ErrorKind::usage, where,
            "holds no architecture; expected a list of integers such as \"", form.example,
            "\", or JSON as arch/best.json of a run has it");
      fail(ErrorKind::usage, where, quote_name(whole),
           " is neither a file nor a list of integers such as \"", form.example,
           "\" nor `published`");
    }
    fail(ErrorKind::usage, where, "token ", number, " ", quote_name(word),
         " is not an integer; expected ", form.words);
  }
}

// One architecture with its score, as best.json holds it.
std::string architecture_json(const Terms& terms, const Search& search, const Candidate& candidate,
                              int64_t rank) {
  JsonLine line;
  line.add("rank", rank)
      .add("arch", search.learner.text(candidate.arch))
      .add("score", candidate.score);
  line.add("metric", "valid_" + terms.key)
      .add("source", candidate.from_controller ? "controller" : "random");
  search.facts(line, candidate.arch);
  line.add("words", search.words(candidate.arch));
  return line.text();
}

}  // namespace

void write_architectures(const std::string& folder, const Terms& terms, const Search& search,
                         std::span<const Candidate> ranked, int64_t top) {
  make_directory(folder);
  std::string list;
  int64_t kept[2] = {0, 0};
  // Under random search nothing comes from a controller: then `best` is the best of all.
  const bool policy = std::any_of(ranked.begin(), ranked.end(),
                                  [](const Candidate& c) { return c.from_controller; });
  for (const Candidate& candidate : ranked) {
    int64_t& of_group = kept[candidate.from_controller ? 0 : 1];
    if (++of_group > top) continue;
    const std::string json = architecture_json(terms, search, candidate, of_group);
    list += (list.empty() ? "[\n  " : ",\n  ") + json;
    if (of_group > 1) continue;
    const bool best = candidate.from_controller || !policy;
    const std::string name = best ? "/best" : "/best-random";
    write_file_atomic(folder + name + ".json", json + "\n");
    if (!best) continue;
    const Drawing drawing = search.draw(candidate.arch);
    write_file_atomic(folder + name + ".txt", search.learner.text(candidate.arch) + "\n");
    write_file_atomic(folder + name + ".svg", to_svg(drawing));
    write_file_atomic(folder + name + ".dot", to_dot(drawing));
  }
  write_file_atomic(folder + "/top.json", list.empty() ? "[]\n" : list + "\n]\n");
}

std::string architecture_text(const std::string& argument, const TextForm& form) {
  if (!exists(argument)) {
    check_integers(argument, form, "");
    return argument;
  }
  const std::string best = argument + "/arch/best.json";
  check(!is_directory(argument), ErrorKind::usage, argument,
        "is a folder; expected a file with an architecture",
        exists(best) ? "; try --arch " + best : "");
  const std::string text = read_file(argument, kMaxFile, real_files(), ErrorKind::usage);
  const size_t first = text.find_first_not_of(" \t\r\n");
  check(first != std::string::npos, ErrorKind::usage, argument,
        "is empty; expected an architecture");
  if (text[first] != '{') {
    check_integers(text.substr(first), form, argument);
    return text;
  }
  const auto json = nlohmann::json::parse(text, nullptr, false);
  check(!json.is_discarded() && json.contains("arch") && json["arch"].is_string(), ErrorKind::usage,
        argument, "is not JSON with a text under \"arch\", as arch/best.json has it");
  const auto space = json.find("space");
  if (space != json.end() && space->is_string() && *space != form.space) {
    const std::string found = *space;
    const bool images = found != "rnn" && form.space != "rnn";  // --space chooses between them
    fail(ErrorKind::usage, argument, "holds an architecture of the ", quote_name(found),
         " space; expected one of the ", form.space, " space",
         images ? ", or --space " + found : std::string());
  }
  return json["arch"].get<std::string>();
}

}  // namespace enas
