// Target: one file of CIFAR-10. First byte even: the rest is a batch in either form; odd: it is a
// file of class names. A batch that is accepted has its labels in range and its pixels, which come
// out in their places.
#include <vector>

#include "data/cifar10.h"
#include "data/text.h"
#include "tests/fuzz/fuzz.h"

namespace enas {
namespace {

void check_batch(std::string_view bytes) {
  Cifar10Batch batch;
  if (!accepts(ErrorKind::data, [&] { batch = parse_cifar10(bytes, "input"); })) return;
  require(!batch.labels.empty(), "a batch has an image");
  for (const int32_t label : batch.labels) require(label >= 0 && label < 10, "a label is in range");
  const size_t images = batch.labels.size();
  require(batch.first + (images - 1) * batch.stride + kCifarBytes <= batch.bytes.size(),
          "the pixels are in the file");
  std::vector<uint8_t> pixels(images * static_cast<size_t>(kCifarBytes));
  interleave(batch, pixels.data());
  const std::string_view last = batch.bytes.substr(batch.first + (images - 1) * batch.stride);
  require(pixels.back() == static_cast<uint8_t>(last[kCifarBytes - 1]), "a pixel is in its place");
}

void check_names(std::string_view bytes) {
  std::vector<std::string> names;
  if (!accepts(ErrorKind::data, [&] { names = parse_cifar10_names(bytes, "input"); })) return;
  require(names.size() == 10, "there are ten names");
  for (const std::string& name : names)
    require(!name.empty() && utf8_error(name) == name.size(), "a name is UTF-8");
}

}  // namespace
}  // namespace enas

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  enas::FuzzInput input(data, size);
  if (input.byte() % 2 == 0)
    enas::check_batch(input.rest());
  else
    enas::check_names(input.rest());
  return 0;
}
