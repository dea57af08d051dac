// CIFAR-10 in both published forms, from files made here: layout, held-out rule, names, every
// invalid file. Where ENAS_CIFAR10 names a folder, the counts of the real set.
#include "data/cifar10.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "data/file.h"
#include "data/image_set.h"
#include "tests/data/pickle_writer.h"
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

// Images first, ..., first + count - 1 as a pickle.
std::string pickled_records(int protocol, int first, int count) {
  std::vector<int> labels;
  std::string pixels;
  for (int image = first; image < first + count; ++image) {
    labels.push_back(image % 10);
    pixels += cifar_planes(image);
  }
  return cifar_pickle(protocol, labels, {count, 3072, pixels});
}

// Three training files of 4 + 30 + 6 images, numbered on, and 3 test images.
void write_binary(const TemporaryFolder& folder) {
  folder.write("data_batch_1.bin", cifar_records(0, 4));
  folder.write("data_batch_2.bin", cifar_records(4, 30));
  folder.write("data_batch_3.bin", cifar_records(34, 6));
  folder.write("test_batch.bin", cifar_records(100, 3));
}

void expect_images(const ImageSet& set, int first, int count) {
  ASSERT_EQ(set.images.shape(), (Shape{count, 32, 32, 3}));
  const uint8_t* pixel = set.images.data<uint8_t>();
  int64_t wrong = 0;
  for (int image = first; image < first + count; ++image) {
    EXPECT_EQ(set.labels.data<int32_t>()[image - first], image % 10);
    for (int y = 0; y < 32; ++y)
      for (int x = 0; x < 32; ++x)
        for (int c = 0; c < 3; ++c) wrong += *pixel++ != cifar_byte(image, c, y, x);
  }
  EXPECT_EQ(wrong, 0);
}

TEST(Cifar10, BinaryFormIsReadInOrderAndItsLastTenthHeldOut) {
  const TemporaryFolder folder;
  write_binary(folder);
  const ImageData data = load_images(folder.path(), kSeed);
  expect_images(data.all, 0, 40);
  expect_images(data.train, 0, 36);
  expect_images(data.valid, 36, 4);
  expect_images(data.test, 100, 3);
  EXPECT_EQ(data.classes.size(), 10u);
  EXPECT_EQ(data.classes[0], "airplane");
  EXPECT_EQ(data.classes[9], "truck");
  expect_parts(data.description, {"CIFAR-10 in binary form", folder.path(), "36 / 4 / 3 images",
                                  "32 x 32 pixels", "10 classes"});
  EXPECT_EQ(data.description.find("JPEG"), std::string::npos);
  ASSERT_EQ(data.warnings.size(), 1u);
  expect_parts(data.warnings[0], {"a part of CIFAR-10", "40 training and 3 test", "3 + 1 files"});
}

TEST(Cifar10, PythonFormGivesTheSameSetInEveryProtocol) {
  const TemporaryFolder binary;
  write_binary(binary);
  const uint64_t fingerprint = load_images(binary.path(), kSeed).fingerprint;
  for (const int protocol : {2, 3, 4}) {
    const TemporaryFolder folder;
    folder.write("data_batch_1", pickled_records(protocol, 0, 4));
    folder.write("data_batch_2", pickled_records(protocol, 4, 30));
    folder.write("data_batch_3", pickled_records(protocol, 34, 6));
    folder.write("test_batch", pickled_records(protocol, 100, 3));
    const ImageData data = load_images(folder.path(), kSeed);
    expect_images(data.all, 0, 40);
    EXPECT_EQ(data.fingerprint, fingerprint) << protocol;
    expect_parts(data.description, {"CIFAR-10 in python form"});
  }
}

TEST(Cifar10, ThePublishedSizeHoldsOutFiveThousand) {
  const TemporaryFolder folder;
  const std::string batch = folder.write("batch", cifar_records(0, 10000));
  for (const char* name : {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4",
                           "data_batch_5", "test_batch"})
    make_link(batch, folder / std::string(name) + ".bin");
  const ImageData data = load_images(folder.path(), kSeed);
  EXPECT_EQ(data.train.size(), 45000);
  EXPECT_EQ(data.valid.size(), 5000);
  EXPECT_EQ(data.test.size(), 10000);
  EXPECT_TRUE(data.warnings.empty());
  expect_parts(data.description, {"45,000 / 5,000 / 10,000 images (train / held out / test)"});
}

TEST(Cifar10, NamesComeFromTheMetaFileOfEitherForm) {
  const TemporaryFolder folder;
  write_binary(folder);
  folder.write("batches.meta.txt", "a\nb\nc\nd\r\ne\nf\ng\nh\ni\nj\n\n");
  EXPECT_EQ(load_images(folder.path(), kSeed).classes[3], "d");
  folder.write("batches.meta.txt", "a\nb\n");
  expect_parts(refusal(folder.path()),
               {folder / "batches.meta.txt", "found 2 names", "expected 10"});
  folder.write("batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\x1b[2J\n");
  expect_parts(refusal(folder.path()), {"cannot be printed"});
  PickleWriter meta(2);
  meta.raw("}(").key("label_names").raw("](");
  for (const char* name : {"k", "l", "m", "n", "o", "p", "q", "r", "s", "t"}) meta.bytes(name);
  EXPECT_EQ(parse_cifar10_names(meta.raw("eu.").text(), "meta")[9], "t");
  EXPECT_THROW(parse_cifar10_names("\x80\x02N.", "meta"), Error);
}

TEST(Cifar10, DamagedBinaryFilesAreRefusedByNameAndPlace) {
  const TemporaryFolder folder;
  write_binary(folder);
  const std::string name = folder / "data_batch_2.bin", records = cifar_records(4, 30);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{3072}, size_t{3074}, records.size() - 1}) {
    if (size == 3074) continue;
    folder.write("data_batch_2.bin", records.substr(0, size));
    expect_parts(refusal(folder.path()),
                 {name, "found " + std::to_string(size) + " bytes", "positive multiple of 3073"});
  }
  std::string wrong = records;
  wrong[7 * 3073] = static_cast<char>(200);
  folder.write("data_batch_2.bin", wrong);
  expect_parts(refusal(folder.path()), {name, "found label 200 at image 7", "expected 0..9"});
  folder.write("data_batch_2.bin", records);
  remove_file(folder / "test_batch.bin");
  expect_parts(refusal(folder.path()), {folder / "test_batch.bin", "missing", "data_batch_1.bin"});
}

TEST(Cifar10, Cifar100IsRecognisedAndRefused) {
  const TemporaryFolder folder;
  write_binary(folder);
  folder.write("data_batch_3.bin", std::string(5 * size_t{3074}, '\1'));
  expect_parts(refusal(folder.path()), {folder / "data_batch_3.bin", "CIFAR-100", "CIFAR-10:"});
  const TemporaryFolder other;
  other.write("train.bin", std::string(3074, '\1'));
  other.write("test.bin", std::string(3074, '\1'));
  expect_parts(refusal(other.path()), {other.path(), "CIFAR-100"});
  const TemporaryFolder python;
  python.write("data_batch_1", cifar_pickle(2, {1}, {1, 3072, cifar_planes(0)}, "fine_labels"));
  python.write("test_batch", pickled_records(2, 0, 1));
  expect_parts(refusal(python.path()), {python / "data_batch_1", "CIFAR-100"});
}

TEST(Cifar10, PickledBatchesThatDoNotFitAreRefused) {
  const std::string pixels = cifar_planes(0);
  const auto refused = [](const std::string& bytes, const std::string& part) {
    try {
      parse_cifar10(bytes, "file");
      ADD_FAILURE() << part << ": accepted";
    } catch (const Error& error) {
      expect_parts(error.what(), {"file: ", part});
    }
  };
  EXPECT_EQ(parse_cifar10(cifar_pickle(2, {9}, {1, 3072, pixels}), "file").labels[0], 9);
  refused(cifar_pickle(2, {10}, {1, 3072, pixels}), "found label 10 at image 0");
  refused(cifar_pickle(2, {}, {0, 3072, ""}), "no list \"labels\"");
  refused(cifar_pickle(2, {1, 2}, {1, 3072, pixels}), "1 x 3072 values for 2 labels");
  refused(cifar_pickle(2, {1}, {1, 3071, pixels}), "1 x 3071 values");
  refused(cifar_pickle(2, {1}, {1, 3072, pixels + "x"}), "3073 bytes for 1 labels");
  refused(cifar_pickle(2, {1}, {1, 3072, pixels, "i8"}), "another element type");
  refused(cifar_pickle(2, {1}, {1, 3072, pixels, "u1", true}), "columns before rows");
  refused(cifar_pickle(2, {1}, {1, 3072, pixels}, "LABELS"), "no list \"labels\"");
  refused("\x80\x02].", "no dict");
  PickleWriter text(2);
  text.raw("}(")
      .key("labels")
      .raw(
          "](K\x01"
          "e")
      .key("data")
      .bytes(pixels)
      .raw("u.");
  refused(text.text(), "no numpy array");
}

// Kept from Python 3.11 with numpy 2.4 (and the published files' own opcodes, by hand): one image.
TEST(Cifar10, PicklesOfPythonItself) {
  const auto kept = [](const std::string& name) {
    return read_file(ENAS_SOURCE_DIR "/tests/fuzz/corpus/pickle/" + name, 1 << 20);
  };
  for (const char* name : {"python2", "python3_protocol3", "python3_protocol4",
                           "python3_bytes_protocol3", "python3_bytes_protocol4"}) {
    const std::string bytes = kept(name);
    const Cifar10Batch batch = parse_cifar10(bytes, name);
    EXPECT_EQ(batch.labels, std::vector<int32_t>{6}) << name;
    EXPECT_EQ(batch.bytes, cifar_planes(0)) << name;
  }
  const std::pair<const char*, const char*> refused[] = {
      {"python3_protocol2", "pixels as encoded text"},
      {"python3_protocol5", "pickle protocol 5; expected 2, 3 or 4"},
      {"fine_labels", "CIFAR-100"},
      {"wrong_dtype", "another element type"},
      {"hostile2", "the name posix.system"},
      {"hostile4", "the name posix.system"}};
  for (const auto& [name, part] : refused) {
    try {
      parse_cifar10(kept(name), name);
      ADD_FAILURE() << name << " was accepted";
    } catch (const Error& error) {
      expect_parts(error.what(), {name, part});
    }
  }
}

TEST(Cifar10, RealSet) {
  const char* folder = std::getenv("ENAS_CIFAR10");
  if (folder == nullptr) GTEST_SKIP() << "ENAS_CIFAR10 does not name the folder of CIFAR-10";
  const ImageData data = load_images(folder, kSeed);
  EXPECT_EQ(data.train.size(), 45000);
  EXPECT_EQ(data.valid.size(), 5000);
  EXPECT_EQ(data.test.size(), 10000);
  EXPECT_TRUE(data.warnings.empty());
  const int64_t first_batch[] = {1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981};
  std::vector<int64_t> train(10), test(10), batch(10);
  for (int64_t i = 0; i < 50000; ++i) {
    const auto label = static_cast<size_t>(data.all.labels.data<int32_t>()[i]);
    ++train[label];
    batch[label] += i < 10000;
  }
  for (int64_t i = 0; i < 10000; ++i)
    ++test[static_cast<size_t>(data.test.labels.data<int32_t>()[i])];
  EXPECT_EQ(train, std::vector<int64_t>(10, 5000));
  EXPECT_EQ(test, std::vector<int64_t>(10, 1000));
  EXPECT_TRUE(std::equal(batch.begin(), batch.end(), first_batch));
  const ChannelMoments moments = train_on_all(data).moments;
  const double means[] = {.4914, .4821, .4467};
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(moments.mean[c], means[c], 2e-3);
    EXPECT_NEAR(moments.deviation[c], c < 2 ? .245 : .261, 4e-3);
  }
}

}  // namespace
}  // namespace enas
