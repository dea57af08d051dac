// Target: a folder with two checkpoints. Bits of the first byte: 0 and 1, the files are there; 2
// and 3, their checksums are made right here, so that what lies behind them is reached. Two bytes
// of the first file's length, then both files. The folder is two links to files in memory.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <filesystem>

#include "nn/checkpoint.h"
#include "tests/fuzz/fuzz.h"

namespace enas {
namespace {

std::string xxh3(std::string_view bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  std::string hex;
  for (const unsigned char byte : canonical.digest)
    for (const int digit : {byte >> 4, byte & 15}) hex += "0123456789abcdef"[digit];
  return hex;
}

// Writes a checksum over the 32 bytes of `key`'s value in the header, if they are there.
void put(std::string& file, size_t header, const std::string& key, const std::string& hash) {
  const std::string pattern = "\"" + key + "\":\"";
  const size_t at = file.find(pattern);
  if (at == std::string::npos || at + pattern.size() + hash.size() > header) return;
  file.replace(at + pattern.size(), hash.size(), hash);
}

void seal(std::string& file) {
  SafetensorsHeader header;
  if (!accepts(ErrorKind::checkpoint, [&] { header = parse_safetensors_header(file, "input"); }))
    return;
  for (const auto& [name, entry] : header.tensors)
    put(file, header.bytes, "xxh3." + name, xxh3(tensor_bytes(file, entry)));
  put(file, header.bytes, "header_xxh3", std::string(32, '0'));
  put(file, header.bytes, "header_xxh3", xxh3(std::string_view(file).substr(0, header.bytes)));
}

// The folder, gone at the program's end.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "enas-fuzz-XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr, "a temporary folder can be made");
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }
  // Slot 0 is a, 1 is b.
  void set(int slot, bool there, std::string_view bytes) {
    const std::string link = path_ + (slot == 0 ? "/a.safetensors" : "/b.safetensors");
    files_[slot].set(bytes);
    if (there == linked_[slot]) return;
    if (there) require(::symlink(files_[slot].path().c_str(), link.c_str()) == 0, "a link is made");
    if (!there) require(::unlink(link.c_str()) == 0, "a link is removed");
    linked_[slot] = there;
  }

 private:
  std::string path_;
  MemoryFile files_[2];
  bool linked_[2] = {false, false};
};

void check_checkpoint(const Checkpoint& checkpoint) {
  require(!checkpoint.source.empty(), "a checkpoint names its file");
  for (const auto& [name, text] : checkpoint.values) {
    require(checkpoint.has_value(name) && checkpoint.text(name) == text, "a value is found");
    accepts(ErrorKind::checkpoint, [&, key = name] { checkpoint.integer(key); });
    accepts(ErrorKind::checkpoint, [&, key = name] { checkpoint.real(key); });
  }
  Tensor target(Shape{2, 2}, DType::f32);
  for (const auto& [name, tensor] : checkpoint.tensors)
    accepts(ErrorKind::checkpoint, [&, key = name] { checkpoint.restore(key, target); });
}

}  // namespace
}  // namespace enas

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enas;
  static Folder folder;
  FuzzInput input(data, size);
  const unsigned flags = input.byte(), low = input.byte(), high = input.byte();
  std::string first(input.take(low | high << 8)), second(input.rest());
  if (flags & 4) seal(first);
  if (flags & 8) seal(second);
  folder.set(0, flags & 1, first);
  folder.set(1, flags & 2, second);
  std::vector<std::string> warnings;
  std::optional<Checkpoint> loaded;
  const bool came = accepts(ErrorKind::checkpoint, [&] {
    loaded = CheckpointFolder(folder.path()).load_latest(&warnings);
  });
  if (came)
    require(loaded.has_value() == ((flags & 3) != 0), "nothing is loaded from nothing only");
  if (loaded) check_checkpoint(*loaded);
  return 0;
}
