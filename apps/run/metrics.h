// metrics.jsonl: one object a line (keys: docs/interface.md "Run directory"). Each line is one
// write of the whole line with no buffer in between, so a killed process loses none; a checkpoint
// keeps offset(), and resume cuts the file back.
#pragma once
#include <cstdint>
#include <string>

#include "apps/run/json_text.h"
#include "data/file.h"

namespace enas {

class Metrics {
 public:
  using Line = JsonLine;

  explicit Metrics(const std::string& path, FileSystem& files = real_files())
      : file_(path, files) {}

  void write(const Line& line) { file_.append(line.text() + "\n"); }  // failure: kind `write`
  std::uint64_t offset() const { return file_.size(); }               // bytes
  // Forgets what was written after a checkpoint. A shorter file is kind `data`.
  void truncate_to(std::uint64_t offset) { file_.truncate_to(offset); }
  void sync() { file_.sync(); }  // before a checkpoint that names offset()

 private:
  AppendFile file_;
};

}  // namespace enas
