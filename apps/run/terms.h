// How an app speaks of itself, of its data and of its figure of merit: what the run machinery fills
// into messages, metric lines and files (docs/interface.md "Run directory").
#pragma once
#include <string>

#include "nas/derive.h"

namespace enas {

struct Terms {
  std::string program;      // "enas_ptb"
  std::string example;      // a value of --data: "builtin:tiny-text"
  std::string items;        // what throughput counts: "tokens"
  std::string batches;      // what a score is made of: "windows"
  std::string data;         // "text"
  std::string key, figure;  // "ppl", "perplexity"
  // Names in a checkpoint: of the epoch's next batch, of the sum of measures.
  std::string position, measured;
  Better better = Better::lower;
  int reward_digits = 2;
  // The figure of a mean over items of what a step measures: exp of a cross-entropy, or itself.
  double (*figure_of)(double mean);
  // For people, with so many digits after the point.
  std::string (*show)(double figure, int digits);

  bool is_better(double a, double b) const { return better == Better::lower ? a < b : a > b; }
};

}  // namespace enas
