// What shared.safetensors and model.safetensors of enas_cifar say beside format and config
// (docs/formats.md): space, arch, classes, image_size, mean, deviation, and what the network was
// built with.
#pragma once
#include <string>

#include "apps/cifar/options.h"
#include "apps/run/weights.h"

namespace enas {

// What every weight file says of its data.
Metadata image_metadata(const ImageSpace& space, const ImageData& data,
                        const ChannelMoments& moments, const std::string& config);
// The images of a file: their size, and whether they were scaled to it.
struct ImageExtent {
  int64_t height = 32, width = 32;
  bool scaled = false;
};
ImageExtent image_extent(const Metadata& metadata, const std::string& path);
// Refuses (kind checkpoint) a file for other classes or another image size, naming both.
void check_image_data(const Metadata& metadata, const ImageData& data, const std::string& path);

// Of model.safetensors, read back as they were written. Refuses (kind checkpoint) missing or bad
// entries.
void add_final_options(Metadata& metadata, const MacroFinalOptions& options);
void add_final_options(Metadata& metadata, const MicroFinalOptions& options);
struct ModelFile {
  WeightFile file;
  ImageSpace space;
  Architecture arch;
  ChannelMoments moments;
  ImageShape shape;
  std::vector<std::string> classes;
  ImageExtent extent;
};
ModelFile load_model_file(const std::string& path);
MacroFinalOptions macro_final_options(const ModelFile& model);
MicroFinalOptions micro_final_options(const ModelFile& model);

}  // namespace enas
