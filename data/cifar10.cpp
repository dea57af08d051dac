// See cifar10.h.
#include "data/cifar10.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/file.h"
#include "data/grouped.h"
#include "data/pickle.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

constexpr uint64_t kLargestFile = uint64_t{1} << 30;
constexpr uint64_t kLargestNames = uint64_t{1} << 16;
constexpr size_t kRecord = 1 + kCifarBytes, kRecord100 = 2 + kCifarBytes;
constexpr int32_t kClasses = 10;
constexpr int64_t kFullTrain = 50000, kFullTest = 10000, kHeldOut = 5000;
constexpr const char* kNames[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                  "dog",      "frog",       "horse", "ship", "truck"};

using Kind = Pickle::Kind;

bool is_pickle(std::string_view bytes) {
  return !bytes.empty() && static_cast<unsigned char>(bytes[0]) == 0x80;
}

[[noreturn]] void refuse_cifar100(const std::string& name) {
  fail(ErrorKind::data, name,
       "found CIFAR-100 (two labels an image); expected CIFAR-10: get cifar-10-binary.tar.gz or "
       "cifar-10-python.tar.gz, unpack it and name its folder");
}

void check_label(int64_t label, size_t image, const std::string& name) {
  check(label >= 0 && label < kClasses, ErrorKind::data, name, "found label ", label, " at image ",
        image, "; expected 0..", kClasses - 1);
}

Cifar10Batch parse_binary(std::string_view bytes, const std::string& name) {
  if (bytes.size() % kRecord != 0 && bytes.size() % kRecord100 == 0) refuse_cifar100(name);
  check(!bytes.empty() && bytes.size() % kRecord == 0, ErrorKind::data, name, "found ",
        bytes.size(), " bytes; expected a positive multiple of ", kRecord,
        " (a label and 3,072 pixels; the published files have 30,730,000): get it again");
  Cifar10Batch batch{{}, bytes, 1, kRecord};
  batch.labels.resize(bytes.size() / kRecord);
  for (size_t i = 0; i < batch.labels.size(); ++i) {
    batch.labels[i] = static_cast<unsigned char>(bytes[i * kRecord]);
    check_label(batch.labels[i], i, name);
  }
  return batch;
}

// The pixels of a numpy array of type u1 and shape (n, 3072), rows first: what is written as
// _reconstruct(ndarray, ...) with the state (version, shape, dtype(name, ...), fortran, bytes).
std::string_view pixels_of(const Pickle& pickle, const Pickle::Value& data, size_t images,
                           const std::string& name) {
  const auto expect = [&](bool ok, std::string_view what) {
    check(ok, ErrorKind::data, name, "\"data\": found ", what,
          "; expected a numpy array of uint8 with a row of 3,072 pixels an image");
  };
  expect(data.kind == Kind::object && data.items.size() == 3 &&
             pickle.is_global(data.items[0], PickleGlobal::reconstruct),
         "no numpy array");
  const Pickle::Value& state = pickle[data.items[2]];
  expect(state.kind == Kind::tuple && state.items.size() == 5, "an array of an unknown version");
  const Pickle::Value& shape = pickle[state.items[1]];
  const Pickle::Value& dtype = pickle[state.items[2]];
  const Pickle::Value& fortran = pickle[state.items[3]];
  const Pickle::Value& pixels = pickle[state.items[4]];
  expect(dtype.kind == Kind::object && pickle.is_global(dtype.items[0], PickleGlobal::dtype) &&
             !pickle[dtype.items[1]].items.empty() &&
             pickle[pickle[dtype.items[1]].items[0]].text == "u1",
         "another element type");
  expect(fortran.kind == Kind::boolean && fortran.number == 0, "columns before rows");
  expect(shape.kind == Kind::tuple && shape.items.size() == 2, "another rank");
  const int64_t rows = pickle[shape.items[0]].number, columns = pickle[shape.items[1]].number;
  expect(columns == kCifarBytes && rows == static_cast<int64_t>(images),
         fmt::format("{} x {} values for {} labels", rows, columns, images));
  expect(pixels.kind == Kind::text,
         "pixels as encoded text (saved by Python 3 with protocol 2: save again with 4)");
  expect(pixels.text.size() == images * static_cast<size_t>(kCifarBytes),
         fmt::format("{} bytes for {} labels", pixels.text.size(), images));
  return pixels.text;
}

Cifar10Batch parse_pickle(std::string_view bytes, const std::string& name) {
  const Pickle pickle(bytes, name);
  const Pickle::Value& root = pickle.root();
  check(root.kind == Kind::dict, ErrorKind::data, name,
        "found a pickle that is no dict; expected one with \"labels\" and \"data\"");
  if (pickle.find(root, "fine_labels") != nullptr) refuse_cifar100(name);
  const Pickle::Value* labels = pickle.find(root, "labels");
  const Pickle::Value* data = pickle.find(root, "data");
  check(
      labels != nullptr && data != nullptr && labels->kind == Kind::list && !labels->items.empty(),
      ErrorKind::data, name, "found no list \"labels\" or no \"data\"; expected a batch of the ",
      "python version of CIFAR-10");
  Cifar10Batch batch;
  for (const Pickle::Id id : labels->items) {
    check(pickle[id].kind == Kind::integer, ErrorKind::data, name, "found a label that is no ",
          "integer at image ", batch.labels.size(), "; expected 0..", kClasses - 1);
    check_label(pickle[id].number, batch.labels.size(), name);
    batch.labels.push_back(static_cast<int32_t>(pickle[id].number));
  }
  batch.bytes = pixels_of(pickle, *data, batch.labels.size(), name);
  batch.stride = kCifarBytes;
  return batch;
}

// data_batch_N[suffix], by N.
std::vector<std::string> batch_names(const std::string& folder, std::string_view suffix) {
  std::vector<std::pair<int, std::string>> found;
  for (const std::string& name : list(folder)) {
    for (int n = 1; n <= 9; ++n)
      if (name == fmt::format("data_batch_{}{}", n, suffix)) found.emplace_back(n, name);
  }
  std::vector<std::string> names;
  for (const auto& [n, name] : found) names.push_back(name);
  return names;
}

// A part from its files; the raw bytes of a file go as soon as its pixels are in place.
ImageSet read_part(const std::string& folder, const std::vector<std::string>& names) {
  std::vector<std::string> files;
  std::vector<Cifar10Batch> batches;
  int64_t images = 0;
  files.reserve(names.size());  // batches refer to them
  for (const std::string& name : names) {
    const std::string path = folder + "/" + name;
    files.push_back(read_data_file(path, kLargestFile));
    batches.push_back(parse_cifar10(files.back(), path));
    images += static_cast<int64_t>(batches.back().labels.size());
  }
  ImageSet set{Tensor(Shape{images, kCifarSide, kCifarSide, 3}, DType::u8),
               Tensor(Shape{images}, DType::i32)};
  uint8_t* to = set.images.data<uint8_t>();
  int32_t* label = set.labels.data<int32_t>();
  for (size_t i = 0; i < files.size(); ++i) {
    interleave(batches[i], to);
    to += static_cast<int64_t>(batches[i].labels.size()) * kCifarBytes;
    label = std::copy(batches[i].labels.begin(), batches[i].labels.end(), label);
    std::string().swap(files[i]);
  }
  return set;
}

std::vector<std::string> class_names(const std::string& folder) {
  for (const char* name : {"batches.meta.txt", "batches.meta"}) {
    const std::string path = folder + "/" + name;
    if (exists(path) && !is_directory(path))
      return parse_cifar10_names(read_data_file(path, kLargestNames), path);
  }
  return {std::begin(kNames), std::end(kNames)};
}

}  // namespace

Cifar10Batch parse_cifar10(std::string_view bytes, const std::string& name) {
  return is_pickle(bytes) ? parse_pickle(bytes, name) : parse_binary(bytes, name);
}

std::vector<std::string> parse_cifar10_names(std::string_view bytes, const std::string& name) {
  std::vector<std::string> names;
  if (is_pickle(bytes)) {
    const Pickle pickle(bytes, name);
    const Pickle::Value* list = nullptr;
    if (pickle.root().kind == Kind::dict) list = pickle.find(pickle.root(), "label_names");
    check(list != nullptr && list->kind == Kind::list, ErrorKind::data, name,
          "found no list \"label_names\"; expected ", kClasses, " names");
    for (const Pickle::Id id : list->items) names.emplace_back(pickle[id].text);
  } else {
    for (std::string_view rest = bytes; !rest.empty();) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (!line.empty()) names.emplace_back(line);
    }
  }
  check(names.size() == kClasses, ErrorKind::data, name, "found ", names.size(),
        " names; expected ", kClasses, ", one a class");
  for (const std::string& text : names) check_class_name(text, name);
  return names;
}

void interleave(const Cifar10Batch& batch, uint8_t* to) {
  constexpr int64_t kPlane = kCifarSide * kCifarSide, kGrain = 64;
  const auto images = static_cast<int64_t>(batch.labels.size());
  parallel_for(images, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const char* plane = batch.bytes.data() + batch.first + static_cast<size_t>(i) * batch.stride;
      uint8_t* pixel = to + i * kCifarBytes;
      for (int64_t p = 0; p < kPlane; ++p)
        for (int64_t c = 0; c < 3; ++c) *pixel++ = static_cast<uint8_t>(plane[c * kPlane + p]);
    }
  });
}

bool has_cifar10(const std::string& folder) {
  return !batch_names(folder, ".bin").empty() || !batch_names(folder, "").empty();
}

bool has_cifar100(const std::string& folder) {
  const std::vector<std::string> names = list(folder);
  const auto has = [&](const char* name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return has("fine_label_names.txt") || (has("train.bin") && has("test.bin")) ||
         (has("train") && !is_directory(folder + "/train") && has("meta"));
}

ImageSource load_cifar10(const std::string& folder) {
  const bool binary = !batch_names(folder, ".bin").empty();
  const std::string suffix = binary ? ".bin" : "";
  const std::vector<std::string> names = batch_names(folder, suffix);
  const std::string test = "test_batch" + suffix;
  check(exists(folder + "/" + test), ErrorKind::data, folder + "/" + test,
        "missing; expected it beside ", names.front());
  ImageSource source;
  source.what = fmt::format("CIFAR-10 in {} form, folder {}", binary ? "binary" : "python", folder);
  source.classes = class_names(folder);
  source.train = read_part(folder, names);
  source.test = read_part(folder, {test});
  const int64_t images = source.train.size(), tests = source.test.size();
  check(images >= 2, ErrorKind::data, folder, "found ", images,
        " training image; expected at least 2, of which one is held out");
  source.held_out = images >= kFullTrain ? kHeldOut : std::max<int64_t>(1, images / 10);
  if (images != kFullTrain || tests != kFullTest)
    source.warnings.push_back(fmt::format(
        "{}: a part of CIFAR-10: found {} training and {} test images in {} + 1 files, the "
        "published set has {} and {} in 5 + 1",
        folder, grouped(images), grouped(tests), names.size(), grouped(kFullTrain),
        grouped(kFullTest)));
  return source;
}

}  // namespace enas
