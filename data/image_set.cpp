// See image_set.h.
#include "data/image_set.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "data/builtin_images.h"
#include "data/cifar10.h"
#include "data/file.h"
#include "data/grouped.h"
#include "data/image_folder.h"
#include "data/image_source.h"
#include "data/scale_images.h"
#include "data/stb_image.h"
#include "data/text.h"

namespace enas {
namespace {

constexpr uint64_t kLargestImage = uint64_t{64} << 20;
constexpr size_t kLongestName = 255;
constexpr std::string_view kExpected =
    "expected a folder with CIFAR-10 (data_batch_1.bin or data_batch_1, ...), a folder "
    "train/CLASS/*.png|jpg, or builtin:shapes10";

// Of all training pixels of CIFAR-10 as decoded from JPEG of quality 75 by stb_image.
constexpr uint64_t kJpegTrainHash = 0x52aeaa9eb110d24e;

uint64_t hash(const Tensor& tensor) { return XXH3_64bits(tensor.raw(), tensor.bytes()); }

uint64_t fingerprint(const ImageData& data) {
  std::string text;
  const auto add = [&](const Tensor& tensor) {
    text += tensor.defined() ? fmt::format("{:016x} ", hash(tensor)) : "none ";
  };
  add(data.all.images);
  add(data.all.labels);
  add(data.test.images);
  add(data.test.labels);
  text += fmt::format("{} {} ", data.train.size(), data.valid.size());
  if (data.encoded == nullptr) {
    text += fmt::format("{}x{}", data.height(), data.width());
  } else {
    for (const auto* part : {&data.encoded->all, &data.encoded->test})
      for (const EncodedImage& image : *part)
        text += fmt::format("{:016x} ", XXH3_64bits(image.bytes.data(), image.bytes.size()));
  }
  for (const std::string& name : data.classes) text += "\n" + name;
  return XXH3_64bits(text.data(), text.size());
}

// "32 x 32 pixels", or from the smallest to the largest sides.
std::string sizes_text(const ImageData& data) {
  if (data.encoded == nullptr) return fmt::format("{} x {} pixels", data.width(), data.height());
  const EncodedImage& first = data.encoded->all.front();
  int64_t low[2] = {first.width, first.height}, high[2] = {first.width, first.height};
  for (const auto* part : {&data.encoded->all, &data.encoded->test}) {
    for (const EncodedImage& image : *part) {
      low[0] = std::min(low[0], image.width), high[0] = std::max(high[0], image.width);
      low[1] = std::min(low[1], image.height), high[1] = std::max(high[1], image.height);
    }
  }
  return fmt::format("of several sizes, {}..{} x {}..{} pixels (--image-size S scales them)",
                     low[0], high[0], low[1], high[1]);
}

ImageData split(ImageSource source) {
  ImageData data;
  data.all = std::move(source.train);
  data.test = std::move(source.test);
  data.classes = std::move(source.classes);
  data.warnings = std::move(source.warnings);
  const int64_t images = data.all.size(), kept = images - source.held_out;
  data.encoded = std::move(source.encoded);
  const bool pixels = data.encoded == nullptr;
  const auto slice = [&](int64_t begin, int64_t end) -> ImageSet {
    return {pixels ? data.all.images.slice(begin, end) : Tensor(),
            data.all.labels.slice(begin, end)};
  };
  data.train = slice(0, kept), data.valid = slice(kept, images);
  if (pixels) data.moments = channel_moments(data.train.images);
  data.fingerprint = fingerprint(data);
  data.description = fmt::format(
      "{}: {} / {} / {} images (train / held out / test), {}, {} classes{}", source.what,
      grouped(kept), grouped(source.held_out), grouped(data.test.size()), sizes_text(data),
      data.classes.size(),
      pixels && hash(data.all.images) == kJpegTrainHash ? ", JPEG pixels (quality 75)" : "");
  return data;
}

// "" where there is none; what is there but unusable is refused.
std::string text_in(const std::string& folder) {
  for (const char* name : {"ptb.train.txt", "train.txt", "wiki.train.tokens"})
    if (exists(folder + "/" + name)) return name;
  return exists(folder + "/train") && !is_directory(folder + "/train") ? "train" : "";
}

bool is_recognised(const std::string& folder) {
  return has_cifar10(folder) || has_image_folder(folder);
}

ImageSource load_recognised(const std::string& folder, uint64_t seed) {
  return has_cifar10(folder) ? load_cifar10(folder) : load_image_folder(folder, seed);
}

void refuse_cifar100(const std::string& folder) {
  check(!has_cifar100(folder), ErrorKind::data, folder, "found CIFAR-100; expected CIFAR-10 (get ",
        "cifar-10-binary.tar.gz or cifar-10-python.tar.gz and unpack it)");
}

ImageSource load_folder(const std::string& folder, uint64_t seed) {
  if (is_recognised(folder)) return load_recognised(folder, seed);
  std::vector<std::string> inner;
  for (const std::string& name : list(folder)) {
    const std::string path = folder + "/" + name;
    if (name[0] != '.' && is_directory(path) && is_recognised(path)) inner.push_back(path);
  }
  // The two forms of CIFAR-10 side by side are the same images.
  const bool same = std::all_of(inner.begin(), inner.end(), has_cifar10) && inner.size() == 2;
  if (inner.size() == 1 || same) return load_recognised(inner.front(), seed);
  check(inner.empty(), ErrorKind::data, folder, "found ", inner.size(), " data sets, ",
        inner.empty() ? "" : inner[0], " and others; name one of them");
  refuse_cifar100(folder);
  for (const std::string& name : list(folder)) {
    const std::string path = folder + "/" + name;
    if (name[0] != '.' && is_directory(path)) refuse_cifar100(path);
  }
  const std::string text = text_in(folder);
  check(text.empty(), ErrorKind::data, folder, "found text (", text, "); ", kExpected,
        "; text is for enas_ptb");
  fail(ErrorKind::data, folder, "found no images in this folder or one in it; ", kExpected);
}

[[noreturn]] void refuse_file(const std::string& path) {
  const std::string bytes = read_data_file(path, uint64_t{4} << 30);
  const auto begins = [&](std::string_view with) {
    return bytes.compare(0, with.size(), with) == 0;
  };
  const bool archive = begins("\x1f\x8b") || begins("PK\x03\x04");
  const bool image = begins("\x89PNG") || begins("\xff\xd8\xff");
  const bool batch = (!bytes.empty() && bytes.size() % (1 + kCifarBytes) == 0) || begins("\x80");
  const bool text =
      !bytes.empty() && bytes.find('\0') == std::string::npos && utf8_error(bytes) == bytes.size();
  fail(ErrorKind::data, path, "found ",
       archive ? "an archive (unpack it and name the folder)"
       : image ? "one image"
       : batch ? "one file of CIFAR-10, it seems (name its folder)"
       : text  ? "text (which is for enas_ptb)"
               : "a file of another kind",
       "; ", kExpected);
}

ImageSource load(const std::string& path, uint64_t seed) {
  if (path.compare(0, 8, "builtin:") == 0) {
    check(
        path == "builtin:shapes10", ErrorKind::data, path,
        path == "builtin:tiny-text" ? "is text, which is for enas_ptb" : "no such built-in images",
        "; expected builtin:shapes10");
    return shapes10();
  }
  if (is_directory(path)) return load_folder(path, seed);
  check(exists(path), ErrorKind::data, path, "no such file or folder; ", kExpected);
  refuse_file(path);
}

}  // namespace

std::string read_data_file(const std::string& path, uint64_t max_bytes) {
  std::error_code ignored;
  const std::filesystem::file_type type = std::filesystem::status(path, ignored).type();
  check(type != std::filesystem::file_type::fifo && type != std::filesystem::file_type::character,
        ErrorKind::data, path, "is a pipe or a device; expected a file");
  return read_file(path, max_bytes);
}

void check_class_name(std::string_view name, const std::string& where) {
  const auto is_control = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  };
  check(!name.empty() && name.size() <= kLongestName && utf8_error(name) == name.size() &&
            std::none_of(name.begin(), name.end(), is_control),
        ErrorKind::data, where, "found a class name of ", name.size(),
        " bytes that cannot be printed; expected 1..", kLongestName,
        " bytes of UTF-8 without control characters: rename it");
}

// Sums of integers, so that the order does not matter.
ChannelMoments channel_moments(const Tensor& images) {
  std::array<uint64_t, 3> sum{}, squares{};
  const uint8_t* pixel = images.data<uint8_t>();
  const int64_t pixels = images.numel() / 3;
  for (int64_t i = 0; i < pixels; ++i) {
    for (size_t c = 0; c < 3; ++c, ++pixel) {
      sum[c] += *pixel;
      squares[c] += static_cast<uint64_t>(*pixel) * *pixel;
    }
  }
  ChannelMoments moments;
  const auto n = static_cast<double>(pixels);
  for (size_t c = 0; c < 3; ++c) {
    const double mean = static_cast<double>(sum[c]) / n;
    const double variance = static_cast<double>(squares[c]) / n - mean * mean;
    moments.mean[c] = mean / 255;
    moments.deviation[c] = std::max(1.0, std::sqrt(std::max(0.0, variance))) / 255;
  }
  return moments;
}

ImageData load_images(const std::string& path_or_builtin, uint64_t seed) {
  return split(load(path_or_builtin, seed));
}

void check_one_size(const ImageData& data) {
  if (data.encoded == nullptr) return;
  const EncodedImage& first = data.encoded->all.front();
  for (const auto* part : {&data.encoded->all, &data.encoded->test}) {
    for (const EncodedImage& image : *part) {
      check(image.height == first.height && image.width == first.width, ErrorKind::data, image.path,
            "found ", image.width, " x ", image.height, " pixels; expected ", first.width, " x ",
            first.height, " as ", first.path,
            " has: give --image-size N, which scales all images to N x N, or bring them to one "
            "size");
    }
  }
}

ImageData train_on_all(ImageData data) {
  data.train = data.all;
  data.valid = {};
  data.moments = channel_moments(data.train.images);
  return data;
}

Tensor load_image(const std::string& path, int64_t height, int64_t width, bool scale) {
  const std::string bytes = read_data_file(path, kLargestImage);
  const ImageSize size = image_size(bytes, path);
  check(scale || size == ImageSize{height, width}, ErrorKind::data, path, "found ", size.width,
        " x ", size.height, " pixels; expected ", width, " x ", height,
        ", the size that the model was trained on: crop or resize it first");
  Tensor image(Shape{1, size.height, size.width, 3}, DType::u8);
  decode_image(bytes, path, size, image.data<uint8_t>());
  return size == ImageSize{height, width} ? image : scale_images(image, height, width);
}

}  // namespace enas
