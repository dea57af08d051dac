// What --data recognises and refuses, the moments, and training on everything.
#include "data/image_set.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>

#include "data/file.h"
#include "data/image_source.h"
#include "tests/image_fixtures.h"
#include "tests/temporary_folder.h"

namespace enas {
namespace {

constexpr uint64_t kSeed = 1;

std::string refusal(const std::string& path) {
  try {
    load_images(path, kSeed);
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

void write_cifar(const TemporaryFolder& folder, const std::string& inner) {
  make_directory(folder / inner);
  folder.write(inner + "/data_batch_1.bin", cifar_records(0, 10));
  folder.write(inner + "/test_batch.bin", cifar_records(10, 2));
}

TEST(ImageSet, AFolderIsFoundFromItsParent) {
  const TemporaryFolder folder;
  write_cifar(folder, "cifar-10-batches-bin");
  make_directory(folder / "other");
  const ImageData data = load_images(folder.path(), kSeed);
  EXPECT_EQ(data.train.size(), 9);
  expect_parts(data.description, {"cifar-10-batches-bin"});
  write_cifar(folder, "cifar-10-batches-py");  // the other form beside it: the same images
  EXPECT_EQ(load_images(folder.path(), kSeed).fingerprint, data.fingerprint);
  write_cifar(folder, "third");
  expect_parts(refusal(folder.path()), {folder.path(), "found 3 data sets", "name one"});
}

TEST(ImageSet, WhatIsNoImageSetIsRefusedWithWhatItIs) {
  const TemporaryFolder folder;
  expect_parts(refusal(folder.path()),
               {folder.path(), "no images", "train/CLASS", "builtin:shapes10"});
  expect_parts(refusal(folder / "none"), {folder / "none", "no such file or folder"});
  expect_parts(refusal("builtin:tiny-text"), {"is text", "enas_ptb", "builtin:shapes10"});
  expect_parts(refusal("builtin:x"), {"no such built-in images"});
  folder.write("ptb.train.txt", "a b c\n");
  expect_parts(refusal(folder.path()), {"found text (ptb.train.txt)", "enas_ptb"});
  const std::pair<std::string, std::string> files[] = {
      {"a b c\n", "found text"},
      {"\x1f\x8b\x08zip", "an archive"},
      {"PK\x03\x04zip", "an archive"},
      {png_pattern(2, 2, 0), "one image"},
      {cifar_records(0, 1), "one file of CIFAR-10"},
      {std::string(7, '\0'), "another kind"},
      {"", "another kind"}};
  for (const auto& [bytes, part] : files)
    expect_parts(refusal(folder.write("file", bytes)),
                 {folder / "file", part, "; expected a folder"});
}

// CIFAR-100 as its archives unpack, named by its parent.
TEST(ImageSet, Cifar100IsFoundFromItsParent) {
  const TemporaryFolder folder;
  make_directory(folder / "cifar-100-python");
  for (const char* name : {"train", "test", "meta"})
    folder.write(std::string("cifar-100-python/") + name, "\x80\x02}.");
  expect_parts(refusal(folder.path()), {folder / "cifar-100-python", "found CIFAR-100"});
  write_cifar(folder, "cifar-10-batches-bin");
  EXPECT_EQ(load_images(folder.path(), kSeed).train.size(), 9);
}

// A pipe that nobody writes to is refused instead of waited for.
TEST(ImageSet, PipesAreNotWaitedFor) {
  const auto refused = [](const std::string& data, const std::string& pipe) {
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0) << pipe;
    expect_parts(refusal(data), {pipe, "is a pipe or a device"});
  };
  const TemporaryFolder folder;
  refused(folder / "pipe", folder / "pipe");
  write_cifar(folder, "cifar");
  refused(folder / "cifar", folder / "cifar/data_batch_2.bin");
  for (const char* name : {"images/train/a", "images/train/b"}) {
    make_directory(folder / name);
    for (const char* image : {"/1.png", "/3.png"})
      folder.write(name + std::string(image), png_pattern(4, 4, 0));
  }
  refused(folder / "images", folder / "images/train/a/2.png");
}

TEST(ImageSet, MomentsAreThoseOfTheChannelsOver255) {
  Tensor images(Shape{2, 1, 2, 3}, DType::u8);
  const uint8_t pixels[] = {0, 10, 7, 255, 20, 7, 0, 30, 7, 255, 40, 7};
  std::copy(std::begin(pixels), std::end(pixels), images.data<uint8_t>());
  const ChannelMoments moments = channel_moments(images);
  EXPECT_DOUBLE_EQ(moments.mean[0], .5);
  EXPECT_DOUBLE_EQ(moments.deviation[0], .5);
  EXPECT_DOUBLE_EQ(moments.mean[1], 25. / 255);
  EXPECT_DOUBLE_EQ(moments.deviation[1], std::sqrt(125.) / 255);
  EXPECT_DOUBLE_EQ(moments.mean[2], 7. / 255);
  EXPECT_DOUBLE_EQ(moments.deviation[2], 1. / 255);  // never 0
}

TEST(ImageSet, MomentsLeaveOutWhatIsHeldOutUnlessAllIsTrainedOn) {
  const TemporaryFolder folder;
  write_cifar(folder, "x");
  const ImageData data = load_images(folder / "x", kSeed);
  EXPECT_EQ(data.moments.mean, channel_moments(data.all.images.slice(0, 9)).mean);
  const ImageData all = train_on_all(data);
  EXPECT_EQ(all.train.size(), 10);
  EXPECT_EQ(all.valid.size(), 0);
  EXPECT_EQ(all.moments.mean, channel_moments(data.all.images).mean);
  EXPECT_NE(all.moments.mean, data.moments.mean);
  EXPECT_TRUE(all.train.images.same_storage(data.train.images));
}

TEST(ImageSet, FingerprintSeesPixelsLabelsAndClasses) {
  const TemporaryFolder folder;
  write_cifar(folder, "x");
  const auto fingerprint = [&] { return load_images(folder / "x", kSeed).fingerprint; };
  const uint64_t first = fingerprint();
  EXPECT_EQ(fingerprint(), first);
  std::string records = cifar_records(0, 10);
  records[500] = static_cast<char>(records[500] ^ 1);
  folder.write("x/data_batch_1.bin", records);
  EXPECT_NE(fingerprint(), first);
  records = cifar_records(0, 10);
  records[0] = 5;
  folder.write("x/data_batch_1.bin", records);
  EXPECT_NE(fingerprint(), first);
  folder.write("x/data_batch_1.bin", cifar_records(0, 10));
  EXPECT_EQ(fingerprint(), first);
  folder.write("x/test_batch.bin", cifar_records(11, 2));
  EXPECT_NE(fingerprint(), first);
  folder.write("x/test_batch.bin", cifar_records(10, 2));
  folder.write("x/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
  EXPECT_NE(fingerprint(), first);
}

TEST(ImageSet, TheBuiltInSetHasItsOwnHeldOutPart) {
  const ImageData data = load_images("builtin:shapes10", kSeed);
  expect_parts(data.description, {"builtin:shapes10", "8,000 / 1,000 / 1,000 images"});
  EXPECT_EQ(data.fingerprint, load_images("builtin:shapes10", kSeed + 1).fingerprint);
}

}  // namespace
}  // namespace enas
