// Safetensors: bytes of a file written by hand, round trips of every dtype, and a table of hostile
// headers, each refused with a text that names what is wrong.
#include "nn/safetensors.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/temporary_folder.h"

namespace enas {
namespace {

// length, JSON as given, data
std::string file_of(const std::string& json, const std::string& data = "") {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(json.size() >> (8 * i) & 0xff);
  return bytes + json + data;
}

// The refusal's text, "" where the file is taken.
std::string refusal(const std::string& bytes) {
  try {
    copy_tensors(parse_safetensors_header(bytes, "some.safetensors"), bytes);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::checkpoint) << error.what();
    return error.what();
  }
  return "";
}

std::string_view bytes_of(const Tensor& t) {
  return {static_cast<const char*>(t.raw()), t.bytes()};
}

TEST(Safetensors, BytesAreTheOnesWrittenByHand) {
  const TemporaryFolder folder;
  TensorFile file;
  file.metadata["note"] = "a \"b\"\n";
  file.tensors["w"] = Tensor::from({1, -2}, {2, 1});
  file.tensors["a"] = Tensor::from({7, 255}, {2}, DType::u8);
  file.tensors["s"] = Tensor::from({0.5}, {}, DType::f64);
  write_safetensors(folder / "x", file);
  std::string json = R"({"__metadata__":{"note":"a \"b\"\n"},)"
                     R"("s":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
                     R"("w":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]},)"
                     R"("a":{"dtype":"U8","shape":[2],"data_offsets":[16,18]}})";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  const std::string data(
      "\0\0\0\0\0\0\xe0\x3f"
      "\0\0\x80\x3f\0\0\0\xc0"
      "\x07\xff",
      18);
  EXPECT_EQ(read_file(folder / "x", 1000), file_of(json, data));
}

TEST(Safetensors, EveryDtypeShapeAndBitPatternRoundTrips) {
  const TemporaryFolder folder;
  TensorFile file;
  for (const DType dtype :
       {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i32, DType::u8}) {
    const std::string name(name_of(dtype));
    file.tensors[name] = Tensor({3, 5, 2}, dtype);
    unsigned char* bytes = static_cast<unsigned char*>(file.tensors[name].raw());
    for (size_t i = 0; i < file.tensors[name].bytes(); ++i)
      bytes[i] = static_cast<unsigned char>(255 - 3 * i);  // NaN among them
    file.tensors[name + ".empty"] = Tensor({0, 4}, dtype);
    file.tensors[name + ".scalar"] = Tensor::full({}, 3, dtype);
  }
  file.tensors["six"] = Tensor::full({1, 2, 1, 2, 1, 2}, 0.25);
  file.tensors["nan"] = Tensor::full({3}, std::numeric_limits<double>::quiet_NaN());
  file.tensors["\xc3\xa9 \"\\\n\x01"] = Tensor::full({1}, 1);
  file.tensors[std::string(256, 'n')] = Tensor::full({1}, 2);
  file.metadata = {{"", ""}, {"k", std::string("\0x", 2)}, {"text", "\xf0\x9f\x8c\xb1"}};
  write_safetensors(folder / "x", file);
  const TensorFile back = read_safetensors(folder / "x");
  EXPECT_EQ(back.metadata, file.metadata);
  ASSERT_EQ(back.tensors.size(), file.tensors.size());
  for (const auto& [name, tensor] : file.tensors) {
    const Tensor& other = back.tensors.at(name);
    EXPECT_EQ(other.shape(), tensor.shape()) << name;
    EXPECT_EQ(other.dtype(), tensor.dtype()) << name;
    EXPECT_EQ(bytes_of(other), bytes_of(tensor)) << name;
  }
  write_safetensors(folder / "y", back);
  EXPECT_EQ(read_file(folder / "x", 1 << 20), read_file(folder / "y", 1 << 20));
  write_safetensors(folder / "none", {});
  EXPECT_TRUE(read_safetensors(folder / "none").tensors.empty());
}

TEST(Safetensors, ForeignButValidHeadersAreTaken) {
  const std::string two = R"( "b" : {"data_offsets":[4, 8],"shape":[1],"dtype":"F32"} , )"
                          R"("a":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]}  })";
  const std::string bytes = file_of("{" + two, "abcdefgh");
  EXPECT_EQ(refusal(bytes), "");
  const auto tensors = copy_tensors(parse_safetensors_header(bytes, "x"), bytes);
  EXPECT_EQ(bytes_of(tensors.at("a")), "abcd");
  EXPECT_EQ(bytes_of(tensors.at("b")), "efgh");
  EXPECT_EQ(refusal(file_of("{}")), "");
  EXPECT_EQ(refusal(file_of(R"({"__metadata__":{}})")), "");
  EXPECT_EQ(refusal(file_of(R"({"\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})")), "");
}

TEST(Safetensors, MissingFilesFoldersAndUnwritablePlaces) {
  const TemporaryFolder folder;
  for (const std::string& path : {folder / "none", folder.path()}) {
    try {
      read_safetensors(path);
      FAIL() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::checkpoint);
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos);
      EXPECT_NE(std::string(error.what()).find("expected"), std::string::npos);
    }
  }
  const auto kind = [&](const std::string& name, const TensorFile& file) {
    try {
      write_safetensors(folder / name, file);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind{};
  };
  const Tensor one = Tensor::full({1}, 1);
  EXPECT_EQ(kind("none/x", {}), ErrorKind::write);
  EXPECT_EQ(kind("x", {{}, {{"k", "\xff"}}}), ErrorKind::write);
  EXPECT_EQ(kind("x", {{}, {{"k", std::string(17 << 20, 'x')}}}), ErrorKind::write);
  EXPECT_EQ(kind("x", {{{"undefined", Tensor()}}, {}}), ErrorKind::internal);
  EXPECT_EQ(kind("x", {{{"\xff", one}}, {}}), ErrorKind::internal);
  EXPECT_EQ(kind("x", {{{"__metadata__", one}}, {}}), ErrorKind::internal);
  EXPECT_EQ(kind("x", {{{std::string(257, 'x'), one}}, {}}), ErrorKind::internal);
  EXPECT_FALSE(exists(folder / "x"));
}

struct Hostile {
  const char* what;
  std::string bytes;
  std::vector<std::string> told;  // parts of the refusal
};

// One tensor "w" with these fields, and four bytes of data.
std::string one(const std::string& fields) { return file_of(R"({"w":{)" + fields + "}}", "1234"); }
std::string good(const std::string& name) {
  return "\"" + name + R"(":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
}
std::string shaped(const std::string& shape) {
  return one(R"("dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,4])");
}
std::string offset(const std::string& offsets) {
  return one(R"("dtype":"U8","shape":[4],"data_offsets":)" + offsets);
}
std::string pair_of(const std::string& first, const std::string& second) {
  return file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + first +
                     R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + second + "}}",
                 "1234");
}

std::vector<Hostile> hostile_structure() {
  std::string long_length = file_of("{}");
  long_length[0] = 3;
  std::string huge_length = file_of("{}");
  huge_length[7] = '\x7f';
  std::string above_limit = file_of("{}");
  above_limit[3] = 2;
  return {
      {"empty file", "", {"length", "0 bytes"}},
      {"seven bytes", std::string(7, '\0'), {"length", "7 bytes"}},
      {"length beyond the file", long_length, {"header", "3 bytes", "the 2 that follow"}},
      {"huge length", huge_length, {"header", "at most 16777216"}},
      {"length above the limit", above_limit, {"header", "at most 16777216"}},
      {"no JSON", file_of(""), {"header", "expected {"}},
      {"space first", file_of(" {}"), {"header", "\" \"", "expected {"}},
      {"byte order mark", file_of("\xef\xbb\xbf{}"), {"header", "expected {"}},
      {"list at the top", file_of("[]"), {"header", "expected {"}},
      {"open", file_of("{"), {"header", "not valid JSON"}},
      {"text after the end", file_of("{} {}"), {"header", "not valid JSON"}},
      {"zero byte", file_of(std::string("{}\0{", 4)), {"header", "zero byte at its byte 2"}},
      {"comment", file_of("{/**/}"), {"header", "not valid JSON"}},
      {"trailing comma", file_of("{" + good("w") + ",}", "1234"), {"header", "not valid JSON"}},
      {"name not UTF-8", file_of("{" + good("\xff") + "}", "1234"), {"header", "not valid JSON"}},
      {"overlong UTF-8", file_of("{" + good("\xc0\xaf") + "}", "1234"), {"header", "valid JSON"}},
      {"half a surrogate", file_of("{" + good("\\ud800") + "}", "1234"), {"header", "valid JSON"}},
      {"deep", file_of("{\"w\":" + std::string(100000, '['), ""), {"\"w\"", "expected an object"}},
      {"deep objects", file_of(R"({"w":{"shape":{"a":{"b":{}}}}})"), {"\"w\"", "\"shape\""}},
      {"long name", file_of("{" + good(std::string(257, 'n')) + "}", "1234"), {"257", "256"}},
      {"twice", file_of("{" + good("w") + "," + good("w") + "}", "1234"), {"\"w\"", "twice"}},
      {"twice, escaped", file_of("{" + good("w") + "," + good("\\u0077") + "}", "1234"), {"twice"}},
      {"number as tensor", file_of(R"({"w":1})"), {"\"w\"", "a number", "expected an object"}},
      {"null as tensor", file_of(R"({"w":null})"), {"\"w\"", "null", "expected an object"}},
      {"metadata text", file_of(R"({"__metadata__":"x"})"), {"__metadata__", "expected an object"}},
      {"metadata number", file_of(R"({"__metadata__":{"k":1}})"), {"\"k\"", "expected a text"}},
      {"metadata nested", file_of(R"({"__metadata__":{"k":{}}})"), {"\"k\"", "expected a text"}},
      {"metadata list", file_of(R"({"__metadata__":{"k":["a"]}})"), {"\"k\"", "expected a text"}},
      {"key twice", file_of(R"({"__metadata__":{"k":"","k":""}})"), {"\"k\"", "twice"}},
      {"metadata twice", file_of(R"({"__metadata__":{},"__metadata__":{}})"), {"twice"}},
      {"data without tensor", file_of("{}", "1"), {"length", "1 bytes", "expected 0"}},
  };
}

std::vector<Hostile> hostile_tensors() {
  return {
      {"no fields", one(""), {"\"w\"", "\"dtype\"", "missing"}},
      {"no shape", one(R"("dtype":"U8","data_offsets":[0,4])"), {"\"shape\"", "missing"}},
      {"no offsets", one(R"("dtype":"U8","shape":[4])"), {"\"data_offsets\"", "missing"}},
      {"unknown field", one(R"("dtype":"U8","x":1)"), {"\"x\"", "unknown"}},
      {"field twice", one(R"("dtype":"U8","dtype":"U8")"), {"\"dtype\"", "twice"}},
      {"dtype I64", one(R"("dtype":"I64")"), {"\"dtype\"", "\"I64\"", "expected F32"}},
      {"dtype in lower case", one(R"("dtype":"f32")"), {"\"dtype\"", "\"f32\""}},
      {"dtype a number", one(R"("dtype":1)"), {"\"dtype\"", "a number"}},
      {"dtype a list", one(R"("dtype":["U8"])"), {"\"dtype\"", "a list"}},
      {"shape a text", one(R"("shape":"4")"), {"\"shape\"", "a text"}},
      {"shape true", one(R"("shape":true)"), {"\"shape\"", "a truth value"}},
      {"shape of texts", shaped(R"(["1"])"), {"\"shape\"", "expected integers"}},
      {"shape in shape", shaped("[[1]]"), {"\"shape\"", "a list"}},
      {"negative extent", shaped("[-1]"), {"\"shape\"", "-1"}},
      {"minus zero", shaped("[-0]"), {"\"shape\"", "without a sign"}},
      {"fraction", shaped("[1.0]"), {"\"shape\"", "\"1.0\""}},
      {"exponent", shaped("[1e0]"), {"\"shape\"", "\"1e0\""}},
      {"beyond 64 bits", shaped("[18446744073709551617]"), {"\"shape\"", "18446744073709551617"}},
      {"rank 7", shaped("[1,1,1,1,1,1,1]"), {"\"shape\"", "more than 6"}},
      {"overflow to 1", shaped("[4294967297,4294967295,1]"), {"\"shape\"", "more elements"}},
      {"overflow to 0", shaped("[4294967296,4294967296]"), {"\"shape\"", "more elements"}},
      {"overflow beside 0", shaped("[4294967296,4294967296,0]"), {"\"shape\"", "more elements"}},
      {"one huge extent", shaped("[9223372036854775808]"), {"\"shape\"", "9223372036854775808"}},
      {"more than the file", shaped("[1000000000]"), {"data_offsets", "expected 4000000000 bytes"}},
      {"size 2 of F32", shaped("[2]"), {"\"data_offsets\"", "0 to 4", "expected 8 bytes"}},
      {"one offset", offset("[0]"), {"\"data_offsets\"", "found 1"}},
      {"three offsets", offset("[0,4,4]"), {"\"data_offsets\"", "more than 2"}},
      {"reversed", offset("[4,0]"), {"\"data_offsets\"", "4 to 0"}},
      {"negative offset", offset("[-4,0]"), {"\"data_offsets\"", "-4"}},
      {"wrapped", offset("[18446744073709551612,0]"), {"\"data_offsets\"", "18446744073709551612"}},
      {"late start",
       one(R"("dtype":"U8","shape":[3],"data_offsets":[1,4])"),
       {"\"w\"", "begins at 1", "expected 0"}},
      {"end beyond",
       one(R"("dtype":"U8","shape":[5],"data_offsets":[0,5])"),
       {"length", "found 4", "expected 5"}},
      {"end before",
       one(R"("dtype":"U8","shape":[3],"data_offsets":[0,3])"),
       {"length", "found 4", "expected 3"}},
      {"overlap", pair_of("[0,2]", "[1,3]"), {"\"b\"", "begins at 1", "expected 2"}},
      {"same bytes twice", pair_of("[0,2]", "[0,2]"), {"begins at 0", "expected 2"}},
      {"gap", pair_of("[0,2]", "[3,5]"), {"\"b\"", "begins at 3", "expected 2"}},
  };
}

TEST(Safetensors, HostileHeadersAreRefusedByName) {
  EXPECT_EQ(refusal(file_of("{" + good("w") + "}", "1234")), "");
  EXPECT_EQ(refusal(pair_of("[2,4]", "[0,2]")), "");
  EXPECT_EQ(refusal(shaped("[1]")), "");
  for (const auto& table : {hostile_structure(), hostile_tensors()}) {
    for (const Hostile& hostile : table) {
      const std::string text = refusal(hostile.bytes);
      EXPECT_EQ(text.find("some.safetensors: "), 0u) << hostile.what << ": " << text;
      EXPECT_LT(text.size(), 400u) << hostile.what;
      for (const std::string& part : hostile.told)
        EXPECT_NE(text.find(part), std::string::npos) << hostile.what << ": " << text;
    }
  }
}

TEST(Safetensors, ControlCharactersOfNamesAreEscapedInMessages) {
  const std::string text = refusal(file_of("{\"\\u001b[2J\\n\":{\"dtype\":\"X\\u0007\"}}"));
  for (const char c : text) EXPECT_GE(c, ' ') << text;
  EXPECT_NE(text.find("\\u001b[2J\\n"), std::string::npos) << text;
}

TEST(Safetensors, EveryPrefixOfAFileIsRefused) {
  TensorFile file;
  file.tensors["w"] = Tensor::full({5}, 1);
  file.metadata["k"] = "v";
  const std::string header = safetensors_header(file, "x");
  std::string bytes;
  for (const std::string_view piece : safetensors_pieces(header, file)) bytes += piece;
  EXPECT_EQ(refusal(bytes), "");
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_NE(refusal(bytes.substr(0, size)), "") << size;
  EXPECT_NE(refusal(bytes + "x"), "");
}

}  // namespace
}  // namespace enas
