// Corpora: every recognised layout, the rules for <eos> and <unk>, every invalid input with file,
// line and kind. Where ENAS_PTB names the folder, the Penn Treebank's published counts.
#include "data/text.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "data/file.h"
#include "tests/temporary_folder.h"

namespace enas {
namespace {

// The message of the data error that load_corpus must throw.
std::string refusal(const std::string& path) {
  try {
    load_corpus(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    return error.what();
  }
  ADD_FAILURE() << path << " was accepted";
  return "";
}

void expect_parts(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(Text, PennTreebankFolderCountsEosSortsAndMapsUnknownWords) {
  const TemporaryFolder folder;
  folder.write("ptb.train.txt", " the <unk> N of b \n a b\n");
  folder.write("ptb.valid.txt", " a zebra \n");
  folder.write("ptb.test.txt", "b");  // no newline at the end: an <eos> all the same
  folder.write("ptb.char.train.txt", " t h e _ x \n");  // beside it in the official archive
  const Corpus corpus = load_corpus(folder.path());
  EXPECT_EQ(corpus.vocabulary.words,
            (std::vector<std::string>{"<eos>", "<unk>", "N", "a", "b", "of", "the"}));
  EXPECT_EQ(corpus.vocabulary.eos, 0);
  EXPECT_EQ(corpus.vocabulary.unk, 1);
  EXPECT_EQ(corpus.train, (std::vector<int32_t>{6, 1, 2, 5, 4, 0, 3, 4, 0}));
  EXPECT_EQ(corpus.valid, (std::vector<int32_t>{3, 1, 0}));
  EXPECT_EQ(corpus.test, (std::vector<int32_t>{4, 0}));
  EXPECT_FALSE(corpus.source_perplexity.has_value());
  expect_parts(corpus.description, {folder.path(), "ptb.{train,valid,test}.txt", "9 / 3 / 2 tokens",
                                    "vocabulary 7", "1 tokens of valid and test"});
  EXPECT_EQ(corpus.vocabulary.text(corpus.train), "the <unk> N of b\na b\n");
  EXPECT_EQ(corpus.vocabulary.id("zebra"), 1);
  EXPECT_FALSE(corpus.vocabulary.find("zebra").has_value());
}

TEST(Text, UnkIsInsertedOnlyWhereNeeded) {
  const TemporaryFolder folder;
  folder.write("train.txt", "b a\n");
  folder.write("valid.txt", "a\n");
  folder.write("test.txt", "b\n");
  EXPECT_EQ(load_corpus(folder.path()).vocabulary.words,
            (std::vector<std::string>{"<eos>", "a", "b"}));
  EXPECT_EQ(load_corpus(folder.path()).vocabulary.unk, -1);
  folder.write("test.txt", "c\n");
  const Corpus corpus = load_corpus(folder.path());
  EXPECT_EQ(corpus.vocabulary.words, (std::vector<std::string>{"<eos>", "<unk>", "a", "b"}));
  EXPECT_EQ(corpus.test, (std::vector<int32_t>{1, 0}));
  EXPECT_EQ(corpus.train, (std::vector<int32_t>{3, 2, 0}));
}

TEST(Text, EveryLayoutIsFoundAlsoInAFolderNamedData) {
  const std::pair<const char*, const char*> layouts[] = {
      {"ptb.", ".txt"}, {"", ".txt"}, {"wiki.", ".tokens"}, {"", ""}};
  for (const auto& layout : layouts) {
    for (const char* inner : {"", "data/"}) {
      const TemporaryFolder folder;
      make_directory(folder / "data");
      for (const char* split : {"train", "valid", "test"})
        folder.write(std::string(inner) + layout.first + split + layout.second, "a b\n");
      EXPECT_EQ(load_corpus(folder.path()).train.size(), 3u) << layout.first << layout.second;
    }
  }
}

TEST(Text, WindowsLineEndsByteOrderMarkAndEmptyLines) {
  const TemporaryFolder folder;
  folder.write("train.txt",
               "\xEF\xBB\xBF"
               "a\tb\r\n \r\n= h\xC3\xA9 =\r\n");
  folder.write("valid.txt", "a\n");
  folder.write("test.txt", "a\n");
  const Corpus corpus = load_corpus(folder.path());
  EXPECT_EQ(corpus.vocabulary.words,
            (std::vector<std::string>{"<eos>", "=", "a", "b", "h\xC3\xA9"}));
  EXPECT_EQ(corpus.train, (std::vector<int32_t>{2, 3, 0, 0, 1, 4, 1, 0}));
}

TEST(Text, OneFileIsSplitByLines) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 40; ++i) text += i < 36 ? "w\n" : i < 38 ? "w w\n" : "w w w\n";
  folder.write("book", text);
  const Corpus corpus = load_corpus(folder / "book");
  EXPECT_EQ(corpus.train.size(), 72u);
  EXPECT_EQ(corpus.valid.size(), 6u);
  EXPECT_EQ(corpus.test.size(), 8u);
  folder.write("three", "a\nb\nc d");
  EXPECT_EQ(load_corpus(folder / "three").test.size(), 3u);
  folder.write("two", "a\nb\n");
  expect_parts(refusal(folder / "two"), {folder / "two", "found 2 lines", "at least 3"});
  folder.write("empty", "");
  expect_parts(refusal(folder / "empty"), {"found 0 lines"});
}

TEST(Text, InvalidTextNamesFileLineFoundAndExpected) {
  const TemporaryFolder folder;
  const std::string train = folder / "train.txt";
  folder.write("valid.txt", "a\n");
  folder.write("test.txt", "a\n");
  folder.write("train.txt", std::string("a\nb \0 c\n", 8));
  expect_parts(refusal(folder.path()), {train + ":2", "NUL at byte 3", "expected UTF-8"});
  folder.write("train.txt", "a\nb\ncaf\xE9\n");
  expect_parts(refusal(folder.path()), {train + ":3", "invalid UTF-8 at byte 4 (0xe9)"});
  const std::string longest(1 << 20, 'x');
  folder.write("train.txt", "a\n" + longest + "\n");
  EXPECT_EQ(load_corpus(folder.path()).vocabulary.size(), 3);
  folder.write("train.txt", "a\n" + longest + "x\n");
  expect_parts(refusal(folder.path()), {train + ":2", "1048577 bytes", "at most 1048576"});
  folder.write("train.txt", "");
  expect_parts(refusal(folder.path()), {train, "empty split", "at least one word"});
  folder.write("train.txt", "a\n");
  folder.write("valid.txt", "\n \n");
  expect_parts(refusal(folder.path()), {folder / "valid.txt", "empty split"});
}

TEST(Text, SingleFileErrorsCountLinesFromItsBeginning) {
  const TemporaryFolder folder;
  folder.write("book", "a\nb\nc\xFF\n");
  expect_parts(refusal(folder / "book"), {"(test part):3", "0xff"});
}

TEST(Text, MissingInputSaysWhatWasTried) {
  const TemporaryFolder folder;
  expect_parts(refusal(folder.path()),
               {folder.path(), "ptb.{train,valid,test}.txt", "{train,valid,test}.txt",
                "wiki.{train,valid,test}.tokens"});
  folder.write("ptb.train.txt", "a\n");
  folder.write("ptb.test.txt", "a\n");
  expect_parts(refusal(folder.path()), {folder / "ptb.valid.txt", "missing"});
  expect_parts(refusal(folder / "none"), {folder / "none", "expected a folder"});
  expect_parts(refusal("builtin:nothing"), {"builtin:nothing", "builtin:tiny-text"});
  folder.write("a.tgz", "\x1f\x8b\x08 packed\n\n\n");
  expect_parts(refusal(folder / "a.tgz"), {"gzip archive", "unpack"});
}

TEST(Text, FingerprintSeesWordsIdsAndSplits) {
  const TemporaryFolder folder;
  const auto fingerprint = [&](const char* train, const char* valid, const char* test) {
    folder.write("train.txt", train);
    folder.write("valid.txt", valid);
    folder.write("test.txt", test);
    return load_corpus(folder.path()).fingerprint;
  };
  const uint64_t first = fingerprint("a b\n", "a\n", "b\n");
  EXPECT_EQ(fingerprint(" a  b\r\n", "a\n", "b\n"), first);
  EXPECT_NE(fingerprint("a c\n", "a\n", "c\n"), first);     // a word
  EXPECT_NE(fingerprint("b a\n", "a\n", "b\n"), first);     // the order
  EXPECT_NE(fingerprint("a b\na\n", "b\n", "b\n"), first);  // another token
  EXPECT_NE(fingerprint("a b\n", "a\nb\n", "b\n"), fingerprint("a b\n", "a\n", "b\nb\n"));
}

TEST(Text, VocabularyRefusesListsThatAreNone) {
  EXPECT_EQ(Vocabulary::from_words({"b", "<eos>", "a"}).words,
            (std::vector<std::string>{"<eos>", "a", "b"}));
  EXPECT_THROW(Vocabulary::from_words({"a"}), Error);
  EXPECT_THROW(Vocabulary::from_words({"a", "<eos>", "a"}), Error);
  EXPECT_THROW(Vocabulary::from_words({"", "<eos>"}), Error);
  EXPECT_THROW(Vocabulary::from_words({"<eos>"}).id("a"), Error);
  EXPECT_THROW(Vocabulary::from_words({"<eos>"}).text({1}), Error);
}

// Every scalar value is accepted as encoded by the definition; every other sequence up to 3 bytes
// is refused.
TEST(Text, Utf8AgreesWithTheDefinition) {
  const auto encode = [](uint32_t c) {
    const auto tail = [&](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
    if (c < 0x80) return std::string{static_cast<char>(c)};
    if (c < 0x800) return std::string{static_cast<char>(0xC0 | c >> 6), tail(0)};
    if (c < 0x10000) return std::string{static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)};
    return std::string{static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
  };
  for (uint32_t c = 0; c < 0x110000; ++c) {
    const std::string bytes = encode(c);
    const bool surrogate = c >= 0xD800 && c < 0xE000;
    ASSERT_EQ(utf8_error(bytes), surrogate ? 0u : bytes.size()) << c;
  }
  ASSERT_EQ(utf8_error(encode(0x110000)), 0u);
  int64_t accepted = 0;  // three bytes: ASCII^3, ASCII with a 2-byte, 2-byte with ASCII, one of 3
  for (uint32_t n = 0; n < (1u << 24); ++n) {
    const char bytes[] = {static_cast<char>(n >> 16), static_cast<char>(n >> 8),
                          static_cast<char>(n)};
    accepted += utf8_error({bytes, 3}) == 3;
  }
  EXPECT_EQ(accepted, 128 * 128 * 128 + 2 * 128 * (0x800 - 0x80) + (0x10000 - 0x800 - 0x800));
  for (const char* bad :
       {"\xF4\x90\x80\x80", "\xF0\x8F\xBF\xBF", "\xF5\x80\x80\x80", "\xF0\x9F\x98"})
    EXPECT_EQ(utf8_error(std::string("ab") + bad), 2u);
}

TEST(Text, PennTreebankCounts) {
  const char* folder = std::getenv("ENAS_PTB");
  if (folder == nullptr) GTEST_SKIP() << "ENAS_PTB does not name the folder of the Penn Treebank";
  const Corpus corpus = load_corpus(folder);
  EXPECT_EQ(corpus.train.size(), 929589u);
  EXPECT_EQ(corpus.valid.size(), 73760u);
  EXPECT_EQ(corpus.test.size(), 82430u);
  EXPECT_EQ(corpus.vocabulary.size(), 10000);
}

}  // namespace
}  // namespace enas
