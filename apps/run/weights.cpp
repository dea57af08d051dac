#include "apps/run/weights.h"

#include <algorithm>
#include <charconv>

#include "nn/safetensors.h"

namespace enas {

const std::string& metadata_entry(const Metadata& metadata, const std::string& key,
                                  const std::string& path) {
  const auto found = metadata.find(key);
  check(found != metadata.end(), ErrorKind::checkpoint, path, "metadata lack '", key,
        "'; expected weights that this program wrote");
  return found->second;
}

int64_t metadata_integer(const Metadata& metadata, const std::string& key, const std::string& path,
                         int64_t most) {
  const std::string& text = metadata_entry(metadata, key, path);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc{} && end == text.data() + text.size() && value >= 1 && value <= most,
        ErrorKind::checkpoint, path, "metadata '", key, "' is ", quote_name(text),
        ", expected an integer 1 to ", most);
  return value;
}

const std::string& metadata_choice(const Metadata& metadata, const std::string& key,
                                   const std::string& path,
                                   const std::vector<std::string>& choices) {
  const std::string& text = metadata_entry(metadata, key, path);
  std::string expected;
  for (const std::string& choice : choices) expected += (expected.empty() ? "" : " or ") + choice;
  check(std::find(choices.begin(), choices.end(), text) != choices.end(), ErrorKind::checkpoint,
        path, "metadata '", key, "' is ", quote_name(text), ", expected ", expected);
  return text;
}

void save_weights(const std::string& path, const Metadata& metadata,
                  const std::vector<const ParameterStore*>& stores,
                  const std::map<std::string, Tensor>& more) {
  TensorFile file;
  file.metadata = metadata;
  file.tensors = more;
  for (const ParameterStore* store : stores) {
    for (const Parameter& p : *store) file.tensors.emplace(p.name, p.value);
    for (const Buffer& b : store->buffers()) file.tensors.emplace(b.name, b.value);
  }
  write_safetensors(path, file);
}

WeightFile load_weights(const std::string& path) {
  TensorFile file = read_safetensors(path);
  const std::string& format = metadata_entry(file.metadata, "format", path);
  check(format == kWeightsFormat, ErrorKind::checkpoint, path, "format is ", quote_name(format),
        ", expected ", kWeightsFormat);
  return {path, std::move(file.metadata), std::move(file.tensors)};
}

void restore(ParameterStore& store, const WeightFile& file) {
  const auto copy = [&](const std::string& name, Tensor& value) {
    const auto found = file.tensors.find(name);
    check(found != file.tensors.end(), ErrorKind::checkpoint, file.path, "lacks tensor ",
          quote_name(name), " ", value.shape());
    const Tensor& t = found->second;
    check(t.shape() == value.shape() && t.dtype() == value.dtype(), ErrorKind::checkpoint,
          file.path, "tensor ", quote_name(name), " is ", t.dtype(), " ", t.shape(), ", expected ",
          value.dtype(), " ", value.shape());
    value.copy_from(t);
    value.bump_version();
  };
  for (Parameter& p : store) copy(p.name, p.value);
  for (Buffer& b : store.buffers()) copy(b.name, b.value);
}

}  // namespace enas
