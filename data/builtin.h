// builtin:tiny-text: sentences of a small probabilistic grammar, always the same bytes, with known
// entropy. A sentence is  determiner adjective* noun (preposition place)* verb [object] [adverb]
// <eos>.  The verb agrees with the noun in number, one to eight words later, and the object with
// the noun's topic. Each state tells its next words apart, so the words of a sentence determine the
// path, and p(word | all words before) is known exactly.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/check.h"

namespace enas {

// A state of the source and its next words: p(word) = weight / total; states are numbered, 0 begins
// a sentence.
struct TinyTextChoice {
  std::string word;  // "<eos>" ends the sentence
  uint64_t weight;
  int next;
};
struct TinyTextState {
  std::vector<TinyTextChoice> choices;
  uint64_t total;
};

// The grammar; every state is reachable, and the words of one state differ.
const std::vector<TinyTextState>& tiny_text_grammar();

struct TinyText {
  std::string train, valid, test;  // one sentence a line
  // exp(mean -log p) of the source itself over test's tokens, <eos> included.
  double test_perplexity;
};

// About 200,000 / 10,000 / 10,000 tokens, whole sentences.
TinyText tiny_text();

}  // namespace enas
