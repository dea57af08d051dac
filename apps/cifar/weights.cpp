#include "apps/cifar/weights.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "nn/safetensors.h"

namespace enas {
namespace {

std::string join(const std::array<double, 3>& values) {
  return shortest(values[0]) + " " + shortest(values[1]) + " " + shortest(values[2]);
}

double number(const std::string& text, const char** rest, bool& good) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str() + (*rest - text.c_str()), &end);
  good = good && end != *rest && value > -1e9 && value < 1e9;
  *rest = end;
  return value;
}

std::array<double, 3> triple(const Metadata& metadata, const std::string& key,
                             const std::string& path) {
  const std::string& text = metadata_entry(metadata, key, path);
  std::array<double, 3> values{};
  const char* rest = text.c_str();
  bool good = true;
  for (double& value : values) value = number(text, &rest, good);
  check(good && *rest == '\0', ErrorKind::checkpoint, path, "metadata '", key, "' is ",
        quote_name(text), ", expected three numbers");
  return values;
}

double positive_real(const Metadata& metadata, const std::string& key, const std::string& path) {
  const std::string& text = metadata_entry(metadata, key, path);
  const char* rest = text.c_str();
  bool good = true;
  const double value = number(text, &rest, good);
  check(good && *rest == '\0' && value >= 0 && value <= 1, ErrorKind::checkpoint, path,
        "metadata '", key, "' is ", quote_name(text), ", expected a number 0 to 1");
  return value;
}

bool flag(const Metadata& metadata, const std::string& key, const std::string& path) {
  return metadata_choice(metadata, key, path, {"false", "true"}) == "true";
}

std::vector<std::string> class_names(const Metadata& metadata, const std::string& path) {
  const auto json =
      nlohmann::json::parse(metadata_entry(metadata, "class_names", path), nullptr, false);
  std::vector<std::string> names;
  check(json.is_array(), ErrorKind::checkpoint, path, "metadata 'class_names' is no list of names");
  for (const auto& name : json) {
    check(name.is_string(), ErrorKind::checkpoint, path,
          "metadata 'class_names' is no list of names");
    names.push_back(name.get<std::string>());
  }
  return names;
}

const char* text(bool value) { return value ? "true" : "false"; }

}  // namespace

Metadata image_metadata(const ImageSpace& space, const ImageData& data,
                        const ChannelMoments& moments, const std::string& config) {
  Metadata metadata = {{"format", kWeightsFormat},
                       {"space", space_name(space)},
                       {"classes", std::to_string(data.classes.size())},
                       {"class_names", nlohmann::json(data.classes).dump()},
                       {"image_size", std::to_string(data.height())},
                       {"mean", join(moments.mean)},
                       {"deviation", join(moments.deviation)},
                       {"config", config}};
  if (data.width() != data.height()) metadata["image_width"] = std::to_string(data.width());
  if (data.scaled) metadata["scaled"] = "true";
  return metadata;
}

ImageExtent image_extent(const Metadata& metadata, const std::string& path) {
  const int64_t height = metadata_integer(metadata, "image_size", path, 4096);
  const bool wide = metadata.count("image_width") != 0;
  return {height, wide ? metadata_integer(metadata, "image_width", path, 4096) : height,
          metadata.count("scaled") != 0 && flag(metadata, "scaled", path)};
}

void check_image_data(const Metadata& metadata, const ImageData& data, const std::string& path) {
  const ImageExtent extent = image_extent(metadata, path);
  const std::vector<std::string> names = class_names(metadata, path);
  check(names == data.classes, ErrorKind::checkpoint, path, "was trained on other classes (",
        names.size(), ", the data have ", data.classes.size(),
        names.size() == data.classes.size() ? " others" : "",
        "); give --data the images of its run");
  check(extent.height == data.height() && extent.width == data.width(), ErrorKind::checkpoint, path,
        "was trained on images of ", extent.width, "x", extent.height, ", the data's are ",
        data.width(), "x", data.height());
}

void add_final_options(Metadata& metadata, const MacroFinalOptions& options) {
  metadata["filters"] = std::to_string(options.filters);
  metadata["dropout"] = shortest(options.dropout);
  metadata["full_conv"] = text(options.full_conv);
}

void add_final_options(Metadata& metadata, const MicroFinalOptions& options) {
  metadata["layers"] = std::to_string(options.normal_cells);
  metadata["filters"] = std::to_string(options.filters);
  metadata["dropout"] = shortest(options.dropout);
  metadata["auxiliary"] = text(options.auxiliary);
  metadata["tf_same"] = text(options.tf_same);
}

ModelFile load_model_file(const std::string& path) {
  WeightFile file = load_weights(path);
  const Metadata& metadata = file.metadata;
  const bool macro = metadata_choice(metadata, "space", path, {"macro", "micro"}) == "macro";
  const auto arch = metadata.find("arch");
  check(arch != metadata.end(), ErrorKind::checkpoint, path,
        "holds shared weights, no single architecture; expected a model.safetensors of train");
  ModelFile model{
      file, MicroSpace(1), {}, {}, {}, class_names(metadata, path), image_extent(metadata, path)};
  try {
    model.space = image_space_of(arch->second, macro, arch->second.rfind("concat:", 0) == 0);
    model.arch = parse(model.space, arch->second);
  } catch (const Error& error) {
    fail(ErrorKind::checkpoint, path, "metadata 'arch': ", error.what());
  }
  model.moments = {triple(metadata, "mean", path), triple(metadata, "deviation", path)};
  for (const double deviation : model.moments.deviation)
    check(deviation > 0, ErrorKind::checkpoint, path, "metadata 'deviation' is not positive");
  model.shape = {metadata_integer(metadata, "classes", path, 1 << 20), model.extent.height};
  check(model.shape.classes == static_cast<int64_t>(model.classes.size()), ErrorKind::checkpoint,
        path, "metadata 'classes' is ", model.shape.classes, ", but ", model.classes.size(),
        " are named");
  return model;
}

MacroFinalOptions macro_final_options(const ModelFile& model) {
  const Metadata& metadata = model.file.metadata;
  const std::string& path = model.file.path;
  MacroFinalOptions options;
  options.filters = metadata_integer(metadata, "filters", path, 2048);
  options.classes = model.shape.classes;
  options.dropout = positive_real(metadata, "dropout", path);
  options.full_conv = flag(metadata, "full_conv", path);
  return options;
}

MicroFinalOptions micro_final_options(const ModelFile& model) {
  const Metadata& metadata = model.file.metadata;
  const std::string& path = model.file.path;
  MicroFinalOptions options;
  options.normal_cells = static_cast<int>(metadata_integer(metadata, "layers", path, 64));
  options.filters = metadata_integer(metadata, "filters", path, 2048);
  options.classes = model.shape.classes;
  options.image_size = model.shape.size;
  options.dropout = positive_real(metadata, "dropout", path);
  options.auxiliary = flag(metadata, "auxiliary", path);
  options.tf_same = flag(metadata, "tf_same", path);
  return options;
}

}  // namespace enas
