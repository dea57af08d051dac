// Text corpora: train, valid and test as word ids. One <eos> a line, the last one included; words
// are separated by ASCII white space; the vocabulary is train's words with <eos>, in byte order
// (docs/method.md 1.1, Penn Treebank: 10,000). Words of valid and test that train lacks become
// <unk>, which is inserted if train has none.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/check.h"

namespace enas {

inline constexpr std::string_view kEos = "<eos>";
inline constexpr std::string_view kUnk = "<unk>";

// An id is the index of its word; words are sorted bytewise and differ.
struct Vocabulary {
  std::vector<std::string> words;
  int32_t eos = -1;
  int32_t unk = -1;  // -1 where the corpus has no unknown word

  int64_t size() const { return static_cast<int64_t>(words.size()); }
  std::optional<int32_t> find(std::string_view word) const;
  // The word's id, or unk's; refuses (kind data) an unknown word where there is no unk.
  int32_t id(std::string_view word) const;
  // The words with blanks between, <eos> as a newline.
  std::string text(const std::vector<int32_t>& ids) const;
  // From words in any order; refuses (kind data) an empty or repeated word and a list without
  // <eos>.
  static Vocabulary from_words(std::vector<std::string> words);
};

struct Corpus {
  Vocabulary vocabulary;
  std::vector<int32_t> train, valid, test;
  std::string description;                  // one line: what was recognised, with counts
  uint64_t fingerprint = 0;                 // over words and ids
  std::optional<double> source_perplexity;  // the generator's own on test; only builtin:tiny-text
};

// A folder with ptb.{train,valid,test}.txt, {train,valid,test}.txt, wiki.{train,valid,test}.tokens
// or train, valid, test (or one with such a folder `data`); one UTF-8 file, split 90/5/5 by lines;
// builtin:tiny-text. Kind data, naming file and line, for: missing files, a NUL, invalid UTF-8, a
// line over 1 MiB, a split without words.
Corpus load_corpus(const std::string& path_or_builtin);

// The offset of the first byte that does not belong to well-formed UTF-8 (Unicode 15, table 3-7),
// or bytes.size().
size_t utf8_error(std::string_view bytes);

}  // namespace enas
