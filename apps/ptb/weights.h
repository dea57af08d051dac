// shared.safetensors and model.safetensors: plain safetensors whose metadata say how to rebuild the
// network (docs/formats.md): format enas/1, space rnn, arch, nodes, hidden, cell, share,
// vocabulary, vocabulary_hash, config.
#pragma once
#include <map>
#include <string>

#include "data/text.h"
#include "nas/rnn/child.h"
#include "nn/parameter.h"

namespace enas {

using Metadata = std::map<std::string, std::string>;

// What every weight file of a child says.
Metadata child_metadata(const RnnChild& child, const Corpus& corpus, const std::string& config);
// Refuses (kind checkpoint) a file for another vocabulary, naming both.
void check_vocabulary(const Metadata& metadata, const Corpus& corpus, const std::string& path);
// The options under which the file's child was built; refuses (kind checkpoint) missing or bad
// entries.
RnnChildOptions child_options(const Metadata& metadata, const std::string& path);
RnnSpace space_of(const Metadata& metadata, const std::string& path);

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
// Copies every parameter of the store from the file; refuses (kind checkpoint) a missing tensor or
// another shape.
void restore(ParameterStore& store, const WeightFile& file);

}  // namespace enas
