// Labelled images in memory: train, held-out and test part of a data set, as u8 pixels with their
// classes. What is held out is never trained on and never test (docs/method.md, "selection on
// CIFAR"): of CIFAR-10 the last 5,000 training images (of a subset the last tenth), of
// builtin:shapes10 its own 1,000, of an image folder a seeded tenth of each class, at least one.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace enas {

struct ImageSet {
  Tensor images;  // u8 [N, H, W, 3]
  Tensor labels;  // i32 [N]; both undefined where the part is empty

  int64_t size() const { return labels.defined() ? labels.size(0) : 0; }
};

// An image as it lies in its file.
struct EncodedImage {
  std::string path, bytes;
  int64_t height = 0, width = 0;
};
// Of a folder whose images differ in size, in the order of the labels.
struct EncodedImages {
  std::vector<EncodedImage> all, test;
};

// Per channel, of pixels / 255. A deviation is at least 1/255, so that one can divide by it.
struct ChannelMoments {
  std::array<double, 3> mean{}, deviation{};
};
ChannelMoments channel_moments(const Tensor& images);

struct ImageData {
  std::string description;            // one line: what was recognised, with counts
  std::vector<std::string> warnings;  // one line each: a subset, classes without test images
  std::vector<std::string> classes;   // label -> name
  ImageSet train, valid, test;        // test may be empty
  ChannelMoments moments;             // of train
  uint64_t fingerprint = 0;           // over pixels, labels, classes and parts
  bool scaled = false;                // by scale_images.h, to a size that the user chose
  // Where the images differ in size: then no part has pixels, and moments are not known, until
  // scale_images.h has made them.
  std::shared_ptr<const EncodedImages> encoded;

  int64_t height() const { return train.images.size(1); }
  int64_t width() const { return train.images.size(2); }

  // Backs train and valid, valid last: what train_on_all trains on.
  ImageSet all;
};

// A folder with CIFAR-10 in binary or python form, a folder train/CLASS/*.png|jpg [test/CLASS/...],
// a folder with one of these in it, or builtin:shapes10. The seed chooses what is held out of an
// image folder. Kind data, naming the file, for everything else.
ImageData load_images(const std::string& path_or_builtin, uint64_t seed);

// Refuses (kind data, naming two files) images that differ in size.
void check_one_size(const ImageData& data);

// train: everything, with its moments; valid: nothing.
ImageData train_on_all(ImageData data);

// One PNG or JPEG as u8 [1, height, width, 3], for `predict`. Another size is scaled where `scale`
// says so, else refused (kind data).
Tensor load_image(const std::string& path, int64_t height, int64_t width, bool scale = false);

}  // namespace enas
