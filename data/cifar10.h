// CIFAR-10 (Krizhevsky 2009), 32x32 in ten classes, as published for C programs
// (cifar-10-batches-bin: records of a label byte and 3,072 bytes, planar R, G, B, row-major) and
// for Python (cifar-10-batches-py: a pickled dict of labels and an n x 3,072 array). Which of both
// a file is its first byte says. CIFAR-100 is recognised and refused.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/image_source.h"

namespace enas {

inline constexpr int64_t kCifarSide = 32;
inline constexpr int64_t kCifarBytes = 3 * kCifarSide * kCifarSide;

// One file. Image i is kCifarBytes planar bytes at first + i * stride; refers to the file's bytes.
struct Cifar10Batch {
  std::vector<int32_t> labels;
  std::string_view bytes;
  size_t first = 0, stride = 0;
};

// Refuses (kind data, naming the file) what is neither form, a label outside 0..9, other lengths
// than the labels need, and CIFAR-100.
Cifar10Batch parse_cifar10(std::string_view bytes, const std::string& name);

// The ten names of batches.meta.txt or of a pickled batches.meta.
std::vector<std::string> parse_cifar10_names(std::string_view bytes, const std::string& name);

// NHWC pixels of the batch: labels.size() * kCifarBytes bytes at `to`.
void interleave(const Cifar10Batch& batch, uint8_t* to);

// Whether the folder holds data_batch_N or data_batch_N.bin.
bool has_cifar10(const std::string& folder);
// Whether it holds what only CIFAR-100 has.
bool has_cifar100(const std::string& folder);
ImageSource load_cifar10(const std::string& folder);

}  // namespace enas
