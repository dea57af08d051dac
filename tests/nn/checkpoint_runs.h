// What the checkpoint tests share: a small run at a step, and a folder with two of its checkpoints.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "nn/checkpoint.h"
#include "tests/temporary_folder.h"

namespace enas {

// Files without what waits for the disk: fsync, and replacing a file by rename, which ext4 flushes.
// Only a crash of the machine would show the difference.
class QuickFiles : public FileSystem {
 public:
  int fsync(int) override { return 0; }
  int rename(const char* from, const char* to) override {
    FileSystem::unlink(to);
    return FileSystem::rename(from, to);
  }
};

// A small run at step `step`: tensors of several dtypes and values of each type.
inline Checkpoint run_at(int64_t step) {
  Checkpoint checkpoint;
  checkpoint.tensors["cell.edge.1"] = Tensor::full({7, 5}, static_cast<double>(step));
  checkpoint.tensors["rewards"] = Tensor::full({3}, 0.1 * static_cast<double>(step), DType::f64);
  checkpoint.tensors["half"] = Tensor::full({3}, 2, DType::bf16);
  checkpoint.tensors["none"] = Tensor({0, 4});
  checkpoint.tensors["bytes"] = Tensor::full({5}, 9, DType::u8);
  checkpoint.set_integer("step", step);
  checkpoint.set_real("baseline", 0.1 * static_cast<double>(step));
  checkpoint.set_text("config", "lr = 3e-4\n\"quoted\" \\ \xc3\xa9");
  return checkpoint;
}

inline void expect_run(const Checkpoint& found, int64_t step) {
  const Checkpoint wanted = run_at(step);
  EXPECT_EQ(found.values, wanted.values);
  ASSERT_EQ(found.tensors.size(), wanted.tensors.size());
  for (const auto& [name, tensor] : wanted.tensors) {
    EXPECT_EQ(found.tensor(name).shape(), tensor.shape());
    EXPECT_EQ(found.tensor(name).dtype(), tensor.dtype());
    EXPECT_EQ(found.tensor(name).to_vector(), tensor.to_vector());
  }
}

// The error that f throws; ErrorKind{} and "" for none.
inline std::pair<ErrorKind, std::string> error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return {error.kind(), error.what()};
  }
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A folder with steps 1 and 2, whose newer file's bytes can be replaced.
struct TwoSteps {
  TemporaryFolder folder;
  std::string newer, bytes;
  TwoSteps() {
    QuickFiles files;
    CheckpointFolder writer(folder.path(), files);
    writer.save(run_at(1));
    writer.save(run_at(2));
    newer = writer.file(1);
    bytes = read_file(newer, 1 << 20);
  }
  // What is told about the damage; step 1 must be found.
  std::string damaged(const std::string& content) {
    remove_file(newer);  // rather than overwriting it, which ext4 flushes
    folder.write("b.safetensors", content);
    std::vector<std::string> warnings;
    const auto found = CheckpointFolder(folder.path()).load_latest(&warnings);
    EXPECT_TRUE(found.has_value() && found->integer("step") == 1);
    EXPECT_EQ(warnings.size(), 1u);
    return warnings.empty() ? "" : warnings[0];
  }
};

}  // namespace enas
