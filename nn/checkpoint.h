// Checkpoints: one safetensors file holds everything of a run, its tensors and its named integers,
// reals and texts. A folder keeps two, a.safetensors and b.safetensors, which take turns: a save
// replaces the older, so that a crash at any moment leaves the newest acknowledged one. Each file
// carries a rising sequence number and XXH3-128 checksums of its header and of every tensor.
// Layout: docs/formats.md.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nn/safetensors.h"

namespace enas {

struct Checkpoint {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> values;
  std::string source;  // the file it was read from, for messages

  void set_integer(const std::string& name, int64_t value);
  void set_real(const std::string& name, double value);  // every value but NaN's payload comes back
  void set_text(const std::string& name, std::string value);  // UTF-8
  bool has_value(const std::string& name) const { return values.count(name) != 0; }
  // Error{checkpoint} where the name is missing or its value is of another type.
  int64_t integer(const std::string& name) const;
  double real(const std::string& name) const;
  const std::string& text(const std::string& name) const;
  const Tensor& tensor(const std::string& name) const;
  // Copies a tensor into `target`, on any device, and bumps its version; Error{checkpoint} where it
  // is missing or its shape or dtype is not the target's.
  void restore(const std::string& name, Tensor& target) const;
};

// The checkpoints of one run. One object a run: it remembers which file is next.
class CheckpointFolder {
 public:
  explicit CheckpointFolder(std::string path, FileSystem& files = real_files());

  // Replaces the older checkpoint; makes the folder if missing. On Error{write} the newest
  // checkpoint is intact and the save may be tried again. The first save and every 20th are read
  // back and verified. Error{checkpoint} where the folder holds a newer format.
  void save(const Checkpoint& checkpoint);

  // The newest valid checkpoint, or nothing where there is none. A damaged file is told to
  // `warnings` (file; tensor, header or length; found and expected) and the other one is used.
  // Error{checkpoint} where all are damaged, or one is of a newer format version.
  std::optional<Checkpoint> load_latest(std::vector<std::string>* warnings = nullptr);

  std::string file(int slot) const;  // slot 0: a.safetensors, 1: b.safetensors

 private:
  void prepare();
  std::optional<int> find_newest(ErrorKind unreadable, Checkpoint* loaded,
                                 std::vector<std::string>& problems);

  std::string path_;
  FileSystem* files_;
  bool prepared_ = false;
  bool scanned_ = false;  // next_slot_ and sequence_ are known
  int next_slot_ = 0;
  int64_t sequence_ = 0;  // the highest in the folder
  int64_t saves_ = 0;     // successful ones of this object
};

}  // namespace enas
