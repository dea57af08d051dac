// The pickle machine: what each opcode leaves, and that hostile and damaged files are refused with
// their place, without a call and without memory.
#include "data/pickle.h"

#include <gtest/gtest.h>

#include "tests/data/pickle_writer.h"

namespace enas {
namespace {

using Kind = Pickle::Kind;
using namespace std::string_literals;

std::string refusal(const std::string& bytes) {
  try {
    const Pickle pickle(bytes, "file");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_EQ(std::string(error.what()).rfind("file: ", 0), 0u) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "accepted";
  return "";
}

void expect_refusal(const std::string& bytes, const std::string& part) {
  const std::string message = refusal(bytes);
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

// A pickle of protocol 2 that the text follows.
std::string pickled(const std::string& text) { return "\x80\x02" + text + "."; }

int64_t number_of(const std::string& text) {
  const std::string bytes = pickled(text);
  return Pickle(bytes, "file").root().number;
}

std::string text_of(const std::string& text) {
  const std::string bytes = pickled(text);
  const Pickle pickle(bytes, "file");
  EXPECT_EQ(pickle.root().kind, Kind::text);
  return std::string(pickle.root().text);
}

TEST(Pickle, Integers) {
  EXPECT_EQ(number_of("K\xff"), 255);
  EXPECT_EQ(number_of("M\x01\xff"), 0xff01);
  EXPECT_EQ(number_of("J\xfe\xff\xff\xff"), -2);
  EXPECT_EQ(number_of("J\x01\x02\x03\x04"), 0x04030201);
  EXPECT_EQ(number_of("\x8a\x00"s), 0);
  EXPECT_EQ(number_of("\x8a\x01\x80"), -128);
  EXPECT_EQ(number_of("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"), INT64_MAX);
  EXPECT_EQ(number_of("\x88"), 1);
  EXPECT_EQ(number_of("\x89"), 0);
  expect_refusal(pickled("\x8a\x09"s + std::string(9, 'x')), "integer of 9 bytes");
}

TEST(Pickle, Strings) {
  for (const char* opcode : {"U", "C", "\x8c"}) EXPECT_EQ(text_of(opcode + "\x03"s + "abc"), "abc");
  for (const char* opcode : {"T", "B", "X"})
    EXPECT_EQ(text_of(opcode + little_endian(3, 4) + "abc"), "abc");
  for (const char* opcode : {"\x8d", "\x8e"})
    EXPECT_EQ(text_of(opcode + little_endian(3, 8) + "abc"), "abc");
}

TEST(Pickle, ContainersAndMemo) {
  const std::string bytes = pickled("}q\x00(U\x01"s + "aK\x01U\x01" + "b]q\x01(K\x02K\x03" +
                                    "eK\x04" + "aU\x01" + "ch\x01U\x01" + "d)u");
  const Pickle pickle(bytes, "file");
  const Pickle::Value& root = pickle.root();
  ASSERT_EQ(root.kind, Kind::dict);
  EXPECT_EQ(pickle.find(root, "a")->number, 1);
  const Pickle::Value* list = pickle.find(root, "b");
  ASSERT_EQ(list->items.size(), 3u);
  EXPECT_EQ(pickle[list->items[2]].number, 4);
  EXPECT_EQ(pickle.find(root, "c"), list);
  EXPECT_EQ(pickle.find(root, "d")->kind, Kind::tuple);
  EXPECT_EQ(pickle.find(root, "e"), nullptr);
}

TEST(Pickle, TuplesItemsAndTheLastOfEqualKeys) {
  const std::string bytes = pickled("}U\x01"s + "aK\x01K\x02K\x03\x87sU\x01" + "aK\x05K\x06\x86s");
  const Pickle pickle(bytes, "file");
  const Pickle::Value* pair = pickle.find(pickle.root(), "a");
  ASSERT_EQ(pair->items.size(), 2u);
  EXPECT_EQ(pickle[pair->items[0]].number, 5);
}

TEST(Pickle, AListMayHoldItselfWithoutHarm) {
  const std::string bytes = pickled("]q\x01h\x01" + "a"s);
  const Pickle pickle(bytes, "file");
  EXPECT_EQ(&pickle[pickle.root().items[0]], &pickle.root());
}

TEST(Pickle, ObjectsRememberAndDoNothing) {
  for (const int protocol : {2, 4}) {
    PickleWriter writer(protocol);
    writer.global("numpy", "dtype").key("u1").raw("\x85R").integer(7).raw("b.");
    const std::string bytes = writer.text();
    const Pickle pickle(bytes, "file");
    const Pickle::Value& root = pickle.root();
    ASSERT_EQ(root.kind, Kind::object);
    ASSERT_EQ(root.items.size(), 3u);
    EXPECT_TRUE(pickle.is_global(root.items[0], PickleGlobal::dtype));
    EXPECT_FALSE(pickle.is_global(root.items[0], PickleGlobal::ndarray));
    EXPECT_EQ(pickle[pickle[root.items[1]].items[0]].text, "u1");
    EXPECT_EQ(pickle[root.items[2]].number, 7);
  }
}

// What public examples of hostile pickles do.
TEST(Pickle, HostilePicklesAreRefusedByName) {
  expect_refusal(pickled("cposix\nsystem\nU\x04" + "true\x85R"s), "the name posix.system");
  expect_refusal(pickled("cbuiltins\neval\nU\x01" + "1\x85R"s), "builtins.eval");
  expect_refusal("\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.", "os.system");
  expect_refusal(pickled("cnumpy\nload\n"), "numpy.load");
  expect_refusal(pickled("c\x1b[2J\nsystem\n"), "\\x1b[2J.system");
  expect_refusal(pickled("(ios\nsystem\n"), "opcode 0x69");  // INST
  expect_refusal(pickled("U\x01" + "xQ"s), "opcode 0x51");   // BINPERSID
  expect_refusal(pickled(")\x81"), "opcode 0x81");           // NEWOBJ
  expect_refusal(pickled("\x82\x01"), "opcode 0x82");        // EXT1
  expect_refusal(pickled("\x97"), "opcode 0x97");            // NEXT_BUFFER
  expect_refusal("cos\nsystem\n(S'id'\ntR.", "no pickle of protocol 2, 3 or 4");
}

TEST(Pickle, MalformedPicklesAreRefused) {
  expect_refusal("\x80\x05.", "protocol 5");
  expect_refusal("\x80\x01.", "protocol 1");
  expect_refusal("", "no pickle");
  expect_refusal(pickled("K\x01" + "K\x02"s), "left over");
  expect_refusal(pickled("(K\x01"), "left over");
  expect_refusal(pickled("K\x01(0a"s), "opcode 0x30");
  expect_refusal(pickled("]K\x01(a"), "too few values");
  expect_refusal(pickled("N") + "junk", "4 bytes after");
  expect_refusal(pickled("a"), "too few values");
  expect_refusal(pickled("e"), "no mark");
  expect_refusal(pickled("NK\x01" + "a"s), "no list or dict");
  expect_refusal(pickled("}(K\x01u"), "key without a value");
  expect_refusal(pickled("h\x07"), "memo 7");
  expect_refusal(pickled("NN\x93"), "no text");
  expect_refusal(pickled("N)R"), "no name and arguments");
  expect_refusal(pickled("cnumpy\ndtype\n)RN" + "bNb"s), "no new object");
  expect_refusal(pickled("NNb"), "no new object");
  expect_refusal(pickled("c" + std::string(300, 'x')), "no end of a name");
  expect_refusal("\x80\x04\x95" + little_endian(1000, 8) + "N.", "frame of 1000 bytes with 2 left");
}

TEST(Pickle, LengthsBeyondTheFileAreRefusedBeforeAnyMemoryIsTaken) {
  for (const char* opcode : {"T", "B", "X"})
    expect_refusal(pickled(opcode + little_endian(0xfffffff0, 4) + "abc"), "cut short");
  for (const char* opcode : {"\x8d", "\x8e"})
    expect_refusal(pickled(opcode + little_endian(~uint64_t{0}, 8) + "abc"), "cut short");
  const std::string whole = cifar_pickle(2, {3, 1}, {2, 3072, std::string(2 * size_t{3072}, 'p')});
  for (size_t size = 0; size < whole.size(); size += size < 200 ? 1 : 97)
    refusal(whole.substr(0, size));
}

TEST(Pickle, TheNumberOfOpcodesIsBounded) {
  expect_refusal(pickled(std::string(300000, ']')), "more than 250000 opcodes");
}

}  // namespace
}  // namespace enas
