// What shared.safetensors and model.safetensors of enas_ptb say beside format and config
// (docs/formats.md): space rnn, arch, nodes, hidden, cell, share, output, node0, vocabulary,
// vocabulary_hash.
#pragma once
#include <string>

#include "apps/run/weights.h"
#include "data/text.h"
#include "nas/rnn/child.h"

namespace enas {

// What every weight file of a child says.
Metadata child_metadata(const RnnChild& child, const Corpus& corpus, const std::string& config);
// Refuses (kind checkpoint) a file for another vocabulary, naming both.
void check_vocabulary(const Metadata& metadata, const Corpus& corpus, const std::string& path);
// The options under which the file's child was built; refuses (kind checkpoint) missing or bad
// entries.
RnnChildOptions child_options(const Metadata& metadata, const std::string& path);
RnnSpace space_of(const Metadata& metadata, const std::string& path);

}  // namespace enas
