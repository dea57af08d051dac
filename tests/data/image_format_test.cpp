// What is checked of a PNG and a JPEG before the library sees them.
#include "data/image_format.h"

#include <gtest/gtest.h>

#include "data/file.h"
#include "data/stb_image.h"
#include "tests/image_fixtures.h"

namespace enas {
namespace {

using namespace std::string_literals;

const std::string kSignature = "\x89PNG\r\n\x1a\n";

template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_EQ(std::string(error.what()).rfind("file: ", 0), 0u) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "accepted";
  return "";
}

template <class Call>
void expect_refusal(Call call, const std::string& part) {
  const std::string message = refusal(call);
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

std::vector<int> decoded(const std::string& bytes) {
  const ImageSize size = image_size(bytes, "file");
  std::vector<uint8_t> pixels(static_cast<size_t>(size.height * size.width * 3));
  decode_image(bytes, "file", size, pixels.data());
  return {pixels.begin(), pixels.end()};
}

std::string header(uint32_t width, uint32_t height, char depth, char colour) {
  return png_chunk(
      "IHDR", big_endian32(width) + big_endian32(height) + std::string{depth, colour, 0, 0, 0});
}
std::string pixels(const std::string& rows) { return png_chunk("IDAT", stored(rows)); }
const std::string kEnd = png_chunk("IEND", "");

// Grey 2 x 1: 17, 34.
const std::string kGrey = header(2, 1, 8, 0);
const std::string kGreyRows = "\0\x11\x22"s;
const std::vector<int> kGreyPixels = {17, 17, 17, 34, 34, 34};

TEST(ImageFormat, OnlyWhatDecodingNeedsReachesTheLibrary) {
  const std::string whole = kSignature + kGrey + pixels(kGreyRows) + kEnd;
  EXPECT_EQ(decoded(whole), kGreyPixels);
  const std::string text = png_chunk("tEXt", "Comment\0hello"s), empty = png_chunk("IDAT", "");
  const std::string zlib = stored(kGreyRows);
  const std::string parts =
      png_chunk("IDAT", zlib.substr(0, 3)) + png_chunk("IDAT", zlib.substr(3));
  const std::string varied = kSignature + kGrey + text + empty + parts + empty + text + kEnd;
  EXPECT_EQ(decoded(varied), kGreyPixels);
  EXPECT_EQ(plain_png(varied, "file"), plain_png(whole, "file"));
  EXPECT_EQ(plain_png(varied + "more", "file"), plain_png(whole, "file"));
  EXPECT_EQ(plain_png(plain_png(whole, "file"), "file"), plain_png(whole, "file"));
}

TEST(ImageFormat, IndicesBeyondThePaletteAreBlack) {
  const std::string palette = png_chunk("PLTE", "\x01\x02\x03\x04\x05\x06");
  const std::string bytes =
      kSignature + header(4, 1, 8, 3) + palette + pixels("\0\1\0\2\xff"s) + kEnd;
  EXPECT_EQ(decoded(bytes), (std::vector<int>{4, 5, 6, 1, 2, 3, 0, 0, 0, 0, 0, 0}));
}

TEST(ImageFormat, BrokenPngFramesAreRefused) {
  const auto plain = [](const std::string& chunks) {
    return [bytes = kSignature + chunks] { plain_png(bytes, "file"); };
  };
  const std::string rows = pixels(kGreyRows);
  expect_refusal(plain(""), "without an end");
  expect_refusal(plain(kGrey + rows), "without an end");
  expect_refusal(plain(kGrey + big_endian32(0xffffffff) + "IDATx"), "without an end");
  expect_refusal(plain(rows + kGrey + kEnd), "no header, or two");
  expect_refusal(plain(kGrey + kGrey + rows + kEnd), "no header, or two");
  expect_refusal(plain(png_chunk("IHDR", "short") + rows + kEnd), "broken header or palette");
  expect_refusal(plain(kGrey + png_chunk("PLTE", "ab") + rows + kEnd), "broken header or palette");
  expect_refusal(plain(kGrey + png_chunk("PLTE", std::string(771, 'a')) + rows + kEnd), "palette");
  expect_refusal(plain(kGrey + png_chunk("ABCD", "") + rows + kEnd), "chunk that is not known");
  expect_refusal([] { decoded(kSignature + kGrey + kEnd); }, "cannot be decoded");
  expect_refusal([] { decoded(kSignature + header(2, 1, 8, 9) + pixels(kGreyRows) + kEnd); },
                 "cannot be decoded");
  expect_refusal([] { image_size(kSignature, "file"); }, "without a header");
  expect_refusal([] { image_size(kSignature + pixels(std::string(40, 'x')), "file"); },
                 "without a header");
}

TEST(ImageFormat, JpegSegmentsAreVisitedAsTheLibraryVisitsThem) {
  const auto checked = [](const std::string& tail) {
    return [bytes = "\xff\xd8\xff\xe0\0\x04JF"s + tail] { check_jpeg(bytes, "file"); };
  };
  const std::string scan = "\xff\xda\0\x02"s, end = "\xff\xd9";
  const std::string table = "\xff\xc4\0\x14\0\1"s + std::string(15, '\0') + "\5";
  const std::string hostile =
      "\xff\xc4\x01\x15\0"s + std::string(16, '\x10') + std::string(258, 'v');
  checked(table + scan + "data\xff\0\xff\xd0more"s + end)();
  checked(table + "padding" + scan + end)();
  expect_refusal(checked(table + scan + "data"), "without an end");
  expect_refusal(checked("\xff"), "without an end");
  expect_refusal(checked("\xff\xe1\0\x01"s + end), "without an end");
  expect_refusal(checked("\xff\xe1\xff\xff" + end), "without an end");
  std::string long_codes = hostile;
  long_codes[6] = '\x11';  // 257 codes
  expect_refusal(checked(long_codes + scan + end), "257 codes");
  expect_refusal(checked(scan + "data" + long_codes + end), "257 codes");
  expect_refusal(checked("\xff\xc4\0\x0a"s + std::string(8, '\1') + end), "Huffman table");
  std::string scans;
  for (int i = 0; i < 100; ++i) scans += scan;
  checked(scans + end)();
  expect_refusal(checked(scans + scan + end), "101 JPEG scans");
}

}  // namespace
}  // namespace enas
