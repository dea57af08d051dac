#include "apps/ptb/weights.h"

#include <charconv>

#include "nn/init.h"
#include "nn/safetensors.h"

namespace enas {
namespace {

constexpr const char* kFormat = "enas/1";

std::string vocabulary_hash(const Vocabulary& vocabulary) {
  std::string all;
  for (const std::string& word : vocabulary.words) all += word + '\n';
  return std::to_string(name_hash(all));
}

const std::string& entry(const Metadata& metadata, const std::string& key,
                         const std::string& path) {
  const auto found = metadata.find(key);
  check(found != metadata.end(), ErrorKind::checkpoint, path, "metadata lack '", key,
        "'; expected weights that enas_ptb wrote");
  return found->second;
}

int64_t integer_entry(const Metadata& metadata, const std::string& key, const std::string& path,
                      int64_t most) {
  const std::string& text = entry(metadata, key, path);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc{} && end == text.data() + text.size() && value >= 1 && value <= most,
        ErrorKind::checkpoint, path, "metadata '", key, "' is ", quote_name(text),
        ", expected an integer 1 to ", most);
  return value;
}

}  // namespace

Metadata child_metadata(const RnnChild& child, const Corpus& corpus, const std::string& config) {
  const RnnChildOptions& options = child.options();
  return {{"format", kFormat},
          {"space", "rnn"},
          {"nodes", std::to_string(child.space().nodes())},
          {"hidden", std::to_string(options.hidden)},
          {"cell", options.cell == CellKind::highway ? "highway" : "plain"},
          {"share", options.share == Share::edge_op ? "edge-op" : "edge"},
          {"output", options.mean_all ? "mean-all" : "loose-ends"},
          {"node0", child.space().searched_first() ? "searched" : "tanh"},
          {"vocabulary", std::to_string(corpus.vocabulary.size())},
          {"vocabulary_hash", vocabulary_hash(corpus.vocabulary)},
          {"config", config}};
}

void check_vocabulary(const Metadata& metadata, const Corpus& corpus, const std::string& path) {
  const std::string want = std::to_string(corpus.vocabulary.size()),
                    hash = vocabulary_hash(corpus.vocabulary);
  const std::string& have = entry(metadata, "vocabulary", path);
  check(have == want && entry(metadata, "vocabulary_hash", path) == hash, ErrorKind::checkpoint,
        path, "was trained on another vocabulary (", have, " words, the data have ", want,
        have == want ? " others" : "", "); give --data the text of its run");
}

RnnChildOptions child_options(const Metadata& metadata, const std::string& path) {
  RnnChildOptions options;
  options.vocabulary = integer_entry(metadata, "vocabulary", path, int64_t{1} << 24);
  options.hidden = integer_entry(metadata, "hidden", path, 8192);
  const std::string &cell = entry(metadata, "cell", path), &share = entry(metadata, "share", path);
  check(cell == "highway" || cell == "plain", ErrorKind::checkpoint, path, "metadata 'cell' is ",
        quote_name(cell), ", expected highway or plain");
  check(share == "edge-op" || share == "edge", ErrorKind::checkpoint, path, "metadata 'share' is ",
        quote_name(share), ", expected edge-op or edge");
  options.cell = cell == "highway" ? CellKind::highway : CellKind::plain;
  options.share = share == "edge-op" ? Share::edge_op : Share::edge;
  const std::string& output = entry(metadata, "output", path);
  check(output == "loose-ends" || output == "mean-all", ErrorKind::checkpoint, path,
        "metadata 'output' is ", quote_name(output), ", expected loose-ends or mean-all");
  options.mean_all = output == "mean-all";
  return options;
}

RnnSpace space_of(const Metadata& metadata, const std::string& path) {
  const std::string& space = entry(metadata, "space", path);
  check(space == "rnn", ErrorKind::checkpoint, path, "metadata 'space' is ", quote_name(space),
        ", expected rnn");
  const std::string& first = entry(metadata, "node0", path);
  check(first == "tanh" || first == "searched", ErrorKind::checkpoint, path, "metadata 'node0' is ",
        quote_name(first), ", expected tanh or searched");
  return RnnSpace(static_cast<int>(integer_entry(metadata, "nodes", path, RnnSpace::kMostNodes)),
                  first == "searched");
}

void save_weights(const std::string& path, const Metadata& metadata,
                  const std::vector<const ParameterStore*>& stores,
                  const std::map<std::string, Tensor>& more) {
  TensorFile file;
  file.metadata = metadata;
  file.tensors = more;
  for (const ParameterStore* store : stores) {
    for (const Parameter& p : *store) file.tensors.emplace(p.name, p.value);
  }
  write_safetensors(path, file);
}

WeightFile load_weights(const std::string& path) {
  TensorFile file = read_safetensors(path);
  const std::string& format = entry(file.metadata, "format", path);
  check(format == kFormat, ErrorKind::checkpoint, path, "format is ", quote_name(format),
        ", expected ", kFormat);
  return {path, std::move(file.metadata), std::move(file.tensors)};
}

void restore(ParameterStore& store, const WeightFile& file) {
  for (Parameter& p : store) {
    const auto found = file.tensors.find(p.name);
    check(found != file.tensors.end(), ErrorKind::checkpoint, file.path, "lacks tensor ",
          quote_name(p.name), " ", p.value.shape());
    const Tensor& t = found->second;
    check(t.shape() == p.value.shape() && t.dtype() == p.value.dtype(), ErrorKind::checkpoint,
          file.path, "tensor ", quote_name(p.name), " is ", t.dtype(), " ", t.shape(),
          ", expected ", p.value.dtype(), " ", p.value.shape());
    p.value.copy_from(t);
    p.value.bump_version();
  }
}

}  // namespace enas
