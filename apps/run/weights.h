// shared.safetensors and model.safetensors: plain safetensors whose metadata say how to rebuild the
// network (docs/formats.md): format enas/1, space, arch, config, and what the app adds.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/parameter.h"
#include "tensor/check.h"

namespace enas {

using Metadata = std::map<std::string, std::string>;

constexpr const char* kWeightsFormat = "enas/1";

// Refuses (kind checkpoint) metadata without the key, or with another value than an integer in
// range, one of `choices`.
const std::string& metadata_entry(const Metadata& metadata, const std::string& key,
                                  const std::string& path);
int64_t metadata_integer(const Metadata& metadata, const std::string& key, const std::string& path,
                         int64_t most);
const std::string& metadata_choice(const Metadata& metadata, const std::string& key,
                                   const std::string& path,
                                   const std::vector<std::string>& choices);

// Parameters and buffers of the stores.
void save_weights(const std::string& path, const Metadata& metadata,
                  const std::vector<const ParameterStore*>& stores,
                  const std::map<std::string, Tensor>& more = {});
// Reads a file of format enas/1; refuses (kind checkpoint) others.
struct WeightFile {
  std::string path;
  Metadata metadata;
  std::map<std::string, Tensor> tensors;
};
WeightFile load_weights(const std::string& path);
// Copies every parameter and buffer of the store from the file; refuses (kind checkpoint) a missing
// tensor or another shape.
void restore(ParameterStore& store, const WeightFile& file);

}  // namespace enas
