// builtin:tiny-text: the grammar is a distribution whose path the words determine, so its
// probabilities are exact; the text is always the same; and it needs memory: a bigram model stays
// far above the source's perplexity.
#include "data/builtin.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "data/text.h"

namespace enas {
namespace {

TEST(TinyText, WordsOfAStateDifferAndEveryStateIsReached) {
  const auto& grammar = tiny_text_grammar();
  std::set<int> reached = {0};
  for (const TinyTextState& state : grammar) {
    std::set<std::string> words;
    uint64_t total = 0;
    for (const TinyTextChoice& choice : state.choices) {
      EXPECT_TRUE(words.insert(choice.word).second) << choice.word;
      EXPECT_EQ(choice.word == kEos, choice.next == 0);
      EXPECT_GT(choice.weight, 0u);
      total += choice.weight;
      reached.insert(choice.next);
    }
    EXPECT_EQ(total, state.total);
    EXPECT_LT(state.total, uint64_t{1} << 32);  // times 32 random bits stays in 64
  }
  EXPECT_EQ(reached.size(), grammar.size());
}

// Scores test's tokens by following the grammar, independently of the generator.
TEST(TinyText, SourcePerplexityIsThatOfTheGrammarOnTheTestTokens) {
  const Corpus corpus = load_corpus("builtin:tiny-text");
  const auto& grammar = tiny_text_grammar();
  double nll = 0;
  int state = 0;
  for (const int32_t token : corpus.test) {
    const std::string& word = corpus.vocabulary.words[static_cast<size_t>(token)];
    const TinyTextState& here = grammar[static_cast<size_t>(state)];
    int next = -1;
    for (const TinyTextChoice& choice : here.choices) {
      if (choice.word != word) continue;
      nll -= std::log(static_cast<double>(choice.weight) / static_cast<double>(here.total));
      next = choice.next;
    }
    ASSERT_GE(next, 0) << word << " cannot follow";
    state = next;
  }
  EXPECT_EQ(state, 0);
  const double perplexity = std::exp(nll / static_cast<double>(corpus.test.size()));
  ASSERT_TRUE(corpus.source_perplexity.has_value());
  EXPECT_NEAR(*corpus.source_perplexity, perplexity, 1e-9);
  EXPECT_GT(perplexity, 8);
  EXPECT_LT(perplexity, 20);
}

// The frequencies of the generated first words are those of state 0, within 4.5 standard errors.
TEST(TinyText, FrequenciesAreTheProbabilities) {
  const Corpus corpus = load_corpus("builtin:tiny-text");
  std::map<int32_t, double> seen;
  double sentences = 0;
  int32_t before = corpus.vocabulary.eos;
  for (const int32_t token : corpus.train) {
    if (before == corpus.vocabulary.eos) {
      ++seen[token];
      ++sentences;
    }
    before = token;
  }
  const TinyTextState& start = tiny_text_grammar()[0];
  for (const TinyTextChoice& choice : start.choices) {
    const double p = static_cast<double>(choice.weight) / static_cast<double>(start.total);
    EXPECT_NEAR(seen[corpus.vocabulary.id(choice.word)] / sentences, p,
                4.5 * std::sqrt(p * (1 - p) / sentences));
  }
}

TEST(TinyText, SizesAndBytesAreFixed) {
  const Corpus corpus = load_corpus("builtin:tiny-text");
  EXPECT_EQ(corpus.train.size(), 200001u);
  EXPECT_EQ(corpus.valid.size(), 10004u);
  EXPECT_EQ(corpus.test.size(), 10006u);
  EXPECT_EQ(corpus.vocabulary.size(), 127);
  EXPECT_EQ(corpus.fingerprint, 0x3d77ae2fdcd9a0d6u);
  EXPECT_EQ(corpus.vocabulary.unk, -1);
  EXPECT_NE(corpus.description.find("8.9380"), std::string::npos) << corpus.description;
}

// Bigrams counted on train, add-0.1: without memory of the subject the source is out of reach.
TEST(TinyText, ABigramModelIsFarAboveTheSource) {
  const Corpus corpus = load_corpus("builtin:tiny-text");
  const auto words = static_cast<size_t>(corpus.vocabulary.size());
  std::vector<double> pairs(words * words, 0.1), contexts(words, 0.1 * static_cast<double>(words));
  auto before = static_cast<size_t>(corpus.vocabulary.eos);
  for (const int32_t token : corpus.train) {
    ++pairs[before * words + static_cast<size_t>(token)];
    ++contexts[before];
    before = static_cast<size_t>(token);
  }
  double nll = 0;
  before = static_cast<size_t>(corpus.vocabulary.eos);
  for (const int32_t token : corpus.test) {
    nll -= std::log(pairs[before * words + static_cast<size_t>(token)] / contexts[before]);
    before = static_cast<size_t>(token);
  }
  const double perplexity = std::exp(nll / static_cast<double>(corpus.test.size()));
  EXPECT_GT(perplexity, 1.15 * *corpus.source_perplexity);
  EXPECT_LT(perplexity, 1.30 * *corpus.source_perplexity);
}

}  // namespace
}  // namespace enas
