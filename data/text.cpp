// See text.h. A split is read whole, checked line by line, and its words are numbered as they come;
// the vocabulary is then sorted and the provisional numbers are replaced.
#include "data/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "data/builtin.h"
#include "data/file.h"
#include "data/grouped.h"
#include "tensor/fnv.h"

namespace enas {
namespace {

constexpr uint64_t kLargestFile = uint64_t{4} << 30;
constexpr size_t kLongestLine = size_t{1} << 20;
constexpr size_t kLargestVocabulary = size_t{1} << 24;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::array<std::string_view, 3> kSplits = {"train", "valid", "test"};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// A name and its text; the text's first line is line `first_line` of the file.
struct Source {
  std::string name;
  std::string_view text;
  int64_t first_line = 1;
};

void check_line(const Source& source, int64_t number, std::string_view line) {
  const auto where = [&] { return fmt::format("{}:{}", source.name, number); };
  if (line.size() > kLongestLine)
    fail(ErrorKind::data, where(), "line of ", line.size(), " bytes; expected at most ",
         kLongestLine);
  const size_t nul = line.find('\0');
  if (nul != std::string_view::npos)
    fail(ErrorKind::data, where(), "found a NUL at byte ", nul + 1, "; expected UTF-8 text");
  const size_t bad = utf8_error(line);
  if (bad != line.size())
    fail(ErrorKind::data, where(), "found invalid UTF-8 at byte ", bad + 1,
         fmt::format(" (0x{:02x})", static_cast<unsigned char>(line[bad])),
         "; expected UTF-8 text");
}

// Numbers words as they come, over all splits.
class Reader {
 public:
  // The provisional ids of a split.
  std::vector<int32_t> read(const Source& source) {
    std::vector<int32_t> ids;
    const int32_t eos = number_of(kEos);
    bool has_words = false;
    std::string_view rest = source.text;
    for (int64_t number = source.first_line; !rest.empty(); ++number) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      check_line(source, number, line);
      for (size_t i = 0; i < line.size();) {
        size_t end = i;
        while (end < line.size() && !is_space(line[end])) ++end;
        if (end > i) ids.push_back(number_of(line.substr(i, end - i)));
        has_words = has_words || end > i;
        i = end + 1;
      }
      ids.push_back(eos);
      if (words_.size() > kLargestVocabulary)
        fail(ErrorKind::data, fmt::format("{}:{}", source.name, number), "more than ",
             kLargestVocabulary, " different words; expected text split into words");
    }
    if (!has_words)
      fail(ErrorKind::data, source.name, "found an empty split; expected at least one word");
    return ids;
  }
  const std::vector<std::string>& words() const { return words_; }

 private:
  int32_t number_of(std::string_view word) {
    key_.assign(word);
    const auto [entry, inserted] = numbers_.try_emplace(key_, static_cast<int32_t>(words_.size()));
    if (inserted) words_.push_back(key_);
    return entry->second;
  }

  std::unordered_map<std::string, int32_t> numbers_;
  std::vector<std::string> words_;
  std::string key_;  // reused, so that a known word costs no allocation
};

class Fingerprint {
 public:
  void add(std::string_view bytes) {
    for (const char c : bytes) hash_.add(static_cast<unsigned char>(c));
    hash_.add(0);
  }
  void add(const std::vector<int32_t>& ids) {
    number(ids.size());
    for (const int32_t id : ids) number(static_cast<uint64_t>(id), 4);
  }
  uint64_t value() const { return hash_.value(); }

 private:
  void number(uint64_t n, int bytes = 8) {
    for (int i = 0; i < bytes; ++i) hash_.add(static_cast<unsigned char>(n >> (8 * i)));
  }
  Fnv1a hash_;
};

Corpus make_corpus(const std::array<Source, 3>& sources, const std::string& what) {
  Reader reader;
  std::array<std::vector<int32_t>, 3> ids;
  ids[0] = reader.read(sources[0]);
  const size_t known = reader.words().size();  // train's own
  for (size_t i = 1; i < 3; ++i) ids[i] = reader.read(sources[i]);

  std::vector<std::string> words(reader.words().begin(),
                                 reader.words().begin() + static_cast<int64_t>(known));
  const bool has_unknown = reader.words().size() > known;
  if (has_unknown && std::find(words.begin(), words.end(), kUnk) == words.end())
    words.emplace_back(kUnk);
  Corpus corpus;
  corpus.vocabulary = Vocabulary::from_words(std::move(words));
  std::vector<int32_t> final_ids;
  for (const std::string& word : reader.words()) final_ids.push_back(corpus.vocabulary.id(word));
  int64_t unknown = 0;
  for (std::vector<int32_t>& split : ids) {
    for (int32_t& id : split) {
      unknown += static_cast<size_t>(id) >= known;
      id = final_ids[static_cast<size_t>(id)];
    }
  }
  corpus.train = std::move(ids[0]);
  corpus.valid = std::move(ids[1]);
  corpus.test = std::move(ids[2]);

  Fingerprint fingerprint;
  for (const std::string& word : corpus.vocabulary.words) fingerprint.add(word);
  for (const auto* split : {&corpus.train, &corpus.valid, &corpus.test}) fingerprint.add(*split);
  corpus.fingerprint = fingerprint.value();
  const auto count = [](const std::vector<int32_t>& split) {
    return grouped(static_cast<int64_t>(split.size()));
  };
  corpus.description = fmt::format(
      "{}: {} / {} / {} tokens (train / valid / test, one {} a line counted), vocabulary {}", what,
      count(corpus.train), count(corpus.valid), count(corpus.test), kEos,
      grouped(corpus.vocabulary.size()));
  if (unknown > 0)
    corpus.description +=
        fmt::format(", {} tokens of valid and test are not in train: {}", grouped(unknown), kUnk);
  return corpus;
}

std::string read_text(const std::string& path) {
  std::string text = read_file(path, kLargestFile);
  if (text.compare(0, kByteOrderMark.size(), kByteOrderMark) == 0)
    text.erase(0, kByteOrderMark.size());
  return text;
}

// The file names of a folder's three splits are prefix + split + suffix.
struct Layout {
  const char* prefix;
  const char* suffix;
};
constexpr Layout kLayouts[] = {{"ptb.", ".txt"}, {"", ".txt"}, {"wiki.", ".tokens"}, {"", ""}};

Corpus load_folder(const std::string& folder) {
  std::string tried;
  for (const std::string& place : {folder, folder + "/data"}) {
    for (const Layout& layout : kLayouts) {
      const auto name = [&](std::string_view split) {
        return fmt::format("{}{}{}", layout.prefix, split, layout.suffix);
      };
      if (place == folder)
        tried += fmt::format("{}{}", tried.empty() ? "" : ", ", name("{train,valid,test}"));
      const auto path = [&](std::string_view split) { return place + "/" + name(split); };
      const auto is_there = [&](std::string_view split) {
        return exists(path(split)) && !is_directory(path(split));
      };
      if (std::none_of(kSplits.begin(), kSplits.end(), is_there)) continue;
      for (const std::string_view split : kSplits)
        if (!is_there(split))
          fail(ErrorKind::data, path(split), "missing; expected it beside the other two of ",
               name("{train,valid,test}"));
      std::array<std::string, 3> texts;
      std::array<Source, 3> sources;
      for (size_t i = 0; i < 3; ++i) {
        texts[i] = read_text(path(kSplits[i]));
        sources[i] = {path(kSplits[i]), texts[i], 1};
      }
      return make_corpus(sources,
                         fmt::format("text folder {} ({})", place, name("{train,valid,test}")));
    }
  }
  fail(ErrorKind::data, folder, "no text found in this folder or its data/; tried ", tried);
}

// One file: the last 5 % of the lines are test, the 5 % before them valid, at least one line each.
Corpus load_single(const std::string& path) {
  const std::string text = read_text(path);
  const std::string_view all = text;
  const bool gzip = all.substr(0, 2) == "\x1f\x8b", zip = all.substr(0, 4) == "PK\x03\x04";
  check(!gzip && !zip, ErrorKind::data, path, "found a ", gzip ? "gzip" : "zip",
        " archive; expected text: unpack it and name the folder");
  int64_t lines = std::count(text.begin(), text.end(), '\n');
  if (!text.empty() && text.back() != '\n') ++lines;
  check(lines >= 3, ErrorKind::data, path, "found ", lines, " line", lines == 1 ? "" : "s",
        "; expected at least 3, to be split 90/5/5 into train, valid and test");
  const int64_t held_out = std::max<int64_t>(1, lines / 20);
  const int64_t counts[] = {lines - 2 * held_out, held_out, held_out};
  std::array<Source, 3> sources;
  size_t begin = 0;
  int64_t line = 1;
  for (size_t i = 0; i < 3; ++i) {
    size_t end = begin;
    for (int64_t n = 0; n < counts[i]; ++n) end = std::min(all.find('\n', end), all.size() - 1) + 1;
    sources[i] = {fmt::format("{} ({} part)", path, kSplits[i]), all.substr(begin, end - begin),
                  line};
    begin = end;
    line += counts[i];
  }
  return make_corpus(sources, fmt::format("text file {} (split 90/5/5 by lines)", path));
}

Corpus load_builtin(const std::string& name) {
  check(name == "builtin:tiny-text", ErrorKind::data, name,
        "no such built-in text; expected builtin:tiny-text");
  const TinyText text = tiny_text();
  Corpus corpus = make_corpus(
      {Source{name, text.train, 1}, Source{name, text.valid, 1}, Source{name, text.test, 1}},
      name + " (generated)");
  corpus.source_perplexity = text.test_perplexity;
  corpus.description +=
      fmt::format(", the source's own test perplexity {:.4f}", text.test_perplexity);
  return corpus;
}

}  // namespace

std::optional<int32_t> Vocabulary::find(std::string_view word) const {
  const auto place = std::lower_bound(words.begin(), words.end(), word);
  if (place == words.end() || *place != word) return std::nullopt;
  return static_cast<int32_t>(place - words.begin());
}

int32_t Vocabulary::id(std::string_view word) const {
  const std::optional<int32_t> found = find(word);
  if (found) return *found;
  check(unk >= 0, ErrorKind::data, word, "not in the vocabulary of ", words.size(),
        " words, which has no ", kUnk);
  return unk;
}

std::string Vocabulary::text(const std::vector<int32_t>& ids) const {
  std::string line;
  for (const int32_t id : ids) {
    check(id >= 0 && id < size(), "vocabulary", "id ", id, "; expected 0..", size() - 1);
    if (!line.empty() && line.back() != '\n' && id != eos) line += ' ';
    line += id == eos ? "\n" : words[static_cast<size_t>(id)];
  }
  return line;
}

Vocabulary Vocabulary::from_words(std::vector<std::string> words) {
  Vocabulary vocabulary;
  std::sort(words.begin(), words.end());
  const auto twice = std::adjacent_find(words.begin(), words.end());
  if (twice != words.end())
    fail(ErrorKind::data, "vocabulary", "the word \"", *twice, "\" stands there twice");
  check(words.empty() || !words.front().empty(), ErrorKind::data, "vocabulary",
        "found an empty word");
  vocabulary.words = std::move(words);
  vocabulary.eos = vocabulary.find(kEos).value_or(-1);
  vocabulary.unk = vocabulary.find(kUnk).value_or(-1);
  check(vocabulary.eos >= 0, ErrorKind::data, "vocabulary", "has no ", kEos);
  return vocabulary;
}

Corpus load_corpus(const std::string& path_or_builtin) {
  if (path_or_builtin.compare(0, 8, "builtin:") == 0) return load_builtin(path_or_builtin);
  if (is_directory(path_or_builtin)) return load_folder(path_or_builtin);
  check(exists(path_or_builtin), ErrorKind::data, path_or_builtin,
        "no such file or folder; expected a folder with train, valid and test text, one UTF-8 text "
        "file, or builtin:tiny-text");
  return load_single(path_or_builtin);
}

// Lead byte -> number of continuation bytes and the range of the first one; the others are 80..BF.
size_t utf8_error(std::string_view bytes) {
  size_t i = 0;
  while (i < bytes.size()) {
    const auto at = [&](size_t k) { return static_cast<unsigned char>(bytes[k]); };
    const unsigned lead = at(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    if (lead < 0xC2 || lead > 0xF4) return i;
    const size_t more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;  // no longer form
    const unsigned high = lead == 0xED   ? 0x9F
                          : lead == 0xF4 ? 0x8F
                                         : 0xBF;  // no surrogate, <= 10FFFF
    if (bytes.size() - i <= more) return i;
    if (at(i + 1) < low || at(i + 1) > high) return i;
    for (size_t k = 2; k <= more; ++k)
      if ((at(i + k) & 0xC0) != 0x80) return i;
    i += more + 1;
  }
  return i;
}

}  // namespace enas
