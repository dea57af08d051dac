// Folders of images and single images: order, held-out part, sizes, and every file that is refused,
// with its name.
#include "data/image_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "data/file.h"
#include "data/image_set.h"
#include "data/scale_images.h"
#include "data/stb_image.h"
#include "tests/image_fixtures.h"
#include "tests/temporary_folder.h"

namespace enas {
namespace {

constexpr uint64_t kSeed = 1;

template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    return error.what();
  }
  ADD_FAILURE() << "accepted";
  return "";
}
std::string refusal(const std::string& path) {
  return refusal([&] { load_images(path, kSeed); });
}

void expect_parts(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << message;
}

// A folder of images of 6 x 4; image n of class c has the pattern first = 10 c + n.
void write_class(const TemporaryFolder& folder, const std::string& name, int c, int count) {
  make_directory(folder / name);
  for (int n = 0; n < count; ++n)
    folder.write(name + "/" + std::to_string(n) + ".png", png_pattern(6, 4, 10 * c + n));
}

std::vector<int> first_bytes(const ImageSet& set) {
  std::vector<int> bytes;
  const int64_t stride = set.images.numel() / set.size();
  for (int64_t i = 0; i < set.size(); ++i) bytes.push_back(set.images.data<uint8_t>()[i * stride]);
  return bytes;
}

TEST(ImageFolder, NumbersSortByValue) {
  std::vector<std::string> names = {"b10", "b2", "a",   "b",    "b02",
                                    "10",  "9",  "b2x", "b1y3", "b1y20"};
  std::sort(names.begin(), names.end(), numeric_less);
  EXPECT_EQ(names, (std::vector<std::string>{"9", "10", "a", "b", "b1y3", "b1y20", "b02", "b2",
                                             "b2x", "b10"}));
  for (const std::string& a : names) EXPECT_FALSE(numeric_less(a, a));
}

TEST(ImageFolder, ClassesAndFilesAreSortedAndATenthIsHeldOut) {
  const TemporaryFolder folder;
  write_class(folder, "train/class10", 1, 3);
  write_class(folder, "train/class2", 0, 25);
  write_class(folder, "test/class10", 2, 2);
  write_class(folder, "test/class2", 3, 1);
  folder.write("train/class2/notes.txt", "not an image");
  folder.write("train/class2/.hidden.png", "not an image");
  folder.write("train/readme", "not a class");
  const ImageData data = load_images(folder.path(), kSeed);
  EXPECT_EQ(data.classes, (std::vector<std::string>{"class2", "class10"}));
  EXPECT_EQ(data.height(), 4);
  EXPECT_EQ(data.width(), 6);
  EXPECT_EQ(data.train.size(), 23 + 2);
  EXPECT_EQ(data.valid.size(), 2 + 1);
  EXPECT_EQ(first_bytes(data.test), (std::vector<int>{30, 20, 21}));
  const auto* labels = data.valid.labels.data<int32_t>();
  EXPECT_EQ((std::vector<int32_t>{labels[0], labels[1], labels[2]}),
            (std::vector<int32_t>{0, 0, 1}));
  std::multiset<int> all, expected;
  for (const int byte : first_bytes(data.all)) all.insert(byte);
  for (int n = 0; n < 25; ++n) expected.insert(n);
  for (int n = 0; n < 3; ++n) expected.insert(10 + n);
  EXPECT_EQ(all, expected);
  const std::vector<int> train = first_bytes(data.train);
  EXPECT_TRUE(std::is_sorted(train.begin(), train.begin() + 23));
  EXPECT_EQ(data.train.images.data<uint8_t>()[1], static_cast<uint8_t>(train[0] + 7));
  expect_parts(data.description, {folder.path(), "25 / 3 / 3 images", "6 x 4 pixels", "2 classes"});
  EXPECT_TRUE(data.warnings.empty());
}

TEST(ImageFolder, TheSeedChoosesWhatIsHeldOut) {
  const TemporaryFolder folder;
  write_class(folder, "train/a", 0, 100);
  write_class(folder, "train/b", 10, 100);
  const auto held_out = [&](uint64_t seed) {
    return first_bytes(load_images(folder.path(), seed).valid);
  };
  EXPECT_EQ(held_out(1).size(), 20u);
  EXPECT_EQ(held_out(1), held_out(1));
  EXPECT_NE(held_out(1), held_out(2));
  EXPECT_NE(load_images(folder.path(), 1).fingerprint, load_images(folder.path(), 2).fingerprint);
  EXPECT_EQ(load_images(folder.path(), 1).test.size(), 0);
}

TEST(ImageFolder, EveryKindOfPngAndJpegGivesThreeChannels) {
  const TemporaryFolder folder;
  const auto pixel = [&](const std::string& name, const std::string& bytes) {
    const Tensor image = load_image(folder.write(name, bytes), 1, 1);
    const auto* p = image.data<uint8_t>();
    return std::vector<int>{p[0], p[1], p[2]};
  };
  EXPECT_EQ(pixel("grey.png", png(1, 1, 1, "\x21")), (std::vector<int>{0x21, 0x21, 0x21}));
  EXPECT_EQ(pixel("ga.png", png(1, 1, 2, "\x21\x10")), (std::vector<int>{0x21, 0x21, 0x21}));
  EXPECT_EQ(pixel("rgb.png", png(1, 1, 3, "\x21\x22\x23")), (std::vector<int>{0x21, 0x22, 0x23}));
  EXPECT_EQ(pixel("rgba.png", png(1, 1, 4, "\x21\x22\x23\x01")),
            (std::vector<int>{0x21, 0x22, 0x23}));
  // Kept from cjpeg: 16 x 16 pixels of red 200, green 100, blue 50.
  for (const char* name : {"jpeg", "jpeg_progressive"}) {
    const Tensor image =
        load_image(ENAS_SOURCE_DIR "/tests/fuzz/corpus/image/" + std::string(name), 16, 16);
    const auto* p = image.data<uint8_t>();
    for (int i = 0; i < 3; ++i)
      EXPECT_NEAR(p[i + 300], (std::vector<int>{200, 100, 50})[static_cast<size_t>(i)], 4);
  }
}

// One image of another size and one of the test: until a size is asked for no part has pixels.
TEST(ImageFolder, SeveralSizesAreScaledToOneOrRefusedByName) {
  const TemporaryFolder folder;
  write_class(folder, "train/a", 0, 3);
  write_class(folder, "train/b", 1, 3);
  check_one_size(load_images(folder.path(), kSeed));
  folder.write("train/b/1.png", png_pattern(4, 9, 0));
  const ImageData data = load_images(folder.path(), kSeed);
  expect_parts(data.description,
               {"4 / 2 / 0 images", "several sizes, 4..6 x 4..9 pixels (--image"});
  expect_parts(refusal([&] { check_one_size(data); }),
               {folder / "train/b/1.png", "found 4 x 9 pixels; expected 6 x 4 as", "/train/a/",
                "--image-size N"});
  const ImageData scaled = scaled_to(data, 5);
  EXPECT_EQ(scaled.all.images.shape(), (Shape{6, 5, 5, 3}));
  EXPECT_EQ(scaled.valid.images.shape(), (Shape{2, 5, 5, 3}));
  EXPECT_EQ(scaled.moments.mean, channel_moments(scaled.train.images).mean);
  EXPECT_EQ(scaled.fingerprint, data.fingerprint);
  check_one_size(scaled);
  for (int64_t i = 0; i < 6; ++i) {
    const EncodedImage& image = data.encoded->all[static_cast<size_t>(i)];
    const Tensor one = load_image(image.path, 5, 5, true);
    EXPECT_EQ(std::memcmp(scaled.all.images.slice(i, i + 1).raw(), one.raw(), one.bytes()), 0);
  }
  folder.write("train/b/1.png", png_pattern(4, 9, 1));
  EXPECT_NE(load_images(folder.path(), kSeed).fingerprint, data.fingerprint);
  folder.write("train/b/1.png", png_pattern(6, 4, 0));
  write_class(folder, "test/b", 1, 1);
  folder.write("test/b/0.png", png_pattern(7, 4, 0));
  const ImageData tested = load_images(folder.path(), kSeed);
  expect_parts(refusal([&] { check_one_size(tested); }),
               {folder / "test/b/0.png", "found 7 x 4 pixels"});
  EXPECT_EQ(scaled_to(tested, 4).test.images.shape(), (Shape{1, 4, 4, 3}));
  folder.write("test/b/0.png", png_pattern(7, 4, 0).substr(0, 60));
  expect_parts(refusal([&] { scaled_to(load_images(folder.path(), kSeed), 4); }),
               {folder / "test/b/0.png"});
  expect_parts(refusal([&] { load_image(folder / "test/b/0.png", 4, 6); }),
               {"found 7 x 4 pixels; expected 6 x 4", "crop or resize"});
}

TEST(ImageFolder, IncompleteFoldersAreRefused) {
  const TemporaryFolder folder;
  write_class(folder, "train/a", 0, 3);
  expect_parts(refusal(folder.path()), {folder / "train", "found 1 class folder;"});
  make_directory(folder / "train/b");
  expect_parts(refusal(folder.path()), {folder / "train/b", "found no image", "fill or remove"});
  write_class(folder, "train/b", 1, 1);
  expect_parts(refusal(folder.path()), {folder / "train/b", "found 1 image; expected at least 2"});
  write_class(folder, "train/b", 1, 2);
  EXPECT_EQ(load_images(folder.path(), kSeed).valid.size(), 2);
  make_directory(folder / "test");
  expect_parts(refusal(folder.path()), {folder / "test", "found no class"});
  write_class(folder, "test/c", 2, 1);
  expect_parts(refusal(folder.path()), {folder / "test/c", "a class that train/ lacks"});
  remove_directory(folder / "test/c");
  write_class(folder, "test/a", 0, 1);
  const ImageData data = load_images(folder.path(), kSeed);
  ASSERT_EQ(data.warnings.size(), 1u);
  expect_parts(data.warnings[0], {"1 of 2 classes have no test images", "b"});
  make_directory(folder / "train/x\x1b[2J");
  write_class(folder, "train/x\x1b[2J", 2, 2);
  expect_parts(refusal(folder.path()), {folder / "train", "cannot be printed"});
}

TEST(ImageFolder, HostileHeadersAreRefusedBeforeDecoding) {
  const auto size_of = [](const std::string& bytes) { return image_size(bytes, "file"); };
  std::string wide = png_pattern(6, 4, 0);
  EXPECT_EQ(size_of(wide), (ImageSize{4, 6}));
  wide.replace(16, 4, big_endian32(60000));
  expect_parts(refusal([&] { size_of(wide); }), {"file: ", "60000 x 4 pixels", "expected 1..4096"});
  wide.replace(16, 4, big_endian32(6)).replace(20, 4, big_endian32(0xffffffff));
  expect_parts(refusal([&] { size_of(wide); }), {"6 x 4294967295 pixels"});
  wide.replace(20, 4, big_endian32(0));
  expect_parts(refusal([&] { size_of(wide); }), {"6 x 0 pixels; expected 1..4096"});
  expect_parts(refusal([&] { size_of("GIF89a" + std::string(40, '\0')); }), {"neither a PNG nor"});
  expect_parts(refusal([&] { size_of("BM" + std::string(60, '\0')); }), {"neither a PNG nor"});
  expect_parts(refusal([&] { size_of(""); }), {"neither a PNG nor"});
}

// A small file that unpacks to far more than its header allows.
TEST(ImageFolder, WhatDecodingMayTakeIsBounded) {
  std::string bomb = "\x89PNG\r\n\x1a\n";
  bomb +=
      png_chunk("IHDR", big_endian32(4096) + big_endian32(4096) + std::string("\x08\x06\0\0\0", 5));
  bomb += png_chunk("IDAT", stored(std::string(1000, 'x'))) + png_chunk("IEND", "");
  const ImageSize size = image_size(bomb, "file");
  std::vector<uint8_t> pixels(static_cast<size_t>(size.height * size.width * 3));
  expect_parts(refusal([&] { decode_image(bomb, "file", size, pixels.data()); }),
               {"file: found an image that cannot be decoded"});
}

// stb_image 2.27 writes beyond its table of 257 lengths for such a file.
TEST(ImageFolder, HuffmanTablesOfAJpegAreCheckedBeforeTheLibrarySeesThem) {
  std::string jpeg = read_file(ENAS_SOURCE_DIR "/tests/fuzz/corpus/image/jpeg", 1 << 20);
  const size_t table = jpeg.find("\xff\xc4");
  ASSERT_NE(table, std::string::npos);
  for (const char count : {'\x7f', '\xff'}) {
    std::string hostile = jpeg;
    for (size_t i = 0; i < 16; ++i) hostile[table + 5 + i] = count;
    expect_parts(refusal([&] { image_size(hostile, "file"); }), {"file: found a Huffman table"});
    // Behind filling bytes and a comment that hides an end, too.
    hostile.insert(table, std::string("\xff\xff\xff\xfe\0\x04\xff\xd9\xff\xff", 10));
    expect_parts(refusal([&] { image_size(hostile, "file"); }), {"file: found a Huffman table"});
  }
  jpeg.insert(table, std::string("\xff\xfe\0\x04\xff\xc4\xff\xff", 8));  // in a comment: no table
  EXPECT_EQ(image_size(jpeg, "file"), (ImageSize{16, 16}));
}

TEST(ImageFolder, ImagesCutShortAreRefused) {
  const std::string files[] = {png_pattern(6, 4, 0),
                               read_file(ENAS_SOURCE_DIR "/tests/fuzz/corpus/image/jpeg", 1 << 20)};
  for (const std::string& whole : files) {
    const ImageSize size = image_size(whole, "file");
    std::vector<uint8_t> pixels(static_cast<size_t>(size.height * size.width * 3));
    decode_image(whole, "file", size, pixels.data());
    for (size_t cut = 0; cut + 4 < whole.size(); ++cut) {  // a PNG ends with a checksum
      const std::string bytes = whole.substr(0, cut);
      const std::string message = refusal([&] {
        if (image_size(bytes, "file") == size) decode_image(bytes, "file", size, pixels.data());
      });
      EXPECT_EQ(message.rfind("file: ", 0), 0u) << cut;
    }
  }
}

}  // namespace
}  // namespace enas
