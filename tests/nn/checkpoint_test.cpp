// Checkpoints: typed values, two files that take turns, every flipped bit and every cut detected
// with the other file used, newer versions refused.
#include "nn/checkpoint.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>

#include "tensor/philox.h"
#include "tests/nn/checkpoint_runs.h"

namespace enas {
namespace {

TEST(Checkpoint, TypedValuesComeBackExactly) {
  Checkpoint c;
  const double reals[] = {0.0,    -0.0,      0.1,      1.0 / 3, 5e-324, 1.7976931348623157e308,
                          1e-310, -HUGE_VAL, HUGE_VAL, 1e22};
  for (const double value : reals) {
    c.set_real("x", value);
    EXPECT_EQ(std::signbit(c.real("x")), std::signbit(value));
    EXPECT_EQ(c.real("x"), value);
  }
  const Random random;
  for (uint64_t i = 0; i < 1000; ++i) {
    const uint64_t bits = static_cast<uint64_t>(random.bits(2 * i)) << 32 | random.bits(2 * i + 1);
    const double value = std::bit_cast<double>(bits);
    c.set_real("x", value);
    EXPECT_TRUE(c.real("x") == value || (std::isnan(value) && std::isnan(c.real("x")))) << value;
  }
  for (const int64_t value : {INT64_MIN, int64_t{-1}, int64_t{0}, INT64_MAX}) {
    c.set_integer("i", value);
    EXPECT_EQ(c.integer("i"), value);
  }
  c.set_text("t", "3x");
  EXPECT_TRUE(c.has_value("t"));
  EXPECT_FALSE(c.has_value("u"));
  EXPECT_EQ(c.text("t"), "3x");
  c.source = "run/ckpt/a.safetensors";
  for (const auto& get : std::vector<std::function<void()>>{
           [&] { c.integer("t"); }, [&] { c.real("t"); }, [&] { c.integer("u"); },
           [&] { c.text("u"); }, [&] { c.tensor("u"); }}) {
    const auto [kind, text] = error_of(get);
    EXPECT_EQ(kind, ErrorKind::checkpoint);
    EXPECT_TRUE(contains(text, "run/ckpt/a.safetensors: ")) << text;
  }
}

TEST(Checkpoint, RestoreCopiesAndRefusesAnotherShape) {
  const Checkpoint c = run_at(3);
  Tensor target = Tensor::zeros({7, 5});
  const uint32_t version = target.version();
  c.restore("cell.edge.1", target);
  EXPECT_EQ(target.item(34), 3);
  EXPECT_NE(target.version(), version);
  target.fill(0);
  EXPECT_EQ(c.tensor("cell.edge.1").item(0), 3);
  Tensor turned = Tensor::zeros({5, 7});
  const auto [kind, text] = error_of([&] { c.restore("cell.edge.1", turned); });
  EXPECT_EQ(kind, ErrorKind::checkpoint);
  EXPECT_TRUE(contains(text, "\"cell.edge.1\" is [7, 5] of f32; expected [5, 7]")) << text;
  Tensor wide = Tensor::zeros({7, 5}, DType::f64);
  EXPECT_EQ(error_of([&] { c.restore("cell.edge.1", wide); }).first, ErrorKind::checkpoint);
}

TEST(Checkpoint, TwoFilesTakeTurns) {
  const TemporaryFolder folder;
  const std::string path = folder / "run/ckpt";
  QuickFiles files;
  CheckpointFolder writer(path, files);
  EXPECT_FALSE(writer.load_latest().has_value());
  for (int64_t step = 1; step <= 45; ++step) {
    writer.save(run_at(step));
    EXPECT_TRUE(exists(writer.file(0)));
    EXPECT_EQ(exists(writer.file(1)), step > 1);
    if (step % 9 == 0) writer = CheckpointFolder(path, files);  // a resumed run that did not load
    CheckpointFolder reader(path);
    std::vector<std::string> warnings;
    const auto found = reader.load_latest(&warnings);
    ASSERT_TRUE(found.has_value());
    expect_run(*found, step);
    EXPECT_TRUE(warnings.empty());
    if (step == 1) continue;
    const std::string other = found->source == reader.file(0) ? reader.file(1) : reader.file(0);
    EXPECT_EQ(read_safetensors(other).metadata.at("value.step"), std::to_string(step - 1));
  }
  folder.write("run/ckpt/.enas-0123456789abcdef.tmp", "what kill -9 leaves");
  CheckpointFolder resumed(path);
  EXPECT_EQ(resumed.load_latest()->integer("step"), 45);
  resumed.save(run_at(46));
  EXPECT_EQ(list(path), (std::vector<std::string>{"a.safetensors", "b.safetensors"}));
}

TEST(Checkpoint, EveryFlippedBitIsFoundAndTheOtherFileUsed) {
  TwoSteps two;
  const SafetensorsHeader header = parse_safetensors_header(two.bytes, "b");
  const Random random;
  for (uint64_t i = 0; i < 1000; ++i) {
    // A third each: anywhere, the data, the header's checksum and format.
    uint64_t at = random.below(static_cast<uint32_t>(two.bytes.size()), 2 * i);
    if (i % 3 == 1) at = header.bytes + at % (two.bytes.size() - header.bytes);
    if (i % 3 == 2) at = at % 120;
    std::string content = two.bytes;
    content[at] = static_cast<char>(content[at] ^ (1 << random.below(8, 2 * i + 1)));
    const std::string text = two.damaged(content);
    EXPECT_TRUE(contains(text, two.newer)) << text;
    if (at < header.bytes) {
      EXPECT_TRUE(contains(text, "header") || contains(text, "length")) << at << ": " << text;
      continue;
    }
    for (const auto& [name, entry] : header.tensors) {
      if (at >= entry.begin && at < entry.end) {
        EXPECT_TRUE(contains(text, "tensor \"" + name + "\"")) << text;
      }
    }
  }
  two.folder.write("b.safetensors", two.bytes);
  EXPECT_EQ(CheckpointFolder(two.folder.path()).load_latest()->integer("step"), 2);
}

TEST(Checkpoint, EveryCutIsFoundAndTheOtherFileUsed) {
  TwoSteps two;
  for (size_t size = 0; size < two.bytes.size(); size += 16) {
    const std::string text = two.damaged(two.bytes.substr(0, size));
    EXPECT_TRUE(contains(text, "header") || contains(text, "length")) << size << ": " << text;
  }
  EXPECT_TRUE(contains(two.damaged(two.bytes + "x"), "length"));
  EXPECT_TRUE(contains(two.damaged(two.bytes.substr(0, two.bytes.size() - 1)), "length"));
  EXPECT_TRUE(contains(two.damaged(std::string(two.bytes.size(), '\0')), "header"));
}

TEST(Checkpoint, TheNextSaveReplacesTheDamagedFile) {
  for (const bool load_first : {true, false}) {
    TwoSteps two;
    std::string content = two.bytes;
    content.back() = static_cast<char>(content.back() ^ 1);
    two.damaged(content);
    CheckpointFolder writer(two.folder.path());
    if (load_first) {
      EXPECT_EQ(writer.load_latest()->integer("step"), 1);
    }
    writer.save(run_at(3));
    EXPECT_EQ(read_safetensors(writer.file(0)).metadata.at("value.step"), "1");
    std::vector<std::string> warnings;
    expect_run(*CheckpointFolder(two.folder.path()).load_latest(&warnings), 3);
    EXPECT_TRUE(warnings.empty());
  }
}

TEST(Checkpoint, WithBothFilesDamagedItRefusesAndNamesBoth) {
  TwoSteps two;
  std::string content = two.bytes;
  content.back() = static_cast<char>(content.back() ^ 1);
  two.folder.write("a.safetensors", "short");
  two.folder.write("b.safetensors", content);
  CheckpointFolder reader(two.folder.path());
  const auto [kind, text] = error_of([&] { reader.load_latest(); });
  EXPECT_EQ(kind, ErrorKind::checkpoint);
  EXPECT_TRUE(contains(text, reader.file(0)) && contains(text, "length")) << text;
  EXPECT_TRUE(contains(text, reader.file(1)) && contains(text, "tensor \"bytes\"")) << text;
  reader.save(run_at(4));
  expect_run(*reader.load_latest(), 4);
}

// A checkpoint's bytes with another format version and the header checksum that belongs to it,
// which the refusal of the wrong one tells.
std::string with_version(std::string bytes, const std::string& version) {
  const std::string format = "enas-checkpoint/";
  bytes.replace(bytes.find(format + "1") + format.size(), 1, version);
  const TemporaryFolder folder;
  folder.write("a.safetensors", bytes);
  const std::string text = error_of([&] { CheckpointFolder(folder.path()).load_latest(); }).second;
  const std::string told = "its XXH3-128 is ", key = "\"header_xxh3\":\"";
  const std::string hash = text.substr(text.find(told) + told.size(), 32);
  return bytes.replace(bytes.find(key) + key.size(), 32, hash);
}

TEST(Checkpoint, ForeignFilesAndNewerVersionsAreRefused) {
  TwoSteps two;
  TensorFile weights;
  weights.tensors["w"] = Tensor::full({2}, 1);
  write_safetensors(two.newer, weights);
  EXPECT_TRUE(contains(two.damaged(read_file(two.newer, 1000)), "\"header_xxh3\" is missing"));

  const TemporaryFolder folder;
  CheckpointFolder writer(folder.path());
  writer.save(run_at(1));
  const std::string newer = with_version(read_file(writer.file(0), 1 << 20), "2");
  folder.write("b.safetensors", newer);
  CheckpointFolder reader(folder.path());
  for (const auto& use : std::vector<std::function<void()>>{[&] { reader.load_latest(); },
                                                            [&] { reader.save(run_at(2)); }}) {
    const auto [kind, text] = error_of(use);
    EXPECT_EQ(kind, ErrorKind::checkpoint);
    EXPECT_TRUE(contains(text, "b.safetensors: has the format enas-checkpoint/2")) << text;
    EXPECT_TRUE(contains(text, "newer")) << text;
  }
  EXPECT_EQ(read_file(writer.file(1), 1 << 20), newer);
}

TEST(Checkpoint, EqualRunsGiveEqualBytes) {
  const TwoSteps first, second;
  EXPECT_EQ(first.bytes, second.bytes);
  // XXH3-128 of no bytes, as its specification gives it
  EXPECT_EQ(read_safetensors(first.newer).metadata.at("xxh3.none"),
            "99aa06d3014798d86001c324468d497f");
}

}  // namespace
}  // namespace enas
