// See image_folder.h.
#include "data/image_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "data/file.h"
#include "data/image_loader.h"
#include "data/stb_image.h"

namespace enas {
namespace {

constexpr uint64_t kLargestImage = uint64_t{64} << 20;
constexpr int64_t kMostImages = int64_t{1} << 24;
constexpr int64_t kMostClasses = 1000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_image_name(std::string_view name) {
  if (name.empty() || name[0] == '.') return false;
  std::string low(name);
  for (char& c : low) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const std::string_view ending : {".png", ".jpg", ".jpeg"})
    if (low.size() > ending.size() &&
        low.compare(low.size() - ending.size(), ending.size(), ending) == 0)
      return true;
  return false;
}

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end(), numeric_less);
  return names;
}

std::vector<std::string> folders_in(const std::string& path) {
  std::vector<std::string> names;
  for (const std::string& name : list(path))
    if (name[0] != '.' && is_directory(path + "/" + name)) names.push_back(name);
  return sorted(names);
}

struct Item {
  std::string path;
  int32_t label;
};

// The images of a class, refusing none.
std::vector<Item> items_of(const std::string& path, int32_t label) {
  std::vector<std::string> names;
  for (const std::string& name : list(path))
    if (is_image_name(name) && !is_directory(path + "/" + name)) names.push_back(name);
  check(!names.empty(), ErrorKind::data, path,
        "found no image; expected *.png or *.jpg: fill or remove this class");
  std::vector<Item> items;
  for (const std::string& name : sorted(names)) items.push_back({path + "/" + name, label});
  check(static_cast<int64_t>(items.size()) <= kMostImages, ErrorKind::data, path, "found ",
        items.size(), " images; expected at most ", kMostImages);
  return items;
}

std::vector<EncodedImage> read_images(const std::vector<Item>& items) {
  std::vector<EncodedImage> images;
  for (const Item& item : items) {
    std::string bytes = read_data_file(item.path, kLargestImage);
    const ImageSize size = image_size(bytes, item.path);
    images.push_back({item.path, std::move(bytes), size.height, size.width});
  }
  return images;
}

Tensor labels_of(const std::vector<Item>& items) {
  Tensor labels(Shape{static_cast<int64_t>(items.size())}, DType::i32);
  for (size_t i = 0; i < items.size(); ++i) labels.data<int32_t>()[i] = items[i].label;
  return labels;
}

// The pixels of images of one size; each file's bytes are given up as it is decoded.
Tensor decoded(std::vector<EncodedImage>& images) {
  const int64_t height = images[0].height, width = images[0].width;
  Tensor pixels(Shape{static_cast<int64_t>(images.size()), height, width, 3}, DType::u8);
  uint8_t* to = pixels.data<uint8_t>();
  for (EncodedImage& image : images) {
    decode_image(image.bytes, image.path, {height, width}, to);
    image.bytes = {};
    to += height * width * 3;
  }
  return pixels;
}

// A seeded tenth of the class, at least one, moved to `held_out`.
void hold_out(std::vector<Item>& items, const Random& random, std::vector<Item>& held_out) {
  const auto n = static_cast<int64_t>(items.size());
  std::vector<int32_t> order = permutation(n, random);
  order.resize(static_cast<size_t>(std::max<int64_t>(1, n / 10)));
  std::sort(order.begin(), order.end());
  for (const int32_t i : order) held_out.push_back(items[static_cast<size_t>(i)]);
  for (auto i = order.rbegin(); i != order.rend(); ++i) items.erase(items.begin() + *i);
}

std::vector<Item> train_items(const std::string& train, const std::vector<std::string>& classes,
                              uint64_t seed, int64_t& held_out_count) {
  std::vector<Item> kept, held_out;
  for (size_t c = 0; c < classes.size(); ++c) {
    const std::string path = train + "/" + classes[c];
    std::vector<Item> items = items_of(path, static_cast<int32_t>(c));
    check(items.size() >= 2, ErrorKind::data, path,
          "found 1 image; expected at least 2, of which one is held out");
    hold_out(items, Random{seed, Stream::image_hold_out, c}, held_out);
    kept.insert(kept.end(), items.begin(), items.end());
  }
  held_out_count = static_cast<int64_t>(held_out.size());
  kept.insert(kept.end(), held_out.begin(), held_out.end());
  return kept;
}

std::vector<Item> test_items(const std::string& test, ImageSource& source) {
  std::vector<Item> items;
  std::vector<std::string> missing = source.classes;
  for (const std::string& name : folders_in(test)) {
    const auto found = std::find(source.classes.begin(), source.classes.end(), name);
    check(found != source.classes.end(), ErrorKind::data, test + "/" + name,
          "found a class that train/ lacks; expected one of its ", source.classes.size());
    const auto label = static_cast<int32_t>(found - source.classes.begin());
    const std::vector<Item> more = items_of(test + "/" + name, label);
    items.insert(items.end(), more.begin(), more.end());
    missing.erase(std::find(missing.begin(), missing.end(), name));
  }
  check(!items.empty(), ErrorKind::data, test,
        "found no class; expected the folders of train/, or no folder test/");
  if (!missing.empty())
    source.warnings.push_back(
        fmt::format("{}: {} of {} classes have no test images, {} the first of them", test,
                    missing.size(), source.classes.size(), missing.front()));
  return items;
}

}  // namespace

bool numeric_less(std::string_view a, std::string_view b) {
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (!is_digit(a[i]) || !is_digit(b[j])) {
      if (a[i] != b[j]) return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[j]);
      ++i;
      ++j;
      continue;
    }
    const auto digits = [](std::string_view text, size_t& at) {
      while (at < text.size() && text[at] == '0') ++at;
      const size_t begin = at;
      while (at < text.size() && is_digit(text[at])) ++at;
      return text.substr(begin, at - begin);
    };
    const std::string_view x = digits(a, i), y = digits(b, j);
    if (x.size() != y.size()) return x.size() < y.size();
    if (x != y) return x < y;
  }
  if (i < a.size() || j < b.size()) return j < b.size();
  return a < b;  // 01 and 1
}

bool has_image_folder(const std::string& folder) {
  const std::string train = folder + "/train";
  return is_directory(train) && !folders_in(train).empty();
}

ImageSource load_image_folder(const std::string& folder, uint64_t seed) {
  const std::string train = folder + "/train", test = folder + "/test";
  ImageSource source;
  source.classes = folders_in(train);
  const auto classes = static_cast<int64_t>(source.classes.size());
  check(classes >= 2 && classes <= kMostClasses, ErrorKind::data, train, "found ", classes,
        " class folder", classes == 1 ? "" : "s", "; expected 2..", kMostClasses);
  for (const std::string& name : source.classes) check_class_name(name, train);
  const bool has_test = is_directory(test);
  const std::vector<Item> training = train_items(train, source.classes, seed, source.held_out),
                          testing = has_test ? test_items(test, source) : std::vector<Item>();
  EncodedImages images{read_images(training), read_images(testing)};
  source.train.labels = labels_of(training);
  if (has_test) source.test.labels = labels_of(testing);
  const auto as_first = [&](const EncodedImage& image) {
    return image.height == images.all[0].height && image.width == images.all[0].width;
  };
  if (std::all_of(images.all.begin(), images.all.end(), as_first) &&
      std::all_of(images.test.begin(), images.test.end(), as_first)) {
    source.train.images = decoded(images.all);
    if (has_test) source.test.images = decoded(images.test);
  } else {
    source.encoded = std::make_shared<const EncodedImages>(std::move(images));
  }
  source.what =
      fmt::format("image folder {} (train/CLASS/{})", folder, has_test ? ", test/CLASS/" : "");
  return source;
}

}  // namespace enas
