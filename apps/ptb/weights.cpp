#include "apps/ptb/weights.h"

#include "nn/init.h"

namespace enas {
namespace {

std::string vocabulary_hash(const Vocabulary& vocabulary) {
  std::string all;
  for (const std::string& word : vocabulary.words) all += word + '\n';
  return std::to_string(name_hash(all));
}

}  // namespace

Metadata child_metadata(const RnnChild& child, const Corpus& corpus, const std::string& config) {
  const RnnChildOptions& options = child.options();
  return {{"format", kWeightsFormat},
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
  const std::string& have = metadata_entry(metadata, "vocabulary", path);
  check(have == want && metadata_entry(metadata, "vocabulary_hash", path) == hash,
        ErrorKind::checkpoint, path, "was trained on another vocabulary (", have,
        " words, the data have ", want, have == want ? " others" : "",
        "); give --data the text of its run");
}

RnnChildOptions child_options(const Metadata& metadata, const std::string& path) {
  const auto choice = [&](const char* key, const char* first, const char* second) {
    return metadata_choice(metadata, key, path, {first, second}) == first;
  };
  RnnChildOptions options;
  options.vocabulary = metadata_integer(metadata, "vocabulary", path, int64_t{1} << 24);
  options.hidden = metadata_integer(metadata, "hidden", path, 8192);
  options.cell = choice("cell", "highway", "plain") ? CellKind::highway : CellKind::plain;
  options.share = choice("share", "edge-op", "edge") ? Share::edge_op : Share::edge;
  options.mean_all = !choice("output", "loose-ends", "mean-all");
  return options;
}

RnnSpace space_of(const Metadata& metadata, const std::string& path) {
  metadata_choice(metadata, "space", path, {"rnn"});
  const bool searched =
      metadata_choice(metadata, "node0", path, {"tanh", "searched"}) == "searched";
  return RnnSpace(static_cast<int>(metadata_integer(metadata, "nodes", path, RnnSpace::kMostNodes)),
                  searched);
}

}  // namespace enas
