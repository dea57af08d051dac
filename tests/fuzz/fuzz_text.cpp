// Target: one text file as a corpus, and its words as a vocabulary. What loads has ids in range,
// one word at least in each split, and a vocabulary that finds each of its words.
#include <algorithm>

#include "data/text.h"
#include "tests/fuzz/fuzz.h"

namespace enas {
namespace {

void check_corpus(const Corpus& corpus) {
  const Vocabulary& vocabulary = corpus.vocabulary;
  require(std::is_sorted(vocabulary.words.begin(), vocabulary.words.end()), "words are sorted");
  for (size_t i = 0; i < vocabulary.words.size(); ++i) {
    require(vocabulary.find(vocabulary.words[i]) == static_cast<int32_t>(i), "a word is found");
    require(utf8_error(vocabulary.words[i]) == vocabulary.words[i].size(), "a word is UTF-8");
  }
  for (const auto* split : {&corpus.train, &corpus.valid, &corpus.test}) {
    require(!split->empty() && split->back() == vocabulary.eos, "a split ends with <eos>");
    for (const int32_t id : *split) require(id >= 0 && id < vocabulary.size(), "an id is in range");
    const std::string text = vocabulary.text(*split);
    require(!text.empty() && text.back() == '\n', "a split's text ends with a newline");
  }
}

void check_vocabulary(std::string_view bytes) {
  std::vector<std::string> words;
  for (std::string_view rest = bytes; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    words.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(rest.size(), end + 1));
  }
  Vocabulary vocabulary;
  if (!accepts(ErrorKind::data, [&] { vocabulary = Vocabulary::from_words(words); })) return;
  require(vocabulary.size() == static_cast<int64_t>(words.size()), "no word is lost");
  for (const std::string& word : words)
    require(vocabulary.find(word).has_value(), "a word is found");
  accepts(ErrorKind::data, [&] { vocabulary.id("a word that is not there"); });
}

}  // namespace
}  // namespace enas

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enas;
  static MemoryFile file;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  file.set(bytes);
  Corpus corpus;
  if (accepts(ErrorKind::data, [&] { corpus = load_corpus(file.path()); })) check_corpus(corpus);
  check_vocabulary(bytes);
  return 0;
}
