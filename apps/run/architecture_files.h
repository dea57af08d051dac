// The files of RUN/arch/, and what --arch accepts: a file (best.json, best.txt) or the text itself.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "apps/run/stages.h"
#include "apps/run/terms.h"

namespace enas {

// best.json, best.txt, best.svg, best.dot, top.json (the first `top` of each group) and
// best-random.json of ranked candidates.
void write_architectures(const std::string& folder, const Terms& terms, const Search& search,
                         std::span<const Candidate> ranked, int64_t top);

// How an app's texts look, for messages.
struct TextForm {
  std::vector<std::string> prefixes;  // "enas1:"
  std::string example;                // "0 2 1 0"
  std::string words;                  // "`previous activation` of each node, e.g. 0 2 1 0"
  std::string space;                  // "rnn": what JSON must name where it names one
};
// The text that the argument of --arch names: of a file, or itself. Refuses (kind usage) what is
// neither; the text itself is checked by the space.
std::string architecture_text(const std::string& argument, const TextForm& form);

}  // namespace enas
